"""One story for each algorithm, in virtual time, and its end wherever the process has been killed in it.

A story has an order that its algorithm works to its end, and for entries a second one that is canceled; what is held is
sold by a stop, or it ends because there is nothing left to do.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from engine_kit import KEY, MS, SECOND, START, config, signal
from killed_rig import KilledRig
from ladder_kit import ladder
from strict_rig import assert_quiet

from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import CancelReceived

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_micro.core.model.events import SignalReceived

FAR: Final = START + 3_600 * SECOND
TIME: Final = {"time_limit_ms": 6_000}
PARTS: Final = TIME | {
    "late": "cross",
    "late_by_end": True,
    "max_chase_bps": 200.0,
    "on_timeout": "cross_ioc",
}
DOWN_NS: Final = (0, 300 * MS, 20 * SECOND)
"""How long it may be away."""
AMENDS: Final[dict[str, dict[str, Any]]] = {
    "cancels": {},
    "amends": {"amend_native": True},
    "cuts": {"amend_down": True, "tells_trades": True},
}
"""What the exchange can do about a resting order."""


class Story(NamedTuple):
    """An order of one algorithm.

    Args:
        params: of the algorithm.
        changes: fields of the signal.
        held: it protects a position of 0.5, bought before.
        whole: at a fair exchange it fills to its last lot, if its time is not over before that.
        partial: share of the orders that take which find only a part at first.
    """

    params: dict[str, Any]
    changes: dict[str, Any]
    held: bool = False
    whole: bool = True
    partial: float = 0.0


STOP: Final[dict[str, Any]] = {
    "side": "sell",
    "kind": "stop",
    "stop_price": Decimal(59_970),
}
CHASE: Final = TIME | {
    "on_timeout": "cross_ioc",
    "max_chase_bps": 200.0,
    "max_cross_bps": 50.0,
    "min_dwell_ms": 0,
    "advance_dwell_ms": 0,
}
CHASE_OF_AUTO: Final = TIME | {
    "urgency": "passive",
    "chase_cost_bps": 0.0,
    "on_timeout": "cross_ioc",
    "max_chase_bps": 200.0,
    "advance_dwell_ms": 0,
}
LIMIT: Final = {"limit_price": Decimal(60_001)}
STORIES: Final[dict[str, Story]] = {
    "auto": Story(CHASE_OF_AUTO, {}),
    "chase_limit": Story(CHASE, {}),
    "chase_limit in slices": Story(CHASE | {"clip_pct": 0.2, "queue_miss_bps": 0.02}, {}),
    "limit": Story(TIME, {"limit_price": Decimal(60_000)}, whole=False),
    "marketable_limit": Story(TIME, {}, whole=False, partial=0.8),
    "peg": Story(TIME | {"min_dwell_ms": 0}, {}, whole=False),
    "iceberg": Story(
        TIME | {"clip_pct": 20.0, "price": "primary", "min_dwell_ms": 0}, {}, whole=False
    ),
    "scaled": Story(TIME | {"levels": 4, "width_bps": 1.0}, LIMIT, whole=False),
    "snipe": Story(TIME | {"min_share_pct": 0.0}, LIMIT, whole=False, partial=0.8),
    "fill_or_kill": Story(TIME, {}, whole=False),
    "twap": Story(PARTS | {"slices": 4}, {}),
    "vwap": Story(PARTS | {"slices": 4, "profile": "3, 1, 2, 2"}, {}),
    "pov": Story(PARTS | {"rate_pct": 50.0, "clip_pct": 25, "part_ms": 1_000}, {}, whole=False),
    "bracket": Story(
        TIME | {"entry": "chase_limit", "stop_bps": 5.0, "take_profits_bps": "1, 4"},
        {},
        whole=False,
    ),
    "stop": Story({}, STOP, held=True, partial=0.8),
    "stop that chases": Story({"after": "chase"}, STOP, held=True),
    "stop_limit": Story({}, STOP | {"limit_price": Decimal(59_900)}, held=True),
    "trailing_stop": Story({"trail_bps": 5.0}, STOP, held=True),
    "oco": Story({"take_profits": "60002, 60060"}, STOP, held=True, partial=0.8),
    "ladder": Story({"levels": 3, "even": True, "time_limit_ms": 6_000}, {}, whole=False),
}
"""Names are those of algorithms, to their first blank."""


def _opening() -> SignalReceived:
    params = (("time_limit_ms", 60_000),)
    return signal("open", algo="marketable_limit", params=params, expires_ns=FAR, seq=1)


def _order(name: str, number: int, now_ns: int) -> SignalReceived:
    story = STORIES[name]
    values: dict[str, Any] = {
        "quantity": Decimal("0.5"),
        "created_ns": now_ns,
        "expires_ns": FAR,
        "algo": name.partition(" ")[0],
        "params": tuple(sorted(story.params.items())),
        "seq": number,
    }
    return signal(f"s{number}", **(values | story.changes))


def _steps(name: str) -> Iterator[Callable[[KilledRig], object]]:
    """What happens, each a moment at which a dead process is started again."""
    if STORIES[name].held:
        yield lambda rig: rig.send(_opening())
        for _ in range(6):  # an order in doubt over two restarts is asked about for three seconds
            yield lambda rig: rig.run(SECOND)
        yield lambda rig: setattr(rig.venue, "partial_share", STORIES[name].partial)
    yield lambda rig: rig.send(_order(name, 1, rig.now))
    yield lambda rig: rig.run(300 * MS)
    yield _fill
    if not STORIES[name].held:
        yield lambda rig: rig.send(_order(name, 2, rig.now))
    for move in (0.3, 0.2, -0.6):
        yield lambda rig, move=move: rig.book(round(rig.bid + move, 1), round(rig.ask + move, 1))  # type: ignore[misc]
        yield lambda rig: rig.run(700 * MS)
        yield lambda rig: rig.trade(rig.bid, 0.3)
        yield _fill
        yield lambda rig: rig.run(200 * MS)
    if not STORIES[name].held:
        yield lambda rig: rig.send(CancelReceived(signal_id="s2", reason="enough"))
    yield lambda rig: rig.run(5_500 * MS)
    for _ in range(2):
        yield lambda rig: rig.book(59_960.0, 59_960.1)
        yield lambda rig: rig.run(20 * MS, refresh_ns=0)
    yield lambda rig: rig.run(4 * SECOND)


def _fill(rig: KilledRig) -> None:
    """Of what rests first a third."""
    resting = rig.venue.open_orders()
    if resting:
        lots = resting[0].quantity_lots - resting[0].filled_lots
        rig.venue.fill(resting[0].place.client_id, max(1, lots // 3))
    rig.run(20 * MS)


def told(
    name: str, amends: str = "cancels", *, die_at: int = -1, again: int = -1, down_ns: int = 0
) -> KilledRig:
    """The story of this name, killed where it is told to be, to its end; checked all the way.

    Raises AssertionError for whatever does not hold.
    """

    async def main() -> KilledRig:
        return _told(name, amends, die_at=die_at, again=again, down_ns=down_ns)

    with ladder():
        return asyncio.run(main())


def _told(name: str, amends: str, *, die_at: int, again: int, down_ns: int) -> KilledRig:
    venue = VenueConfig(
        shows_own_orders=False,
        fill_or_kill=True,
        messages_per_second=100,
        message_burst=500,
        mark="kills0",
        **AMENDS[amends],
    )
    rig = KilledRig(config(venue), chance=Random(1), die_at=die_at, again=again)
    rig.venue.partial_share = 0.0 if STORIES[name].held else STORIES[name].partial
    try:
        rig.revive(down_ns)
        rig.book(60_000.0, 60_000.1)
        rig.run(20 * MS)
        for step in _steps(name):
            rig.revive(down_ns)
            step(rig)
        while True:
            rig.revive(down_ns)
            rig.run(15 * SECOND, refresh_ns=SECOND)
            if not rig.crashed:
                break  # else it has died in the last step, and what it takes up needs its time too
    finally:
        rig.close()
    check_end(rig, STORIES[name], in_time=down_ns < SECOND)
    return rig


def check_end(rig: KilledRig, story: Story, *, in_time: bool) -> None:
    """No order twice, nothing lost, and the books are the exchange's."""
    assert_quiet(rig)
    names = [order.client_id for order in rig.venue.placed]
    assert len(names) == len(set(names)), "sent twice"
    known = rig.engine.order_store.known
    assert {asked.signal_id for asked in rig.asked} <= set(known), "forgotten"
    for order in rig.venue.orders.values():
        assert order.place.parent_id in known, order
    for parent in known.values():
        theirs = sorted(
            fill.trade_id
            for order in rig.venue.orders.values()
            if order.place.parent_id == parent.id
            for fill in order.fills
        )
        assert sorted(fill.trade_id for fill in rig.report(parent.id).fills) == theirs, parent
    position = rig.engine.portfolio.position(*KEY)
    fees = sum((trade.fee for trade in rig.venue.account), Decimal(0))
    assert (Decimal(0) if position is None else position.fees) == fees
    report = rig.report("s1")
    if story.whole and in_time:
        assert known["s1"].filled == known["s1"].target, (report.reason_code, report)
    if story.held and report.reason_code != "INTENT_EXPIRED":
        assert rig.venue.held_lots == 0, ("the position was left without its stop", report)
