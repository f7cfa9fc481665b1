"""One random story told twice: plain, and mirrored, scaled, or at an exchange whose book shows our orders.

A story is of ticks, lots and shares, so that each twin makes its own prices and sizes of it. The derivative that they
trade may be sold short, so that a stop has its mirror too.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from algo_signals import HELD, NEED_A_LIMIT, params_of
from engine_kit import MS, SECOND, START, SYMBOL, VENUE, Rig, config, rules, signal

from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import DepthUpdate, TradeTick
from citadel_micro.core.model.risk_limits import paper_defaults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine_exchange import Request

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event, Side

MID: Final = 612_345
"""In ticks: what the mirror turns about. No round one, so that no distance in basis points is a whole number of ticks:
what is rounded there would be rounded to different sides."""
HUGE: Final = Decimal(10) ** 15
LEVELS: Final = 5
OTHERS: Final = (600, 4_000)
"""Lots of others at a price: always more than ours. Until a fill is reported ours are thought to be more than they are,
and no smaller size would be known to be another's."""


OF_THE_OTHERS: Final[dict[str, dict[str, Any]]] = {
    "limit": {"time_limit_ms": 10_000},
    "marketable_limit": {"time_limit_ms": 10_000},
    "peg": {"time_limit_ms": 10_000, "offset_ticks": -1},
    "stop": {"after": "chase"},
    "ladder": {"levels": 3, "even": True},
}
"""Parameters of those that ``algo_signals`` does not draw."""


class Twin(NamedTuple):
    """How it differs from the plain one."""

    mirrored: bool = False
    scale: int = 1
    shows_own: bool = False


class Sent(NamedTuple):
    """A request, as the plain twin would have made it."""

    at_ns: int
    kind: str
    price_ticks: int
    lots: int
    flags: tuple[object, ...]


