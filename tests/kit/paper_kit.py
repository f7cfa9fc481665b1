"""A small public market and a paper venue on it, for tests."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.core.model.events import DepthUpdate, OrderDone, OrderFilled, TradeTick
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.sim.paper import PaperVenue
from citadel_micro.sim.paper_config import PaperConfig
from citadel_micro.sim.paper_link import LinkConfig

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Levels, MarketEvent, Side, VenueReport
    from citadel_micro.sim.paper_link import Request

VENUE = "binance-spot"
SYMBOL = "BTC/USDT"
MS = 1_000_000


def spot(**changes: object) -> Instrument:
    rules: dict[str, object] = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "venue_symbol": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "kind": "spot",
        "tick": Decimal(1),
        "lot": Decimal("0.01"),
        "min_lots": 1,
        "min_notional": Decimal(5),
        "contract_size": Decimal(1),
        "maker_fee": Decimal("0.001"),
        "taker_fee": Decimal("0.001"),
        "fee_side": "received",
    }
    return Instrument(**{**rules, **changes})  # type: ignore[arg-type]


class Bench:
    """One instrument, its public book, and the paper venue; time moves by ``at``."""

    def __init__(
        self,
        instrument: Instrument | None = None,
        *,
        config: PaperConfig | None = None,
        bids: Levels | None = None,
        asks: Levels | None = None,
    ) -> None:
        self.instrument = instrument or spot()
        self.market = MarketBook(VENUE, self.instrument.symbol, "range_bridge_spot")
        self.venue = PaperVenue(
            VENUE, {self.instrument.symbol: self.instrument}, config or quiet_config()
        )
        self.now = 0
        self.seq = 100
        self.reports: list[VenueReport] = []
        self._orders = 0
        self.depth(
            bids or [(100.0, 1.0), (99.0, 2.0)], asks or [(102.0, 1.0), (103.0, 2.0)], new=True
        )

    def at(self, now_ns: int) -> list[VenueReport]:
        """Move time; returns what was reported on the way."""
        self.now = now_ns
        fresh = self.venue.due(now_ns)
        self.reports += fresh
        return fresh

    def settle(self) -> list[VenueReport]:
        """Let everything that is on its way arrive."""
        fresh: list[VenueReport] = []
        while (due := self.venue.next_timer()) is not None:
            fresh += self.at(max(self.now, due))
        return fresh

    def depth(self, bids: Levels, asks: Levels, *, new: bool = False) -> None:
        self.seq += 1
        update = DepthUpdate(
            VENUE,
            self.instrument.symbol,
            new,
            self.seq,
            self.seq,
            -1,
            None,
            bids,
            asks,
            0,
            self.now,
        )
        self.market.on_depth(update)
        self.feed(update)

    def trade(self, price: float, size: float, side: Side) -> None:
        tick = TradeTick(
            VENUE, self.instrument.symbol, str(self.seq), price, size, side, 0, self.now
        )
        self.market.on_trade(tick)
        self.feed(tick)

    def feed(self, event: MarketEvent) -> None:
        self.venue.on_market(event, self.market, self.now)

    def order(
        self,
        side: Side,
        price: int,
        lots: int,
        *,
        post_only: bool = False,
        ioc: bool = False,
        whole: bool = False,
        reduce_only: bool = False,
        expires_ns: int = 1 << 62,
    ) -> str:
        self._orders += 1
        client_id = f"o-{self._orders}"
        self.send(
            PlaceOrder(
                venue=VENUE,
                symbol=self.instrument.symbol,
                client_id=client_id,
                parent_id="p",
                side=side,
                price_ticks=price,
                quantity_lots=lots,
                post_only=post_only,
                time_in_force="FOK" if whole else "IOC" if ioc else "GTC",
                reduce_only=reduce_only,
                expires_ns=expires_ns,
            )
        )
        return client_id

    def send(self, request: Request) -> None:
        self.venue.submit(request, self.now)

    def fills(self, client_id: str) -> list[tuple[int, int, str]]:
        """(price ticks, lots, liquidity) of each distinct fill reported so far."""
        seen = {
            r.trade_id: (r.price_ticks, r.quantity_lots, str(r.liquidity))
            for r in self.reports
            if isinstance(r, OrderFilled) and r.client_id == client_id
        }
        return list(seen.values())

    def done(self, client_id: str) -> OrderDone | None:
        for report in self.reports:
            if isinstance(report, OrderDone) and report.client_id == client_id:
                return report
        return None


def quiet_config(**changes: object) -> PaperConfig:
    """Rich, 1 ms each way, no chance."""
    rules: dict[str, object] = {
        "balances": {"USDT": Decimal(100_000), "BTC": Decimal(10)},
        "link": LinkConfig(latency_floor_ns=MS, latency_mean_ns=0),
    }
    return PaperConfig(**{**rules, **changes})  # type: ignore[arg-type]
