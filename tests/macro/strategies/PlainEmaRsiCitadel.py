"""``PlainEmaRsi`` with the mixin in use everywhere it can be."""

from __future__ import annotations

from typing import Any

from PlainEmaRsi import PlainEmaRsi

from citadel_macro.strategy import CitadelStrategy


class PlainEmaRsiCitadel(CitadelStrategy, PlainEmaRsi):
    """Asks micro for books, and says how to execute: neither may change a backtest."""

    def custom_entry_price(self, pair: str, proposed_rate: float, **kwargs: Any) -> float:
        book = self.micro.book(pair)
        return proposed_rate if book is None else book.best_ask

    def confirm_trade_entry(self, pair: str, **kwargs: Any) -> bool:
        self.micro.execution(pair, urgency="high", confidence=0.5)
        book = self.micro.book(pair)
        return book is None or book.imbalance > 0

    def custom_exit(self, pair: str, **kwargs: Any) -> str | None:
        book = self.micro.book(pair)
        return None if book is None else "book"
