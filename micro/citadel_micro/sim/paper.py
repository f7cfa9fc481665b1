"""The paper venue: an exchange for our orders, fed by a live or recorded public market.

Requests take some time to reach the venue, and reports to come back, each with a delay
from a seeded distribution. The venue checks an order as an exchange does (minimums,
funds, post-only, reduce-only, receive window), matches what is marketable against the public book
and rests the remainder in a queue. Nothing here reads a clock: time is passed in, and ``next_timer``
says when the next request or report is due.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal, cast

from citadel_micro.core.model.commands import (
    AmendOrder,
    CancelOrder,
    PlaceOrder,
    QueryOrder,
)
from citadel_micro.core.model.events import (
    BalancesUpdated,
    DepthUpdate,
    OrderFilled,
    TradeTick,
    VenueSnapshot,
)
from citadel_micro.sim import paper_reports as reports
from citadel_micro.sim.accounts import Ledger
from citadel_micro.sim.paper_book import PaperBook
from citadel_micro.sim.paper_funding import PaperFunding
from citadel_micro.sim.paper_link import PaperLink
from citadel_micro.sim.paper_order import PaperOrder, forget_old
from citadel_micro.sim.paper_rules import reaches, refusal_of
from citadel_micro.sim.rng import SplitMix64, key_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.events import MarketEvent, VenueReport
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.sim.accounts import FeeToken
    from citadel_micro.sim.paper_config import PaperConfig
    from citadel_micro.sim.paper_link import Request

SELF_TRADE: Final = "self-trade prevention"
"""Reason of an order that ended because it met one of the same account."""


class PaperVenue:
    """One simulated exchange account on one venue.

    ``revision`` grows whenever the account or an order changes: a shell that makes the account
    survive a crash stores ``to_state`` when it has changed, before delivering what ``due`` returns.
    """

    def __init__(
        self, venue: str, instruments: Mapping[str, Instrument], config: PaperConfig
    ) -> None:
        self.venue = venue
        self.ledger = Ledger(config.balances)
        self.orders: dict[str, PaperOrder] = {}
        self.revision = 0
        self._instruments = instruments
        self._config = config
        self._books: dict[str, PaperBook] = {}
        self._link = PaperLink(config.link, SplitMix64(key_of(config.seed, venue)))
        self._funding = PaperFunding(config.funding, config.funding_interval_ns)
        self._trades = 0
        self._last_ns = 0

    # the four calls of the shell

    def submit(self, command: Request, now_ns: int) -> None:
        """Send a request. Nothing happens before it arrives."""
        self._link.send_request(command, now_ns)

    def on_market(self, event: MarketEvent, market: MarketBook, now_ns: int) -> bool:
        """Match against the public market. Call after the market's book has applied the event.

        Returns whether ``next_timer`` may have changed.
        """
        book = self._books.get(event[1])  # its symbol, and by position: half the time
        if book is None:
            if event.symbol not in self._instruments:
                return False
            instrument = self._instruments[event.symbol]
            book = PaperBook(instrument, market, self._config.queue_model)
            self._books[event.symbol] = book
            for order in self.orders.values():
                if order.symbol == event.symbol and order.open:
                    book.rest(order, order.placed_ns)
        if self._config.funding:
            self._fund(event.symbol, now_ns)
        received = self._link.waiting_ns <= now_ns
        if received:
            self._receive(now_ns)
        if book.idle:
            return received
        kind = type(event)
        if kind is TradeTick:
            # The market has checked it first: an old or repeated trade fills nothing here.
            fills = book.traded(event) if market.news is event else []
        else:
            fills = book.market_moved(now_ns, depth=kind is DepthUpdate)
        for resting, lots in fills:
            order = self.orders[resting.client_id]
            self._fill(order, order.price_ticks, lots, now_ns, maker=True)
        return received or bool(fills)

    def book(self, symbol: str) -> PaperBook | None:
        """Our orders in its market; None before its first event, and where time changes more than they do."""
        return None if self._config.funding else self._books.get(symbol)

    def due(self, now_ns: int) -> list[VenueReport]:
        """Let requests arrive, and return the reports that are due, oldest first."""
        if self._config.funding:
            for symbol in self._books:
                self._fund(symbol, now_ns)
        self._receive(now_ns)
        return self._link.delivered(now_ns)

    def next_timer(self) -> int | None:
        """When ``due`` has something to do next, in engine nanoseconds."""
        due_ns = self._link.next_due()
        if not self._config.funding:
            return due_ns
        held = [
            each for each, p in self.ledger.positions.items() if p.quantity and each in self._books
        ]
        funded_ns = self._funding.next_ns(held)
        return min((each for each in (due_ns, funded_ns) if each is not None), default=None)

    # arrivals

    def _receive(self, now_ns: int) -> None:
        for arrived_ns, command in self._link.arrived(now_ns):
            if isinstance(command, PlaceOrder):
                self._place(command, arrived_ns)
            elif isinstance(command, AmendOrder):
                self._amend(command, arrived_ns)
            elif isinstance(command, CancelOrder):
                self._cancel(command, arrived_ns)
            elif isinstance(command, QueryOrder):
                self._answer_order(command, arrived_ns)
            else:
                self._answer_venue(arrived_ns)

    def _place(self, command: PlaceOrder, now_ns: int) -> None:
        instrument = self._instruments.get(command.symbol)
        if instrument is None:
            self._reject(command, "OTHER", "Invalid symbol.", now_ns)
            return
        if self._link.rejects():
            text = "Server is currently overloaded with other requests."
            self._reject(command, "RATE_LIMIT", text, now_ns)
            return
        book = self._books.get(command.symbol)
        refusal = refusal_of(
            command,
            instrument,
            self.ledger,
            known=command.client_id in self.orders,
            touch=None if book is None else book.touch(command.side),
            now_ns=now_ns,
        )
        if refusal is not None:
            self._reject(command, *refusal, now_ns)
            return
        order = PaperOrder.of(command, venue_order_id=f"P{self._next_trade()}", now_ns=now_ns)
        notional = instrument.notional(order.price_ticks, order.quantity_lots)
        quantity = instrument.quantity(order.quantity_lots)
        if not command.reduce_only or instrument.kind == "spot":
            currency, amount = self.ledger.lock(instrument, order.side, notional, quantity)
            if not self.ledger.hold(currency, amount):
                text = f"Account has insufficient balance: {amount} {currency} needed."
                self._reject(command, "INSUFFICIENT_FUNDS", text, now_ns)
                return
            order.locked_currency, order.locked = currency, amount
        self.orders[order.client_id] = order
        self.revision += 1
        if not self._link.loses_answer(command, now_ns):
            self._link.send_report(reports.accepted(self.venue, order, now_ns), now_ns)
        self._balances((order.locked_currency,), now_ns)
        self._match(order, now_ns)

    def _match(self, order: PaperOrder, now_ns: int) -> None:
        book = self._books[order.symbol]
        if order.time_in_force == "FOK" and not self._fills_whole(order, book):
            self._close(order, "expired", "FOK not filled", now_ns)
            return
        while order.open:
            own = book.own_in_reach(order.side, order.price_ticks)
            for ticks, lots in book.take(order.side, order.price_ticks, order.left, own):
                self._fill(order, ticks, lots, now_ns, maker=False)
            if own is None or not order.open:
                break
            # Next in the queue is an order of this account: the venue lets them not trade.
            if self._config.self_trade != "expire_taker":
                self._close(self.orders[own.client_id], "expired", SELF_TRADE, now_ns)
            if self._config.self_trade != "expire_maker":
                self._close(order, "expired", SELF_TRADE, now_ns)
        if not order.open:
            return
        if order.time_in_force == "IOC":
            self._close(order, "expired", "IOC remainder", now_ns)
        else:
            book.rest(order, now_ns)

    def _fills_whole(self, order: PaperOrder, book: PaperBook) -> bool:
        own = book.own_in_reach(order.side, order.price_ticks)
        if own is not None and self._config.self_trade != "expire_maker":
            return False  # it ends there, whatever is behind
        return book.holds(order.side, order.price_ticks, order.left)

    def _amend(self, command: AmendOrder, now_ns: int) -> None:
        order = self.orders.get(command.client_id)
        if order is None or not order.open:
            self._refuse_amend(command, "NOT_FOUND", "Unknown order sent.", now_ns)
            return
        instrument = self._instruments[order.symbol]
        book = self._books.get(order.symbol)
        touch = None if book is None else book.touch(order.side)
        if (
            book is None
            or touch is None
            or command.quantity_lots <= order.filled_lots
            or now_ns > command.expires_ns
        ):
            self._refuse_amend(command, "OTHER", "Order cannot be amended so.", now_ns)
            return
        if command.post_only and reaches(order.side, command.price_ticks, touch):
            self._refuse_amend(command, "POST_ONLY", "Would immediately match and take.", now_ns)
            return
        left = command.quantity_lots - order.filled_lots
        if order.locked_currency:
            notional = instrument.notional(command.price_ticks, left)
            quantity = instrument.quantity(left)
            currency, amount = self.ledger.lock(instrument, order.side, notional, quantity)
            self.ledger.release(currency, order.locked)
            if not self.ledger.hold(currency, amount):
                self.ledger.hold(currency, order.locked)
                self._refuse_amend(command, "OTHER", "Insufficient balance.", now_ns)
                return
            order.locked = amount
        shrinks_only = command.price_ticks == order.price_ticks and (
            command.quantity_lots <= order.quantity_lots
        )
        order.price_ticks, order.quantity_lots = command.price_ticks, command.quantity_lots
        self.revision += 1
        self._link.send_report(reports.amended(self.venue, order, now_ns), now_ns)
        if shrinks_only:
            book.resting[order.client_id].left_lots = left
        else:
            book.remove(order.client_id)
            self._match(order, now_ns)

    def _refuse_amend(self, command: AmendOrder, code: str, text: str, now_ns: int) -> None:
        self._link.send_report(reports.amend_refused(command, code, text), now_ns)

    def _cancel(self, command: CancelOrder, now_ns: int) -> None:
        order = self.orders.get(command.client_id)
        if self._link.loses_answer(command, now_ns):
            self._link.silence(command.client_id)
        if order is not None and order.open:
            self._close(order, "canceled", "", now_ns)
            return
        self._link.send_report(reports.cancel_refused(command), now_ns)

    def _answer_order(self, command: QueryOrder, now_ns: int) -> None:
        """The order endpoint and the trade endpoint, as two answers."""
        self._link.unsilence(command.client_id)
        order = self.orders.get(command.client_id)
        for fill in order.fills if order is not None else ():
            self._link.send_report(fill, now_ns)
        for source in reports.SOURCES:
            self._link.send_report(reports.state_of(command, order, source, now_ns), now_ns)

    def _answer_venue(self, now_ns: int) -> None:
        open_orders = tuple(
            order.state(self.venue, now_ns) for order in self.orders.values() if order.open
        )
        rows = tuple((c, p.free, p.used) for c, p in self.ledger.purses.items())
        self._link.send_report(
            VenueSnapshot(
                venue=self.venue,
                open_orders=open_orders,
                balances=rows,
                exchange_ns=self._stamp(now_ns),
                positions=self._positions(),
            ),
            now_ns,
        )

    def _positions(self) -> tuple[tuple[str, Decimal], ...]:
        held = self.ledger.positions.items()
        return tuple((symbol, each.quantity) for symbol, each in held if each.quantity)

    # consequences

    def _fill(
        self, order: PaperOrder, price_ticks: int, lots: int, now_ns: int, *, maker: bool
    ) -> None:
        instrument = self._instruments[order.symbol]
        order.filled_lots += lots
        price, quantity = instrument.price(price_ticks), instrument.quantity(lots)
        notional = instrument.notional(price_ticks, lots)
        self._unlock(order, instrument)
        fee, currency = self.ledger.settle(
            *(instrument, order.side, price, quantity, notional),
            maker=maker,
            token=self._fee_token(instrument),
        )
        self.revision += 1
        report = OrderFilled(
            venue=self.venue,
            symbol=order.symbol,
            client_id=order.client_id,
            trade_id=str(self._next_trade()),
            price_ticks=price_ticks,
            quantity_lots=lots,
            cumulative_lots=order.filled_lots,
            fee=fee,
            fee_currency=currency,
            liquidity="maker" if maker else "taker",
            exchange_ns=self._stamp(now_ns),
        )
        order.fills.append(report)
        self._link.send_report(report, now_ns)
        if order.left == 0:
            self._close(order, "filled", "", now_ns)
            return
        resting = self._books[order.symbol].resting.get(order.client_id)
        if resting is not None:
            resting.left_lots = order.left
        self._balances(self._currencies(instrument), now_ns)
        if self._config.link.faults.silent_after_partial:
            self._link.silence(order.client_id)

    def _fee_token(self, instrument: Instrument) -> FeeToken | None:
        token = self._config.fee_token
        if token is None:
            return None
        book = self._books.get(f"{token.currency}/{instrument.quote}")
        mid = None if book is None else book.mid()
        price = token.price if mid is None else Decimal(repr(mid))
        return replace(token, price=price) if price else None

    def _currencies(self, instrument: Instrument) -> tuple[str, ...]:
        token = self._config.fee_token
        also = () if token is None else (token.currency,)
        return (instrument.base, instrument.quote, instrument.settle, *also)

    def _fund(self, symbol: str, now_ns: int) -> None:
        mid = self._books[symbol].mid()
        position = self.ledger.positions.get(symbol)
        if mid is None:
            return
        instrument = self._instruments[symbol]
        quantity = Decimal(0) if position is None else position.quantity
        payments = self._funding.due(instrument, quantity, Decimal(repr(mid)), now_ns)
        if payments:
            self.ledger.purse(instrument.settle).free += sum(amount for _, amount in payments)
            self.revision += 1
            at_ns = self._stamp(now_ns)
            self._link.send_report(reports.funded(self.venue, instrument, payments, at_ns), now_ns)
            self._balances((instrument.settle,), now_ns)

    def _unlock(self, order: PaperOrder, instrument: Instrument) -> None:
        """Reduce the lock to what the unfilled rest still needs."""
        if not order.locked_currency:
            return
        notional = instrument.notional(order.price_ticks, order.left)
        _, amount = self.ledger.lock(
            instrument, order.side, notional, instrument.quantity(order.left)
        )
        self.ledger.release(order.locked_currency, order.locked - amount)
        order.locked = amount

    def _close(self, order: PaperOrder, status: str, reason: str, now_ns: int) -> None:
        order.status = cast("Literal['filled', 'canceled', 'expired']", status)
        instrument = self._instruments[order.symbol]
        if order.locked_currency:
            self.ledger.release(order.locked_currency, order.locked)
            order.locked = instrument.tick * 0
        book = self._books.get(order.symbol)
        if book is not None:  # after a restart it may not exist yet
            book.remove(order.client_id)
        self.revision += 1
        self._balances(self._currencies(instrument), now_ns)
        self._link.send_report(reports.done(self.venue, order, reason, now_ns), now_ns)
        forget_old(self.orders)

    def _reject(self, command: PlaceOrder, code: str, text: str, now_ns: int) -> None:
        self._link.send_report(reports.rejected(command, code, text), now_ns)

    def _balances(self, currencies: tuple[str, ...], now_ns: int) -> None:
        rows = tuple(
            (currency, self.ledger.purse(currency).free, self.ledger.purse(currency).used)
            for currency in dict.fromkeys(currencies)
            if currency
        )
        if rows:
            self._link.send_report(
                BalancesUpdated(venue=self.venue, balances=rows, exchange_ns=self._stamp(now_ns)),
                now_ns,
            )

    def _stamp(self, now_ns: int) -> int:
        """The venue's time of anything that moves money: every such time is later than the last.

        So a reader can tell which fills a statement of balances contains.
        """
        self._last_ns = max(now_ns, self._last_ns + 1)
        return self._last_ns

    def _next_trade(self) -> int:
        self._trades += 1
        return self._trades

    # persistence

    def account_state(self) -> dict[str, object]:
        """The part of ``to_state`` that is not orders: small, and changes with every fill."""
        return {
            "ledger": self.ledger.to_state(),
            "trades": self._trades,
            "rng": self._link.rng.state,
            **({"funded": dict(self._funding.paid)} if self._funding.paid else {}),
        }

    def to_state(self) -> dict[str, object]:
        """Everything an exchange would still know after we crash, as plain data."""
        orders = [order.to_state() for order in self.orders.values()]
        return {**self.account_state(), "orders": orders}

    def restore(self, state: dict[str, object]) -> None:
        """Restore a state of ``to_state``. Reports that were in transit are lost.

        Resting orders join their queue again at the back, once their book exists.
        """
        self.ledger = Ledger.from_state(cast("dict[str, dict[str, list[str]]]", state["ledger"]))
        rows = cast("list[dict[str, object]]", state["orders"])
        orders = [PaperOrder.from_state(row, self.venue) for row in rows]
        self.orders = {order.client_id: order for order in orders}
        self._trades = cast("int", state["trades"])
        self._link.rng.state = cast("int", state["rng"])
        self._funding.paid = dict(cast("dict[str, int]", state.get("funded", {})))
