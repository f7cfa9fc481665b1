"""A calm day before the risk gate, what of it can be changed, and its orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from citadel_micro.core.model.account_events import MarginTier
from citadel_micro.core.model.commands import AmendOrder, PlaceOrder
from citadel_micro.core.model.events import (
    MarginTerms,
    MarkPrice,
    OrderFilled,
    Side,
)
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.model.risk_limits import RiskLimits, paper_defaults
from citadel_micro.core.portfolio.portfolio import Portfolio
from citadel_micro.core.risk.manager import RiskManager, RiskRequest, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.core.risk.types import Standing

VENUE, BTC, ETH = "binance-spot", "BTC/USDT", "ETH/USDT"
S = 1_000_000_000
NOW = 1_800_000_000 * S


def rules(
    symbol: str = BTC,
    *,
    venue: str = VENUE,
    kind: Literal["spot", "linear", "inverse"] = "spot",
    settle: str = "USDT",
) -> Instrument:
    base, _, rest = symbol.partition("/")
    return Instrument(
        venue=venue,
        symbol=symbol,
        venue_symbol=symbol,
        base=base,
        quote=rest.partition(":")[0],
        settle=settle,
        kind=kind,
        tick=Decimal("0.5"),
        lot=Decimal(1) if kind == "inverse" else Decimal("0.01"),
        min_lots=1,
        min_notional=Decimal(5),
        contract_size=Decimal(100) if kind == "inverse" else Decimal(1),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.002"),
        fee_side="received",
    )


class FakeBook:
    """Levels around 100.0: bids 99.5, 99.0 ..., asks 100.5, 101.0 ..., 10 units each."""

    def __init__(self, scale: float = 1.0) -> None:
        self.bids = {(99.9 - 0.1 * i) * scale: 10.0 for i in range(30)}
        self.asks = {(100.1 + 0.1 * i) * scale: 10.0 for i in range(30)}

    def displayed(self, side: Side, mid: float, reach: float, enough: float) -> float:
        shown = 0.0
        sizes = self.bids if side == "buy" else self.asks
        for price in sorted(sizes, reverse=side == "buy"):
            if abs(price - mid) > reach or shown >= enough:
                break
            shown += sizes[price]
        return shown


@dataclass
class FakeMarket:
    state: str = "LIVE"
    reason: str = ""
    last_seq: int = 77
    proof_ns: int = NOW
    on_demand: bool = False
    quote: tuple[float, float, float, float] | None = (99.9, 10.0, 100.1, 10.0)
    book: FakeBook = field(default_factory=FakeBook)

    @property
    def crossed(self) -> bool:
        return self.quote is not None and self.quote[0] >= self.quote[2]

    def best(self) -> tuple[float, float, float, float] | None:
        return self.quote


@dataclass
class FakeView:
    """A calm day: two spot symbols, a live book at 100, money, nothing pending."""

    portfolio: Portfolio = field(default_factory=Portfolio)
    reconciling: bool = False
    skew_ns: int = 0
    instruments: dict[tuple[str, str], Instrument] = field(default_factory=dict)
    markets: dict[tuple[str, str], FakeMarket] = field(default_factory=dict)
    pending: dict[tuple[str, str, Side], int] = field(default_factory=dict)
    reductions: int = 0
    parents: int = 0
    parents_here: int = 0
    own: dict[Side, int] = field(default_factory=dict)
    held: int = 0
    held_here: int = 0
    lease: int | None = 0
    unknown: int = 0
    working: dict[tuple[str, str], dict[tuple[str, str], tuple[int, int]]] = field(
        default_factory=dict
    )

    def instrument(self, venue: str, symbol: str) -> Instrument | None:
        return self.instruments.get((venue, symbol))

    def market(self, venue: str, symbol: str) -> FakeMarket | None:
        return self.markets.get((venue, symbol))

    def pending_lots(self, venue: str, symbol: str, side: Side, exclude_parent: str) -> int:
        del exclude_parent
        return self.pending.get((venue, symbol, side), 0)

    def pending_of(
        self, kind: str, name: str, exclude_parent: str
    ) -> Mapping[tuple[str, str], tuple[int, int]]:
        del exclude_parent
        return self.working.get((kind, name), {})

    def claimed_lots(self, venue: str, symbol: str, side: Side, parent_id: str) -> int:
        return max(self.reductions, self.pending_lots(venue, symbol, side, parent_id))

    def open_parents(self, venue: str | None) -> int:
        return self.parents if venue is None else self.parents_here

    def own_best(self, venue: str, symbol: str, side: Side) -> int | None:
        del venue, symbol
        return self.own.get(side)

    def held_orders(self) -> int:
        return self.held

    def held_lots(self, venue: str, symbol: str, side: Side) -> int:
        del venue, symbol, side
        return self.held_here

    def lease_age_ns(self, now_ns: int) -> int | None:
        del now_ns
        return self.lease

    def owner_age_ns(self, owner: str, epoch: int, now_ns: int) -> int | None:
        del owner, epoch, now_ns
        return self.lease

    def owner_skew_ns(self, owner: str, epoch: int) -> int:
        del owner, epoch
        return self.skew_ns

    def unknown_children(self, venue: str, symbol: str) -> int:
        del venue, symbol
        return self.unknown

    def standing(self, venue: str, symbol: str, side: Side, parent_id: str) -> Standing | None:
        elsewhere: list[tuple[Instrument, int, int]] = []
        for its_venue, its_symbol, lots in self.active_symbols():
            rules = self.instruments.get((its_venue, its_symbol))
            if rules is None:
                return None
            if (its_venue, its_symbol) != (venue, symbol):
                elsewhere.append((rules, lots["buy"], lots["sell"]))
        other: Side = "sell" if side == "buy" else "buy"
        same, back = (self.pending_lots(venue, symbol, each, parent_id) for each in (side, other))
        own, count = self.own.get(other, 0), max(self.parents, self.parents_here)
        return None if self.unknown else (same, back, own, count, elsewhere)

    def active_symbols(self) -> Sequence[tuple[str, str, Mapping[Side, int]]]:
        rows: dict[tuple[str, str], dict[Side, int]] = {}
        for (venue, symbol, side), lots in self.pending.items():
            rows.setdefault((venue, symbol), {"buy": 0, "sell": 0})[side] = lots
        return [(venue, symbol, lots) for (venue, symbol), lots in rows.items()]


def calm(position: str = "0", other: str = "0") -> FakeView:
    """The calm day with positions in BTC (entered at 100) and ETH (at 50)."""
    view = FakeView()
    for symbol in (BTC, ETH):
        view.instruments[(VENUE, symbol)] = rules(symbol)
        view.markets[(VENUE, symbol)] = FakeMarket()
    hold(view, BTC, position, 200)
    hold(view, ETH, other, 100)
    view.portfolio.mark(VENUE, BTC, 100.0)
    view.portfolio.mark(VENUE, ETH, 50.0)
    plenty = Decimal(10**9)
    view.portfolio.set_balances(VENUE, [(c, plenty, Decimal(0)) for c in ("USDT", "BTC", "ETH")])
    return view


def hold(view: FakeView, symbol: str, quantity: str, ticks: int, *, venue: str = VENUE) -> None:
    """Add a position by a fill without fee."""
    instrument = view.instruments[(venue, symbol)]
    lots = instrument.lots(abs(Decimal(quantity)))
    if lots:
        fill = OrderFilled(
            venue=venue,
            symbol=symbol,
            client_id="c",
            trade_id="t",
            price_ticks=ticks,
            quantity_lots=lots,
            cumulative_lots=-1,
            fee=Decimal(0),
            fee_currency=instrument.settle,
            liquidity="maker",
            exchange_ns=1,
        )
        side: Side = "buy" if Decimal(quantity) > 0 else "sell"
        view.portfolio.apply_fill(instrument, side, fill, NOW)


def limits(**changes: object) -> RiskLimits:
    """Every limit of the calm day: sizes in units of 100 USDT."""
    values: dict[str, object] = {
        "max_order_quantity": {BTC: Decimal(5), ETH: Decimal(50)},
        "max_order_notional": Decimal(2_000),
        "max_position_quantity": {BTC: Decimal(20), ETH: Decimal(100)},
        "max_position_notional": Decimal(10_000),
        "max_gross_exposure": Decimal(20_000),
        "max_net_exposure": Decimal(20_000),
        "max_venue_exposure": {VENUE: Decimal(20_000)},
        "max_open_orders": 4,
        "max_open_orders_per_venue": 4,
        "max_daily_loss": Decimal(100),
        "max_rolling_loss": Decimal(80),
        "max_drawdown": Decimal(150),
        "allowed_venues": (VENUE,),
        "allowed_symbols": (BTC, ETH),
        "depth_participation_bps": 5_000.0,
    }
    values.update(changes)
    return paper_defaults(**values)


def parent(**changes: object) -> RiskRequest:
    values: dict[str, Any] = {
        "scope": "parent",
        "venue": VENUE,
        "symbol": BTC,
        "strategy": "trend",
        "side": "buy",
        "quantity_lots": 100,
        "price_ticks": 200,
        "post_only": False,
        "reduce_only": False,
        "ioc": False,
        "parent_id": "run-1",
        "signal_created_ns": NOW,
        "signal_expires_ns": NOW + 10 * S,
    }
    values.update(changes)
    values.setdefault("exposure_lots", values["quantity_lots"])
    return RiskRequest(**values)


def child(**changes: object) -> RiskRequest:
    return parent(**{"scope": "child", **changes})


def place(request: RiskRequest, **changes: object) -> PlaceOrder:
    values: dict[str, Any] = {
        "venue": request.venue,
        "symbol": request.symbol,
        "client_id": "run-1-1",
        "parent_id": request.parent_id,
        "side": request.side,
        "price_ticks": request.price_ticks,
        "quantity_lots": request.quantity_lots,
        "post_only": request.post_only,
        "time_in_force": "IOC" if request.ioc else "GTC",
        "reduce_only": request.reduce_only,
        "expires_ns": NOW + S,
    }
    return PlaceOrder(**{**values, **changes})


def amend(request: RiskRequest, **changes: object) -> AmendOrder:
    order = place(request)
    values = {name: getattr(order, name) for name in AmendOrder.__slots__}
    return AmendOrder(**{**values, **changes})


def judge(
    request: RiskRequest, view: FakeView | None = None, bounds: RiskLimits | None = None
) -> Verdict:
    return RiskManager(bounds or limits()).judge(request, view or calm(), NOW)


def failed(verdict: Verdict) -> list[str]:
    return [row.code for row in verdict.checks if not row.ok]


def with_market(**changes: object) -> FakeView:
    view = calm()
    for name, value in changes.items():
        setattr(view.markets[(VENUE, BTC)], name, value)
    return view


def with_view(**changes: object) -> FakeView:
    view = calm()
    for name, value in changes.items():
        setattr(view, name, value)
    return view


def margined(wallet: str = "1000", *, leverage: int = 5, most: str = "5000") -> FakeView:
    """The calm day, where BTC is a derivative with isolated margin."""
    view = calm()
    view.instruments[(VENUE, BTC)] = rules(kind="linear")
    view.portfolio.set_balances(VENUE, [("USDT", Decimal(wallet), Decimal(0))])
    margin = view.portfolio.margin
    margin.venues = frozenset({VENUE})
    tier = MarginTier(Decimal(most), 20, Decimal("0.004"), Decimal(0))
    margin.terms[VENUE, BTC] = MarginTerms(
        venue=VENUE, symbol=BTC, mode="isolated", leverage=leverage, tiers=(tier,)
    )
    margin.marks[VENUE, BTC] = MarkPrice(VENUE, BTC, 100.0, 100.0, 0.0001, 0, NOW, NOW)
    return view


def losing(mark: float, position: str = "10") -> FakeView:
    view = calm(position)
    view.portfolio.mark(VENUE, BTC, mark)
    view.markets[(VENUE, BTC)] = FakeMarket(quote=(mark - 0.1, 1.0, mark + 0.1, 1.0))
    view.markets[(VENUE, BTC)].book = FakeBook(mark / 100)
    return view


def poor(free: str, used: str = "0", currency: str = "USDT") -> FakeView:
    view = calm()
    view.portfolio.set_balances(VENUE, [(currency, Decimal(free), Decimal(used))])
    return view


def without(part: str) -> FakeView:
    view = calm()
    if part == "instrument":
        view.instruments.clear()
    elif part == "market":
        view.markets.clear()
    elif part == "balances":
        view.portfolio = Portfolio()
        view.portfolio.mark(VENUE, BTC, 100.0)
    return view


def hollow(side: str) -> FakeBook:
    """A book with nothing near the mid on one side, or with sizes that are no numbers."""
    book = FakeBook()
    if side == "asks":
        book.asks = {102.0: 1000.0}
    elif side == "bids":
        book.bids = {98.0: 1000.0}
    else:
        book.bids = dict.fromkeys(book.bids, float(side))
    return book


def with_pending(symbol: str, side: Side, lots: int) -> FakeView:
    view = calm()
    view.pending[(VENUE, symbol, side)] = lots
    return view


def pending_and_poor(symbol: str, side: Side, free: str) -> FakeView:
    view = poor(free, currency="USDT" if side == "buy" else "BTC")
    view.pending[(VENUE, symbol, side)] = 50
    return view
