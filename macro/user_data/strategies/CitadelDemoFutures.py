"""The demo on futures: what ``citadel demo --futures`` runs in Freqtrade.

As ``CitadelDemo``, at ``leverage_`` times the stake; ``short_pairs`` of the section ``citadel_demo`` are
sold short, when micro's book leans to the sellers, and the others are bought.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from CitadelDemo import SECTION, CitadelDemo

if TYPE_CHECKING:
    from pandas import DataFrame


class CitadelDemoFutures(CitadelDemo):
    """Long and short, with the demo's faults."""

    can_short = True
    leverage_: float = 1.0
    """Of every position."""
    short_pairs: tuple[str, ...] = ()

    def bot_start(self, **kwargs: Any) -> None:
        """Take parameters from the configuration, this strategy's and the demo's."""
        super().bot_start(**kwargs)
        section = self.config.get(SECTION, {})
        self.leverage_ = float(section.get("leverage", self.leverage_))
        self.short_pairs = tuple(section.get("short_pairs", ()))

    def leverage(self, pair: str, **kwargs: Any) -> float:
        """The same for each position."""
        return self.leverage_

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict[str, Any]) -> DataFrame:
        """Something traded: enter each pair in its direction."""
        column = "enter_short" if metadata["pair"] in self.short_pairs else "enter_long"
        dataframe.loc[dataframe["volume"] > 0, [column, "enter_tag"]] = (1, "book")
        return dataframe

    def leans_up(self, pair: str) -> bool:
        """Whether the book leans the way that ``pair`` is entered: to the sellers for a short."""
        if pair not in self.short_pairs:
            return super().leans_up(pair)
        book = self.micro.book(pair)
        return (
            book is not None
            and book.fresh
            and book.spread <= book.mid * self.max_spread_bps / 1e4
            and -book.imbalance >= self.min_imbalance
            and book.microprice <= book.mid
        )

    def custom_entry_price(self, pair: str, proposed_rate: float, **kwargs: Any) -> float:
        """Worst price of the entry: of a short, a little below the best bid."""
        book = self.micro.book(pair)
        if pair not in self.short_pairs or book is None or not book.fresh:
            return super().custom_entry_price(pair, proposed_rate, **kwargs)
        return book.best_bid * (1 - self.room_bps / 1e4)

    def custom_exit_price(self, pair: str, proposed_rate: float, **kwargs: Any) -> float:
        """Worst price of the exit: of a short, a little above the best ask."""
        book = self.micro.book(pair)
        if pair not in self.short_pairs or book is None or not book.fresh:
            return super().custom_exit_price(pair, proposed_rate, **kwargs)
        self._chase(pair, "exit")
        return book.best_ask * (1 + self.room_bps / 1e4)
