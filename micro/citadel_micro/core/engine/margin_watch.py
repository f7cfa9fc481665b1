"""Mark prices, margin terms and funding of derivatives, and how near positions are to liquidation."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.events import FundingDue, MarginTerms, MarkPrice
from citadel_micro.core.model.time_units import FAR, SECOND

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from citadel_micro.core.engine.account_history import AccountHistory
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.portfolio.position import Position

FUNDING_LATE_NS: Final = 30 * SECOND
"""Payments are asked for so long after their time, where the stream has not told of them (Binance:
settled within 15 s of it)."""
_Key = tuple[str, str]


class MarginWatch:
    """Keeps the portfolio's ``MarginBook``, and asks for funding when it was due."""

    def __init__(self, context: EngineContext, history: AccountHistory) -> None:
        self._inst_states = context.inst_states
        self._portfolio = context.view.portfolio
        self._limits = context.risk
        self._history = history
        self._out = context.out
        self._margin = self._portfolio.margin
        self._margin.venues = frozenset(
            name for name, venue in context.config.venues.items() if venue.margined
        )
        self._funding_ns: dict[_Key, int] = {}
        """When to ask for payments."""
        self._near: dict[_Key, None] = {}

    def handlers(self) -> Mapping[type, Callable[[Any, int], None]]:
        """By kind of event."""
        return {
            MarkPrice: self._on_mark,
            MarginTerms: self._on_terms,
            FundingDue: self._on_funding_due,
        }

    @property
    def due_ns(self) -> int:
        """Before then ``on_tick`` does nothing."""
        return min(self._funding_ns.values(), default=FAR)

    def on_tick(self, now_ns: int) -> None:
        """Ask for the payments that are due."""
        for key in [each for each, due_ns in self._funding_ns.items() if now_ns >= due_ns]:
            del self._funding_ns[key]
            self._history.want(key, now_ns)

    # inside

    def _on_mark(self, mark: MarkPrice, now_ns: int) -> None:
        key = mark[:2]
        if key not in self._inst_states or not math.isfinite(mark.mark) or mark.mark <= 0:
            return
        known = self._margin.marks.get(key)
        if known is not None:
            if mark.exchange_ns < known.exchange_ns:
                return
            if 0 < known.next_funding_ns < mark.next_funding_ns:
                self._funding_ns.setdefault(key, now_ns + FUNDING_LATE_NS)
        self._margin.marks[key] = mark
        position = self._portfolio.position(*key)
        if position is not None and (position.quantity or key in self._near):
            self._judge(key, position)

    def _on_terms(self, terms: MarginTerms, now_ns: int) -> None:
        del now_ns
        key = (terms.venue, terms.symbol)
        if key not in self._inst_states:
            return
        if self._margin.terms.get(key) != terms:
            self._margin.terms[key] = terms
            self._out.note(
                "error" if terms.text else "info",
                "margin_terms",
                venue=terms.venue,
                symbol=terms.symbol,
                mode=terms.mode,
                leverage=terms.leverage,
                **({"text": terms.text} if terms.text else {}),  # left out as in earlier journals
            )

    def _on_funding_due(self, due: FundingDue, now_ns: int) -> None:
        """The stream does not say whose it is: everything that was ever held is asked about."""
        for position in self._portfolio.positions():
            if position.venue == due.venue and position.kind != "spot":
                self._history.want((position.venue, position.symbol), now_ns)

    def _judge(self, key: _Key, position: Position) -> None:
        """Warn once when a position comes nearer to its liquidation than new risk may."""
        price, mark = self._portfolio.liquidation_price(position), self._margin.mark(key)
        near = False
        distance = Decimal(1)
        if price is not None and mark is not None and position.quantity:
            distance = abs(mark - price) / mark
            near = distance < self._limits.limits.liquidation_buffer
        if near and key not in self._near:
            self._near[key] = None
            self._out.note(
                "warning",
                "liquidation_near",
                venue=key[0],
                symbol=key[1],
                quantity=str(position.quantity),
                mark=str(mark),
                liquidation_price=f"{price:f}",
                distance=f"{distance:.4f}",
            )
        elif not near:
            self._near.pop(key, None)