class TwinRig(Rig):
    """An engine and its exchange, whose prices and sizes are given in those of the plain one."""

    def __init__(self, twin: Twin, seed: int) -> None:
        self.twin = twin
        self._sizes = Random(seed)
        self._mid, self._spread = MID, 1
        self._levels: list[tuple[int, int]] = []
        scale = twin.scale
        instrument = rules(
            kind="linear",
            settle="USDT",
            tick=Decimal("0.1") * scale,
            lot=Decimal("0.001") * scale,
        )
        venue = VenueConfig(
            shows_own_orders=twin.shows_own,
            fill_or_kill=True,
            messages_per_second=100,
            message_burst=500,
        )
        limits = paper_defaults(
            lease_required=False,
            max_open_orders=1_000,
            depth_participation_bps=10_000.0,
            max_order_notional=HUGE,
            max_position_notional=HUGE,
            max_gross_exposure=HUGE,
            max_net_exposure=HUGE,
            max_venue_exposure={"*": HUGE},
            max_daily_loss=HUGE,
            max_rolling_loss=HUGE,
            max_drawdown=HUGE,
        )
        super().__init__(config(venue, limits=limits), instrument=instrument, chance=Random(seed))
        self.venue.coins = {"USDT": "1000000000000"}
        self.venue.partial_share = 0.0

    # what happens, in plain ticks and lots

    def move(self, by: int, spread: int) -> None:
        """The market moves, and takes with it what rests in its way."""
        self._mid, self._spread = self._mid + by, spread
        for order in self.venue.open_orders():
            buys = (order.place.side == "buy") != self.twin.mirrored
            at = self._plain_ticks(order.price_ticks)
            if at >= self._mid + spread if buys else at <= self._mid:
                self.venue.fill(order.place.client_id, order.quantity_lots)
        self._levels = [
            (self._sizes.randint(*OTHERS), self._sizes.randint(*OTHERS)) for _ in range(LEVELS)
        ]
        self.show()

    def show(self) -> list[Command]:
        """The whole book as it is now."""
        self.seq += 1
        mirrored = self.twin.mirrored
        sides: list[dict[int, int]] = []
        for upper in (False, True):
            best, step = (self._mid + self._spread, 1) if upper else (self._mid, -1)
            sides.append({best + n * step: sizes[upper] for n, sizes in enumerate(self._levels)})
        if mirrored:
            sides = [{2 * MID - at: lots for at, lots in side.items()} for side in sides[::-1]]
        self.venue.bid_ticks, self.venue.ask_ticks = max(sides[0]), min(sides[1])
        if self.twin.shows_own:
            for order in self.venue.open_orders():
                side = sides[order.place.side == "sell"]
                own = order.quantity_lots - order.filled_lots
                side[order.price_ticks] = side.get(order.price_ticks, 0) + own
        bids, asks = [
            [(self._price(at), self._size(lots)) for at, lots in side.items()] for side in sides
        ]
        return self.send(
            DepthUpdate(
                VENUE, SYMBOL, True, self.seq, self.seq, -1, None, bids, asks, self.now, self.now
            )
        )

    def deliver(self, events: Sequence[Event]) -> None:
        """The book has what the exchange has done before its reports are here."""
        if events and self._levels:
            self.show()
        super().deliver(events)

    def book(self, *_args: Any, **_more: Any) -> list[Command]:  # noqa: ANN401 - of the plain rig
        """Confirmed now and then: the same again."""
        if not self._levels:
            self.move(0, 1)
            return []
        return self.show()

    def traded(self, lots: int) -> None:
        """Somebody takes from the bid (mirrored: the ask)."""
        self.seq += 1
        at, side = self._mid, "sell"
        if self.twin.mirrored:
            at, side = 2 * MID - at, "buy"
        price, size = self._price(at), self._size(lots)
        tick = TradeTick(VENUE, SYMBOL, f"m{self.seq}", price, size, side, self.now, self.now)  # type: ignore[arg-type]
        self.send(tick)

    def fill_some(self, share: float) -> None:
        """A part of what rests first."""
        resting = self.venue.open_orders()
        if resting:
            order = resting[0]
            lots = order.quantity_lots - order.filled_lots
            self.venue.fill(order.place.client_id, max(1, int(lots * share)))

    def order(self, name: str, side: Side, lots: int, **changes: Any) -> None:  # noqa: ANN401 - of a signal
        """An order of plain ticks: ``limit`` and ``stop``."""
        if self.twin.mirrored:
            side = "sell" if side == "buy" else "buy"
        prices = {
            f"{key}_price": self.decimal(changes.pop(key))
            for key in ("limit", "stop")
            if key in changes
        }
        values: dict[str, Any] = {
            "side": side,
            "quantity": self.instrument.quantity(lots),
            "algo": name,
            "created_ns": self.now,
            "expires_ns": START + 3_600 * SECOND,
        }
        self.send(signal(changes.pop("signal_id", "s1"), **(values | prices | changes)))

    def decimal(self, ticks: int) -> Decimal:
        """A price of the plain one as this one has it."""
        return self.instrument.price(2 * MID - ticks if self.twin.mirrored else ticks)

    def _plain_ticks(self, ticks: int) -> int:
        return 2 * MID - ticks if self.twin.mirrored else ticks

    def _price(self, ticks: int) -> float:
        return self.instrument.price_float(ticks)

    def _size(self, lots: int) -> float:
        return float(self.instrument.quantity(lots))

    # what came of it

    def story(self) -> list[Sent]:
        """Everything that was sent, turned back."""
        return [self._plain(at, request) for at, request in self.venue.requests]

    def _plain(self, at_ns: int, request: Request) -> Sent:
        if not isinstance(request, PlaceOrder | AmendOrder):
            return Sent(at_ns, type(request).__name__, 0, 0, ())
        price = self._plain_ticks(request.price_ticks)
        flags: tuple[object, ...] = (request.post_only,)
        if isinstance(request, PlaceOrder):
            flags = (request.post_only, request.time_in_force, request.reduce_only)
        return Sent(at_ns, type(request).__name__, price, request.quantity_lots, flags)


def play(name: str, seed: int, twin: Twin) -> TwinRig:
    """A random order of this algorithm in a random market, until it has ended."""
    chance = Random(seed)
    rig = TwinRig(twin, seed)
    lots = chance.randint(20, 500)
    side: Side = chance.choice(("buy", "sell"))
    changes: dict[str, Any] = {}
    params = dict(OF_THE_OTHERS[name]) if name in OF_THE_OTHERS else params_of(name, chance)
    if name == "bracket":
        params["entry"] = "chase_limit"
    if "expected_volume" in params:
        params["expected_volume"] *= twin.scale
    if name in HELD or name == "stop":
        rig.order("marketable_limit", side, lots, signal_id="open")
        rig.run(SECOND)
        side = "sell" if side == "buy" else "buy"
        away = chance.choice((6, 12)) * (-1 if side == "sell" else 1)
        changes = {"kind": "stop", "stop": MID + away}
        if name == "oco":
            params["take_profits"] = str(rig.decimal(MID - away))
    if name in (*NEED_A_LIMIT, "limit") or (name not in HELD and chance.random() < 0.3):
        changes["limit"] = MID + chance.randint(-30, 30)
    rig.order(name, side, lots, params=tuple(sorted(params.items())), **changes)
    for _ in range(25):
        what = chance.random()
        if what < 0.45:
            rig.move(chance.randint(-8, 8), chance.choice((1, 1, 3, 10)))
        elif what < 0.6:
            rig.fill_some(chance.random())
        elif what < 0.7:
            rig.traded(chance.randint(1, 300))
        rig.run(chance.choice((5, 100, 400, 1_500)) * MS)
    return rig
