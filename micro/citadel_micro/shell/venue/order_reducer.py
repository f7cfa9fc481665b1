"""One reducer for all statements of a venue about our orders, from any source and in any order.

Answers and stream overtake each other, and both may repeat themselves. So nothing here depends on
the order: a fill counts once by (symbol, venue's order id, trade id), an order is acknowledged
by whatever shows that the venue has it, a statement older than the known state adds nothing.
Contradictions (a smaller final total, a fill after the end) are passed on to the
engine, which decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.model.events import (
    BalancesUpdated,
    OrderAccepted,
    OrderAmended,
    OrderDone,
    OrderFilled,
    OrderRejected,
)
from citadel_micro.shell.venue.facts import BalanceFact, OrderFact, TradeFact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.events import VenueReport
    from citadel_micro.shell.venue.facts import Fact
    from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder

MOST_ORPHANS = 1_000
"""Trades of orders whose id is not known yet."""


class OrderReducer:
    """Converts a venue's statements to the engine's reports.

    Args:
        venue: id.
        ids: our orders.
    """

    def __init__(self, venue: str, ids: OrderIds) -> None:
        self._venue = venue
        self._ids = ids
        self._amends: dict[str, tuple[int, int, int]] = {}
        self._orphans: dict[tuple[str, str, str], TradeFact] = {}

    def take(self, facts: Iterable[Fact], now_ns: int) -> list[VenueReport]:
        """The resulting reports, each of which has not been made before."""
        reports: list[VenueReport] = []
        for fact in facts:
            if isinstance(fact, OrderFact):
                self._order(fact, reports, now_ns)
            elif isinstance(fact, TradeFact):
                self._trade(fact, reports, now_ns)
            elif isinstance(fact, BalanceFact):
                reports.append(
                    BalancesUpdated(
                        venue=self._venue, balances=fact.balances, exchange_ns=fact.exchange_ns
                    )
                )
        return reports

    # inside

    def _order(self, fact: OrderFact, reports: list[VenueReport], now_ns: int) -> None:
        order = self._ids.owner(fact.symbol, fact.venue_order_id)
        if order is None:
            if not fact.client_id:
                return  # named by nothing that we know
            order = self._ids.adopt(fact.client_id, fact.symbol)
        if fact.standing == "rejected":
            self._rejected(order, fact, reports, now_ns)
            return
        if _is_known_as_rejected(order, fact):
            return
        self._accepted(order, fact.venue_order_id, fact.exchange_ns, reports, now_ns)
        if fact.amended or (fact.shows_terms and _differs(order, fact)):
            self._amended(order, fact, reports)
        if fact.standing == "open":
            return
        ended = (fact.standing, fact.cumulative_lots)
        if order.ended_as == ended:
            return
        order.ended_as = ended
        reports.append(
            OrderDone(
                venue=self._venue,
                symbol=fact.symbol,
                client_id=order.client_id,
                status=fact.standing,
                cumulative_lots=fact.cumulative_lots,
                reason=fact.reason,
                exchange_ns=fact.exchange_ns,
            )
        )
        self._settle(order, now_ns)

    def _rejected(
        self, order: OurOrder, fact: OrderFact, reports: list[VenueReport], now_ns: int
    ) -> None:
        if order.ended_as is not None:
            return
        if order.accepted and not fact.cumulative_lots:
            # As Bybit does with a post-only order that an amend would make take.
            order.ended_as = ("canceled", 0)
            reports.append(
                OrderDone(
                    venue=self._venue,
                    symbol=fact.symbol,
                    client_id=order.client_id,
                    status="canceled",
                    cumulative_lots=0,
                    reason=fact.reason,
                    exchange_ns=fact.exchange_ns,
                )
            )
            self._settle(order, now_ns)
            return
        order.ended_as = ("rejected", 0)
        order.rejected_ns = fact.exchange_ns
        reports.append(
            OrderRejected(
                venue=self._venue,
                symbol=fact.symbol,
                client_id=order.client_id,
                code=fact.code,
                text=fact.reason,
            )
        )
        self._settle(order, now_ns)

    def _accepted(
        self,
        order: OurOrder,
        venue_order_id: str,
        exchange_ns: int,
        reports: list[VenueReport],
        now_ns: int,
    ) -> None:
        self._ids.named(order, venue_order_id)
        if order.accepted or not venue_order_id:
            return  # an end whose statement names no id comes alone
        order.accepted = True
        reports.append(
            OrderAccepted(
                venue=self._venue,
                symbol=order.symbol,
                client_id=order.client_id,
                venue_order_id=venue_order_id,
                exchange_ns=exchange_ns,
            )
        )
        waiting = [key for key in self._orphans if key[:2] == (order.symbol, venue_order_id)]
        for key in waiting:
            self._trade(self._orphans.pop(key), reports, now_ns)

    def _amended(self, order: OurOrder, fact: OrderFact, reports: list[VenueReport]) -> None:
        change = (fact.price_ticks, fact.quantity_lots, fact.exchange_ns)
        if change[2] < self._amends.get(order.client_id, (0, 0, -1))[2]:
            return
        if self._amends.get(order.client_id) == change:
            return
        self._amends[order.client_id] = change
        self._ids.amended(order, fact.price_ticks, fact.quantity_lots)
        reports.append(
            OrderAmended(
                venue=self._venue,
                symbol=fact.symbol,
                client_id=order.client_id,
                price_ticks=fact.price_ticks,
                quantity_lots=fact.quantity_lots,
                exchange_ns=fact.exchange_ns,
            )
        )

    def _trade(self, fact: TradeFact, reports: list[VenueReport], now_ns: int) -> None:
        order = self._ids.owner(fact.symbol, fact.venue_order_id)
        if order is None:
            if not fact.client_id:
                if len(self._orphans) >= MOST_ORPHANS:
                    self._orphans.pop(next(iter(self._orphans)))
                self._orphans[fact.symbol, fact.venue_order_id, fact.trade_id] = fact
                return
            order = self._ids.adopt(fact.client_id, fact.symbol)
        self._accepted(order, fact.venue_order_id, fact.exchange_ns, reports, now_ns)
        if fact.trade_id in order.trade_ids:
            return
        order.trade_ids[fact.trade_id] = None
        order.count(fact.quantity_lots, fact.exact)
        reports.append(
            OrderFilled(
                venue=self._venue,
                symbol=fact.symbol,
                client_id=order.client_id,
                trade_id=fact.trade_id,
                price_ticks=fact.price_ticks,
                quantity_lots=fact.quantity_lots,
                cumulative_lots=fact.cumulative_lots,
                fee=fact.fee,
                fee_currency=fact.fee_currency,
                liquidity=fact.liquidity,
                exchange_ns=fact.exchange_ns,
                exact=fact.exact,
            )
        )
        self._settle(order, now_ns)

    def _settle(self, order: OurOrder, now_ns: int) -> None:
        if order.ended_as is not None and order.filled_lots >= order.ended_as[1]:
            self._amends.pop(order.client_id, None)
            self._ids.settled(order, now_ns)


def _is_known_as_rejected(order: OurOrder, fact: OrderFact) -> bool:
    """Whether a statement, such as the answer to a query, shows no more than a reject that was reported before.

    A post-only order that would take has an id at OKX and Bybit, and was open or is canceled to whoever asks.
    """
    if order.ended_as is None or order.ended_as[0] != "rejected" or fact.cumulative_lots > 0:
        return False
    return fact.standing in {"canceled", "expired"} or 0 < fact.exchange_ns <= order.rejected_ns


def _differs(order: OurOrder, fact: OrderFact) -> bool:
    """Whether a statement shows other terms than the order is known to have."""
    known = (order.price_ticks, order.quantity_lots)
    return bool(order.side) and (fact.price_ticks, fact.quantity_lots) != known
