"""Of ``bridge_story``: several threads of one macro that wait at once, and reports that are lost."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from citadel_bridge.errors import ClockSkew, IntentsUnwritable, MicroUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge_bots import Bot
    from bridge_story import Story

    from citadel_bridge.config import NewSignal
    from citadel_bridge.connector import HybridConnector

SOON_S: Final = 0.2
"""By then the exchange has told of what it has filled."""
LOOKS: Final = 50
ALL: Final = 1_000
BEATS: Final = 100
"""Five seconds where the machine is not starved: less than an order's own end, of which a report tells."""


async def at_once(story: Story, bot: Bot) -> None:
    """Orders, a cancel and a query, each by a thread of its own."""
    connector = bot.connector
    if connector is None:
        return
    story.told.count("at once")
    waiting = [story.submit(bot) for _ in range(story.own.randint(2, 4))]
    if bot.sent:
        name = story.own.choice(bot.sent[-5:])
        waiting.append(asyncio.to_thread(_cancel, connector, name))
        waiting.append(asyncio.to_thread(_ask, connector, name))
    await asyncio.gather(*waiting)


async def closed_amid(story: Story, bot: Bot) -> None:
    """Macro ends while its threads wait for acknowledgements, and is started again."""
    connector = bot.connector
    if connector is None:
        return
    story.told.count("closed while threads wait")
    news = [story.new_signal(bot, 20.0) for _ in range(3)]
    sending = [asyncio.create_task(asyncio.to_thread(_send, connector, new)) for new in news]
    await asyncio.sleep(story.own.choice((0.0, 0.002, 0.01)))
    await asyncio.to_thread(bot.vanish)
    await asyncio.gather(*sending)
    await asyncio.to_thread(bot.up)
    assert bot.connector is not None
    for new in news:
        intent = bot.connector.intents.get(new.signal_id)
        if intent is not None:
            story.was_sent(bot, intent.signal)


async def lose_reports(story: Story, bot: Bot) -> None:
    """The next reports do not arrive, and it may be the last that are."""
    story.told.count("reports lost")
    story.micro.lose = story.own.randint(1, 3)
    await story.submit(bot)


async def lose_the_last(story: Story) -> None:
    """An order is filled, and nobody hears of it; no other report follows."""
    micro = story.micro
    for bot in story.bots:
        for _ in range(3):  # some of them rest
            await story.submit(bot, 20.0)
    for _ in range(LOOKS):
        if micro.venue.open_orders():
            break
        await asyncio.sleep(SOON_S / LOOKS)
    await asyncio.sleep(SOON_S)  # what they were answered with is on its way by now
    before, micro.lose = micro.lost, ALL
    micro.venue.fill_something()
    await asyncio.sleep(SOON_S)
    micro.lose = 0
    if micro.lost > before:
        story.told.count("last report lost")


def beats_from_now(story: Story) -> Callable[[], bool]:
    """Whether each macro has heard so many heartbeats that it knows of every loss, and has asked."""

    def heard() -> list[int]:
        connectors = [bot.connector for bot in story.bots]
        peers = [each.peers() if each is not None else [] for each in connectors]
        return [each[0].beat_seq if each else 0 for each in peers]

    before = heard()
    return lambda: all(now >= was + BEATS for now, was in zip(heard(), before, strict=True))


def _send(connector: HybridConnector, new: NewSignal) -> None:
    # What is in the log then is looked up there.
    with contextlib.suppress(MicroUnavailable, ClockSkew, IntentsUnwritable):
        connector.submit(new)


def _cancel(connector: HybridConnector, name: str) -> None:
    connector.cancel(name, "chaos", 0.02)


def _ask(connector: HybridConnector, name: str) -> None:
    with contextlib.suppress(MicroUnavailable):
        connector.query_order(name, 0.05)
