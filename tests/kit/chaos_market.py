"""The markets of a run in chaos: the true book of each, and the messages that a venue makes of it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.model.events import (
    DepthUpdate,
    QuoteTick,
    TradeTick,
)
from citadel_micro.core.model.instrument import Instrument

if TYPE_CHECKING:
    from random import Random

    from citadel_micro.core.model.events import Side

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
START: Final = 1_700_000_000 * SECOND
VENUE: Final = "binance-spot"


def instrument_of(symbol: str, tick: str, lot: str, **changes: object) -> Instrument:
    base, _, quote = symbol.partition(":")[0].partition("/")
    values: dict[str, Any] = {
        "venue": VENUE,
        "symbol": symbol,
        "venue_symbol": f"{base}{quote}",
        "base": base,
        "quote": quote,
        "settle": quote,
        "kind": "spot",
        "tick": Decimal(tick),
        "lot": Decimal(lot),
        "min_lots": 1,
        "min_notional": Decimal(5),
        "contract_size": Decimal(1),
        "maker_fee": Decimal("0.001"),
        "taker_fee": Decimal("0.001"),
        "fee_side": "received",
    }
    return Instrument(**{**values, **changes})


INSTRUMENTS: Final = {
    (each.venue, each.symbol): each
    for each in (
        instrument_of("BTC/USDT", "0.1", "0.001"),
        instrument_of("ETH/USDT", "0.01", "0.01", fee_side="quote", min_lots=2),
        instrument_of("BTC/USDT:USDT", "0.1", "0.001", kind="linear", fee_side="quote"),
    )
}
_MIDS: Final = {"BTC/USDT": 600_000, "ETH/USDT": 300_000, "BTC/USDT:USDT": 600_000}


class Market:
    """The true book of one symbol in ticks and lots, and the messages that a venue makes of it."""

    def __init__(self, instrument: Instrument, chance: Random) -> None:
        self.instrument = instrument
        self.chance = chance
        self.mid = _MIDS[instrument.symbol]
        self.seq = 1_000
        self.up = True
        self.silent_until = 0
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._draw(1)

    def depth(self, now_ns: int, *, lose: bool) -> DepthUpdate:
        """The next change; with ``lose`` one before it is lost on the way."""
        chance = self.chance
        before = dict(self.bids), dict(self.asks)
        if chance.random() < 0.4:
            jump = 200 if chance.random() < 0.01 else 8
            self.mid += chance.randint(-jump, jump)
        self._draw(chance.choice((1, 1, 1, 2, 5)), locked=chance.random() < 0.01)
        self.seq += 2 if lose else 1
        sides = []
        for old, new in zip(before, (self.bids, self.asks), strict=True):
            rows = {ticks: 0 for ticks in old if ticks not in new}
            rows.update((ticks, lots) for ticks, lots in new.items() if old.get(ticks) != lots)
            sides.append(self._levels(rows))
        return self._update(now_ns, sides[0], sides[1], snapshot=False)

    def snapshot(self, now_ns: int) -> DepthUpdate:
        """The whole book as it is."""
        return self._update(now_ns, self._levels(self.bids), self._levels(self.asks), snapshot=True)

    def quote(self, now_ns: int) -> QuoteTick:
        """Best prices on their own channel, ahead of the depth."""
        bid, ask = max(self.bids), min(self.asks)
        lot, price = self.instrument.lot_float, self.instrument.price_float
        sizes = [self.chance.randint(1, 40) * lot for _ in range(2)]
        seq = self.seq + 1
        symbol = self.instrument.symbol
        return QuoteTick(
            VENUE, symbol, seq, price(bid), sizes[0], price(ask), sizes[1], now_ns, now_ns
        )

    def trade(self, now_ns: int, number: int) -> TradeTick:
        """A trade at the touch, or through it."""
        chance = self.chance
        side: Side = chance.choice(("buy", "sell"))
        through = chance.choice((0, 0, 0, 1, 4))
        ticks = min(self.asks) + through if side == "buy" else max(self.bids) - through
        size = chance.randint(1, 300) * self.instrument.lot_float
        price = self.instrument.price_float(ticks)
        symbol = self.instrument.symbol
        return TradeTick(VENUE, symbol, f"m{number}", price, size, side, now_ns, now_ns)

    def _draw(self, spread: int, *, locked: bool = False) -> None:
        chance = self.chance
        bid = self.mid
        ask = bid if locked else bid + spread
        self.bids = {bid - n: chance.randint(1, 400) for n in range(6)}
        self.asks = {ask + n: chance.randint(1, 400) for n in range(6)}

    def _levels(self, rows: dict[int, int]) -> list[tuple[float, float]]:
        price, lot = self.instrument.price_float, self.instrument.lot_float
        return [(price(ticks), lots * lot) for ticks, lots in rows.items()]

    def _update(
        self,
        now_ns: int,
        bids: list[tuple[float, float]],
        asks: list[tuple[float, float]],
        *,
        snapshot: bool,
    ) -> DepthUpdate:
        symbol, seq = self.instrument.symbol, self.seq
        return DepthUpdate(VENUE, symbol, snapshot, seq, seq, -1, None, bids, asks, now_ns, now_ns)
