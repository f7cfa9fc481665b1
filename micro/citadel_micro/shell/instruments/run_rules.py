"""The trading rules of one run of micro, from its configuration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.core.model.commands import Note
from citadel_micro.core.model.events import StepsChanged
from citadel_micro.core.model.steps import OURS
from citadel_micro.shell.instruments.cache import Cache
from citadel_micro.shell.instruments.child import ChildFetch
from citadel_micro.shell.instruments.load import Lists, load_instruments
from citadel_micro.shell.instruments.on_demand import on_demand_rules
from citadel_micro.shell.instruments.refresher import Refresher
from citadel_micro.shell.instruments.resume_rules import held_rules, remembered, steps_of
from citadel_micro.shell.instruments.sources import RULES
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.core.model.steps import Steps
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.instruments.markets import MarketList
    from citadel_micro.shell.instruments.rules import Instruments
    from citadel_micro.shell.journal.run_folder import RunFolder

RETRY_S: Final = 1.0
SAY_AGAIN_S: Final = 10.0
"""Between two messages of the same, while a venue is waited for."""
FOLDER: Final = "instruments"
"""Of the stored lists, in the run folder."""
_HOUR_NS: Final = 3_600_000_000_000

_URGENT: Final = ("no longer", "tick", "lot", "contract_size")
_MEND: Final = (
    "this run keeps the rules that it started with: restart micro when nothing is open there"
)

log: Final = structlog.get_logger("instruments")


def lists_of(config: MicroConfig) -> Lists:
    """Where lists are stored, and who fetches them."""
    section, folder = config.instruments, _folder(config)
    fetch = _Fetch(folder, section.fetch_timeout_s)
    return Lists(Cache(folder), fresh_ns=int(section.fresh_h * _HOUR_NS), fetch=fetch)


def _folder(config: MicroConfig) -> Path:
    return config.instruments.cache_dir or config.run_dir / FOLDER


class _Fetch:
    """A small list is fetched here; that of every other venue in another process."""

    def __init__(self, folder: Path, timeout_s: float) -> None:
        self._child = ChildFetch(folder, timeout_s=timeout_s)

    async def __call__(self, venue: str, rest_url: str, symbols: Sequence[str]) -> MarketList:
        rules = RULES.get()
        fetch = rules.fetch if rules.quick(venue) else self._child
        return await fetch(venue, rest_url, symbols)


async def load_rules(
    config: MicroConfig, known: Mapping[tuple[str, str], Instrument] | None = None
) -> Instruments:
    """Trading rules of everything that is configured; retries a venue that does not answer yet.

    Args:
        config: of the run.
        known: as for ``load_instruments``.

    Raises:
        BadInput: unknown venue or symbol, or an invalid file.
        PeerUnavailable: a venue has not answered within its start timeout.
        VenueViolation: it has answered with invalid data.
    """
    loop = asyncio.get_running_loop()
    lists = lists_of(config)
    found: Instruments = {}
    for venue, section in config.venues.items():
        give_up = loop.time() + section.start_timeout_s
        said, say_at = "", 0.0
        while True:
            last = loop.time() >= give_up
            try:
                loaded = await load_instruments(
                    venue,
                    section.symbols,
                    rest_url=section.rest_url or "",
                    file=section.instruments_file,
                    lists=lists,
                    # A simulator's stored list is the last resort: its rules may have changed.
                    use_old=last or not section.rest_url,
                    known=known,
                )
                loaded |= await on_demand_rules(venue, section, lists, loaded, config.bridge.shard)
                break
            except BadInput as error:
                if error.where != "symbol":
                    raise
                raise BadInput(
                    error.what,
                    where=f"venues.{venue}.symbols",
                    allowed=error.allowed,
                    mend=error.mend,
                ) from None
            except PeerUnavailable as error:
                if last:
                    raise
                if str(error) != said or loop.time() >= say_at:
                    said, say_at = str(error), loop.time() + SAY_AGAIN_S
                    log.warning("waiting for the venue", venue=venue, error=said)
                await asyncio.sleep(RETRY_S)
        found.update(loaded)
    return found


def settled(
    fresh: Mapping[tuple[str, str], Instrument],
    folder: RunFolder,
    saved: Mapping[str, Iterable[str]],
) -> Instruments:
    """These rules, except where the run folder holds state in other ticks and lots.

    ``saved``: symbols of which an order adapter has saved something, by venue.
    """
    kept = remembered(folder.state, saved)
    rules, waiting = held_rules(fresh, folder.instruments, kept)
    for (venue, symbol), changes in waiting.items():
        log.warning(
            "trading rules have changed; the old units are kept, because orders of an earlier run are "
            "stored in them (for 24 h, and as long as one is open; or start with another run folder)",
            venue=venue,
            symbol=symbol,
            changes=changes,
        )
    return rules


def changed_steps(
    used: Mapping[tuple[str, str], Instrument], fresh: Mapping[tuple[str, str], Instrument]
) -> list[StepsChanged]:
    """What the venues take in coarser steps than the units of a run that resumes others."""
    return [
        step_event(*key, steps)
        for key, rules in used.items()
        if key in fresh and (steps := steps_of(rules, fresh[key])) != OURS
    ]


def step_event(venue: str, symbol: str, steps: Steps) -> StepsChanged:
    """The engine's event of it."""
    return StepsChanged(
        venue=venue, symbol=symbol, price_ticks=steps.price, quantity_lots=steps.quantity
    )


def refresher_of(
    config: MicroConfig,
    used: Mapping[tuple[str, str], Instrument],
    post: Callable[[StepsChanged], None],
    note: Callable[[Note], None],
) -> Refresher:
    """The refresher of the venues' lists during the run; rules from a file are not refreshed.

    All of it happens in another process, even Binance's megabytes: the books must not wait for it. ``post``
    receives what a list says of the venue's steps, and ``note`` what people must know of it: a pair that is
    closed, and units that a run does not count in.
    """
    section, stored = config.instruments, lists_of(config)
    asked: dict[str, str] = {}
    ages_s: dict[str, float] = {}
    for venue, its in config.venues.items():
        if its.instruments_file is None:
            asked[venue] = its.rest_url or ""
            ages_s[venue] = stored.age_s(venue, asked[venue])
    child = ChildFetch(_folder(config), timeout_s=section.fetch_timeout_s)
    told: dict[tuple[str, str], Steps] = {}

    def on_steps(venue: str, symbol: str, steps: Steps) -> None:
        if told.get((venue, symbol)) != steps:
            told[venue, symbol] = steps
            post(step_event(venue, symbol, steps))

    def on_change(venue: str, symbol: str, what: str) -> None:
        fields = (("venue", venue), ("symbol", symbol), ("text", f"{what}; {_MEND}"))
        urgent = any(part.startswith(_URGENT) for part in what.split("; "))
        note(
            Note(
                level="error" if urgent else "warning",
                event="trading_rules_changed",
                fields=fields,
            )
        )

    return Refresher(
        Lists(None, fresh_ns=stored.fresh_ns, fetch=child),
        used,
        asked,
        ages_s=ages_s,
        on_change=on_change,
        on_steps=on_steps,
    )
