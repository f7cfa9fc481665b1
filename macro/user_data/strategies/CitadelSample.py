"""A small strategy that checks micro's order book before it enters.

It shows what the bridge adds to Freqtrade; it is not a way to make money.

Entry, three conditions:

1. the last candle traded at all (all that the candles decide);
2. micro's book is fresh: LIVE, proven within ``citadel.book_max_age_ms``, spread at most
   ``max_spread_bps``;
3. the book leans to the buyers: imbalance of the published levels at least ``min_imbalance`` and
   the microprice at or above the mid (Stoikov 2018: the microprice is the better forecast of where
   the mid goes next).

Exit: ``minimal_roi``, the stop, or ``hold_s`` after the entry, whichever comes first.

In a backtest there is no book, so only condition 1 and the exits remain: use it to see the
mechanics, not to judge the rule.

Every parameter can be set from the configuration::

    "citadel_sample": {"hold_s": 600, "min_imbalance": 0.3, "stakes": {"BTC/USDT": 500}}
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - Freqtrade reads the signatures
from typing import TYPE_CHECKING, Any

from freqtrade.strategy import IStrategy

from citadel_macro.strategy import CitadelStrategy
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from freqtrade.persistence import Trade
    from pandas import DataFrame

SECTION = "citadel_sample"


class CitadelSample(CitadelStrategy, IStrategy):
    """Enter when micro's book leans to the buyers; exit at a small profit or after a while."""

    INTERFACE_VERSION = 3

    timeframe = "1m"
    process_only_new_candles = False  # the book decides, and it does not wait for candles
    startup_candle_count = 5
    can_short = False

    minimal_roi = {"0": 0.01}
    stoploss = -0.05
    use_exit_signal = True
    order_types = {
        "entry": "limit",
        "exit": "limit",
        "stoploss": "market",
        "stoploss_on_exchange": False,
    }

    hold_s: float = 300.0
    """Longest time in a position, in seconds."""
    min_imbalance: float = 0.1
    """Least imbalance of the book for an entry, in [-1, 1]."""
    max_spread_bps: float = 10.0
    """Widest spread for an entry, in basis points of the mid."""
    room_bps: float = 5.0
    """How far beyond the opposite best price an order may chase, in basis points."""
    urgency: str = "high"
    """Urgency of the chase: passive, normal, high or cross."""
    patience_s: float = 20.0
    """How long an order chases before it crosses, within ``room_bps``."""
    stakes: dict[str, float] = {}
    """Stake per pair, in place of ``stake_amount``."""
    passive_pairs: tuple[str, ...] = ()
    """Pairs whose entries never go above the best bid, so that they may fill in part or not."""

    def bot_start(self, **kwargs: Any) -> None:
        """Read parameters from the section ``citadel_sample`` of the configuration."""
        for name, value in self.config.get(SECTION, {}).items():
            known = [key for key in vars(CitadelSample) if key in CitadelSample.__annotations__]
            if name not in known:
                raise BadInput(
                    f"unknown parameter {name!r}",
                    where=f"section {SECTION!r} of the configuration",
                    allowed=", ".join(sorted(known)),
                )
            setattr(self, name, tuple(value) if name == "passive_pairs" else value)

    def populate_indicators(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """None are needed."""
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Condition 1: something traded."""
        dataframe.loc[dataframe["volume"] > 0, ["enter_long", "enter_tag"]] = (1, "book")
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """No exit comes from candles."""
        return dataframe

    def leans_up(self, pair: str) -> bool:
        """Conditions 2 and 3; True in a backtest, where there is no book to ask."""
        if not self.micro.live:
            return True
        book = self.micro.book(pair)
        return (
            book is not None
            and book.fresh
            and book.spread <= book.mid * self.max_spread_bps / 1e4
            and book.imbalance >= self.min_imbalance
            and book.microprice >= book.mid
        )

    def _chase(self, pair: str, tag: str) -> None:
        """Have the next order of ``pair`` rest at the best price first, and cross at the end."""
        self.micro.execution(
            pair,
            urgency=self.urgency,
            tag=tag,
            time_limit_ms=int(self.patience_s * 1_000),
            on_timeout="cross_ioc",
        )

    def custom_stake_amount(self, pair: str, proposed_stake: float, **kwargs: Any) -> float:
        """Stake from ``stakes``, else what Freqtrade proposes."""
        return self.stakes.get(pair, proposed_stake)

    def custom_entry_price(self, pair: str, proposed_rate: float, **kwargs: Any) -> float:
        """Worst price of the entry: a little above the best ask, or the best bid if passive."""
        book = self.micro.book(pair)
        if book is None or not book.fresh:
            return proposed_rate
        if pair in self.passive_pairs:
            return book.best_bid
        return book.best_ask * (1 + self.room_bps / 1e4)

    def custom_exit_price(self, pair: str, proposed_rate: float, **kwargs: Any) -> float:
        """Worst price of the exit: a little below the best bid."""
        book = self.micro.book(pair)
        if book is None or not book.fresh:
            return proposed_rate
        self._chase(pair, "exit")
        return book.best_bid * (1 - self.room_bps / 1e4)

    def confirm_trade_entry(self, pair: str, **kwargs: Any) -> bool:
        """Enter if the book leans up; ask micro to chase."""
        if not self.leans_up(pair):
            return False
        if pair not in self.passive_pairs:
            self._chase(pair, "entry")
        return True

    def custom_exit(
        self, pair: str, trade: Trade, current_time: datetime, **kwargs: Any
    ) -> str | None:
        """Exit ``hold_s`` after the first fill."""
        since = trade.date_entry_fill_utc or trade.open_date_utc
        held = (current_time - since).total_seconds()
        return "held_long_enough" if held >= self.hold_s else None
