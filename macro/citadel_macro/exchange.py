"""The bridged exchange: market data from the venue's public endpoints, everything else from micro.

``bridged(…)`` builds ``type(name, (BridgeMixin, RealClass), …)``. Freqtrade trades live as far as it
knows; each method here and in ``account`` replaces one that would have called a private endpoint,
and keeps the contract that ``FreqtradeBot`` (2026.9) relies on:

- before a signal is sent, ``TemporaryError`` when micro is silent; after it was sent, never an
  exception: an order without acknowledgement is an open order;
- an unknown order id raises ``TemporaryError``, never ``InvalidOrderException``, because at start
  Freqtrade treats the latter as "canceled" whatever the order's age;
- a cancel never raises: unconfirmed means still open, and Freqtrade tries again.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from freqtrade.enums import TradingMode
from freqtrade.exceptions import InsufficientFundsError, InvalidOrderException, TemporaryError
from freqtrade.exchange import ROUND_DOWN, ROUND_UP
from freqtrade.persistence import Order

from citadel_bridge.config import NewSignal
from citadel_bridge.errors import IntentsUnwritable, MicroUnavailable
from citadel_macro import ccxt_orders as orders
from citadel_macro import order_terms, pricing
from citadel_macro.micro_client import makes_sense
from citadel_macro.seen import SeenMixin
from citadel_macro.strategy import ExecutionHints
from citadel_proto.reason_codes import FUNDS_CODES

if TYPE_CHECKING:
    from freqtrade.constants import BuySell, EntryExit
    from freqtrade.exchange.exchange import Exchange
    from freqtrade.exchange.exchange_types import CcxtOrder, OrderBook

    from citadel_macro.config import BridgeSettings
    from citadel_macro.micro_client import MicroLink
    from citadel_macro.strategy import BookView, Execution
    from citadel_proto.messages import ExecutionReport, Param

logger = logging.getLogger(__name__)

GRACE_S: Final = 30.0
"""Micro ends an order this much later than Freqtrade should have: Freqtrade has stopped by then."""
STOP_LIFE_S: Final = 365 * 86_400.0
"""A stop is held as long as its position; Freqtrade cancels it."""


class BridgeMixin(SeenMixin):
    """Order methods of ``Exchange``, executed by micro. Strategies reach it as ``micro``."""

    live = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Freqtrade's to define
        self.hints = ExecutionHints()
        self.reconcile_due = True
        self.history_checked: set[str] = set()
        """Pairs of which the orders of others were asked for since the start."""
        self.reconciled: object = None
        """What the last reconciliation did."""
        self.late_due = False
        """Orders have outlived their trade and are not settled yet."""
        self.deserted: set[str] = set()
        """Orders whose trade was deleted while micro could still fill them."""
        self._refused = threading.local()
        self._quotes = pricing.Quotes()
        super().__init__(*args, **kwargs)

    # --- placing ---------------------------------------------------------------------------------

    def create_order(
        self,
        *,
        pair: str,
        ordertype: str,
        side: BuySell,
        amount: float,
        rate: float,
        leverage: float,
        time_in_force: str = "GTC",
        reduceOnly: bool = False,
        initial_order: bool = True,
    ) -> CcxtOrder:
        """Send a parent order to micro and wait briefly for its first report.

        Raises:
            TemporaryError: micro is silent, or ended the last such order at once; nothing was sent.
            InsufficientFundsError: micro rejected it for lack of funds.
            InvalidOrderException: micro rejected it, or the amount rounds to nothing. An entry
                also locks its pair, else Freqtrade would send it again in every loop.
        """
        hint = self.hints.take(pair)
        is_entry = initial_order or self._adds(side, reduceOnly)
        limit = None if ordertype == "market" else orders.text(self.price_to_precision(pair, rate))
        how = self._how(hint, is_entry=is_entry)
        quantity = self._quantity(pair, amount)
        if limit is not None and time_in_force.upper() != "IOC":
            self._set_reach(how, pair, side, limit, quantity, is_entry=is_entry)
        with makes_sense():
            request = NewSignal(
                venue=self.settings.venue,
                symbol=pair,
                side=side,
                quantity=quantity,
                kind="order",
                order_type="market" if ordertype == "market" else "limit",
                limit_price=limit,
                time_in_force=cast("Any", time_in_force.upper()),
                reduce_only=reduceOnly,
                leverage=orders.text(leverage),
                **how,
            )
        return self._send(request, lock=is_entry and initial_order)

    def create_stoploss(
        self,
        pair: str,
        amount: float,
        stop_price: float,
        order_types: dict[str, Any],
        side: BuySell,
        leverage: float,
    ) -> CcxtOrder:
        """Have micro hold a stop and trigger it on the venue's market data.

        Raises:
            TemporaryError: micro is silent, or ended the last stop at once; nothing was sent.
            InvalidOrderException: micro rejected it; Freqtrade then exits the position at once.
        """
        rounding = ROUND_DOWN if side == "buy" else ROUND_UP
        kind, _ = self._get_stop_order_type(order_types.get("stoploss", "market"))
        limit = None
        if kind == "limit":
            worst = self._get_stop_limit_rate(stop_price, order_types, side)
            limit = orders.text(self.price_to_precision(pair, worst, rounding_mode=rounding))
        stop = self.price_to_precision(pair, stop_price, rounding_mode=rounding)
        with makes_sense():
            request = NewSignal(
                venue=self.settings.venue,
                symbol=pair,
                side=side,
                quantity=self._quantity(pair, amount),
                kind="stop",
                order_type=cast("Any", kind),
                limit_price=limit,
                stop_price=orders.text(stop),
                time_in_force="GTC",
                reduce_only=self.trading_mode == TradingMode.FUTURES,
                leverage=orders.text(leverage),
                algo="stop",
                tag="stoploss",
                ttl=STOP_LIFE_S,
            )
        return self._send(request, lock=False)

    def _send(self, request: NewSignal, *, lock: bool) -> CcxtOrder:
        held = self.held_back(request.symbol, request.side, request.kind)
        if held:
            raise TemporaryError(held)
        try:
            signal, report = self.link.submit(request)
        except (MicroUnavailable, IntentsUnwritable) as error:
            raise TemporaryError(
                f"{request.side} {request.quantity} {request.symbol} was not sent: {error}"
            ) from error
        self._uncommitted[signal.signal_id] = signal.symbol
        entry = signal.kind == "order" and self._adds(signal.side, signal.reduce_only)
        self._tried[signal.signal_id] = ((signal.symbol, signal.side, signal.kind), entry)
        if lock:
            self._entries.add(signal.signal_id)
        if report is None:
            logger.warning(
                "micro has not acknowledged %s yet; it counts as open.", signal.signal_id
            )
            self._shown[signal.signal_id] = "open"
            return orders.unacknowledged_order(signal)
        order = self._show(report)
        if report.status == "rejected" and not orders.has_filled(report):
            self.link.settle(signal.signal_id, "rejected")
            funds = report.reason_code in FUNDS_CODES
            kind = InsufficientFundsError if funds else InvalidOrderException
            permitted = f"; at most {report.permitted} would pass" if report.permitted else ""
            text = (
                f"micro rejected {request.side} {request.quantity} {request.symbol}: "
                f"{report.reason_code} ({report.reason}{permitted})"
            )
            self._refused.text = text
            raise kind(text)
        return order

    def refusal(self) -> str:
        """Micro's last reject to this thread since the last call; empty when none."""
        text: str = getattr(self._refused, "text", "")
        self._refused.text = ""
        return text

    def _how(self, hint: Execution | None, *, is_entry: bool) -> dict[str, Any]:
        """Algorithm, parameters and time limit of an order, from the strategy and the settings.

        Micro itself replaces a chase for a market or immediate order, so nothing is decided here.
        """
        life = (
            self.settings.order_life_s
            or order_terms.unfilled_timeout_s(self._config, is_entry=is_entry)
        ) + GRACE_S
        params: dict[str, Param] = dict(hint.params) if hint else {}
        algo = hint.algo if hint and hint.algo else self.settings.algo
        life_ms = int(life * 1_000)
        if algo in pricing.TIMED:
            params.setdefault("time_limit_ms", min(life_ms, order_terms.LONGEST_CHASE_MS))
        asked_ms = params.get("time_limit_ms")
        if isinstance(asked_ms, int | float) and asked_ms > life_ms:
            params["time_limit_ms"] = life_ms  # micro works it that long even if Freqtrade stops
        return {
            "algo": algo,
            "params": params,
            "confidence": hint.confidence if hint else None,
            "model_id": hint.model_id if hint else "",
            "tag": hint.tag if hint and hint.tag else "entry" if is_entry else "exit",
            "ttl": life,
        }

    def _set_reach(
        self,
        how: dict[str, Any],
        pair: str,
        side: BuySell,
        limit: str,
        quantity: str,
        *,
        is_entry: bool,
    ) -> None:
        """Let a chase follow the market beyond Freqtrade's own rate, as far as it can be paid."""
        params: dict[str, Param] = how["params"]
        if how["algo"] not in pricing.FOLLOWING or pricing.PARAM in params:
            return
        quoted = self._quotes.last(pair, "entry" if is_entry else "exit")
        if quoted is None or orders.text(self.price_to_precision(pair, quoted)) != limit:
            return
        reach = Decimal(repr(self.settings.chase_beyond_bps))
        if side == "buy" and self.trading_mode == TradingMode.SPOT:
            free = self._free(self.get_pair_quote_currency(pair))
            reach = min(reach, pricing.payable_bps(free, Decimal(quantity) * Decimal(limit)))
        if reach > 0:
            params[pricing.PARAM] = float(reach)

    def get_rate(self, pair: str, refresh: bool, side: EntryExit, *args: Any, **more: Any) -> float:  # noqa: ANN401 - Freqtrade's signature
        """As Freqtrade's; remembered, so that an order at this rate is known to be at its own."""
        rate: float = super().get_rate(pair, refresh, side, *args, **more)
        self._quotes.note(pair, side, rate)
        return rate

    def _adds(self, side: BuySell, reduce_only: bool) -> bool:
        """Whether an order adds to a position (Freqtrade marks exits in futures only)."""
        return not reduce_only if self.trading_mode == TradingMode.FUTURES else side == "buy"

    def _quantity(self, pair: str, amount: float) -> str:
        """Base quantity on the venue's grid, rounded down, as decimal text."""
        return order_terms.quantity_text(cast("Exchange", self), pair, amount)

    # --- queries ---------------------------------------------------------------------------------

    def fetch_order(
        self, order_id: str, pair: str, params: dict[str, Any] | None = None
    ) -> CcxtOrder:
        """Newest state of an order: from micro's reports, else from a query.

        Raises:
            TemporaryError: micro does not answer, or knows no such order that may still arrive.
        """
        report = self.link.report(order_id)
        closed = False
        if report is None:
            # Determined before the query: a copy may be sent while the answer is on its way.
            closed = self._is_closed(order_id)
            try:
                report = self.link.ask(order_id)
            except MicroUnavailable as error:
                return self._sent_but_silent(order_id, str(error))
        if report is not None:
            return self._show(report)
        signal = self.link.signal(order_id)
        if signal is None or self.link.was_acknowledged(order_id):
            raise TemporaryError(f"micro knows no order {order_id} on {pair}")
        if closed:
            # Micro confirms that it is unknown, and an expired signal is not accepted. Canceled all
            # the same: if our clock was set, it may not have expired at micro.
            report = self.link.cancel(order_id, "it has expired", wait_s=0.0)
            if report is not None:
                return self._show(report)
            self._shown.pop(order_id, None)
            return orders.unacknowledged_order(signal, "expired")
        return orders.unacknowledged_order(signal)

    def _is_closed(self, order_id: str) -> bool:
        """Whether an order of ours that micro does not know can no longer be accepted."""
        signal = self.link.signal(order_id)
        return signal is not None and self.link.now_ns() > signal.expires_ns

    def _sent_but_silent(self, order_id: str, why: str) -> CcxtOrder:
        """An order of ours without any report stays open while it may still be accepted."""
        signal = self.link.signal(order_id)
        if signal is None or self.link.now_ns() > signal.expires_ns:
            raise TemporaryError(f"order {order_id}: {why}")
        return orders.unacknowledged_order(signal)

    def fetch_stoploss_order(
        self, order_id: str, pair: str, params: dict[str, Any] | None = None
    ) -> CcxtOrder:
        """As ``fetch_order``: micro knows its stops by the same ids."""
        return self.fetch_order(order_id, pair, params)

    def fetch_orders(
        self, pair: str, since: datetime, params: dict[str, Any] | None = None
    ) -> list[CcxtOrder]:
        """Orders of this bot's trades on ``pair``, and those of others that closed something of them.

        An order that the database lacks is none of them: an orphan is reconciled, and one of a deleted
        trade would be booked on the next trade of its pair.

        Raises:
            TemporaryError: micro does not answer.
        """
        if self.booking:
            # Nothing else: Freqtrade would update orders that it knows again, and take a half that was
            # sold before for all that is left.
            booked = self.link.report(self.booking)
            return [] if booked is None else [self._show(booked)]
        moment = since if since.tzinfo else since.replace(tzinfo=UTC)
        since_ns = int((moment.timestamp() - 10) * 1e9)
        try:
            reports = self.link.orders_since(pair, since_ns)
        except MicroUnavailable as error:
            raise TemporaryError(str(error)) from error
        # One of them may be both, and would be booked twice.
        found = {report.signal_id: report for report in (*reports, *self._shared(pair))}
        shown = (self._show(report) for report in found.values() if self._is_ours(report))
        return [each for each in shown if not self.is_booked(each)]

    def _shared(self, pair: str) -> list[ExecutionReport]:
        """Orders of others that have closed something of ours on a pair."""
        found = (self.link.report(name) for name in self.shares)
        return [each for each in found if each is not None and each.symbol == pair]

    def _is_ours(self, report: ExecutionReport) -> bool:
        known = Order.order_by_id(report.signal_id, report.symbol) is not None
        if report.signal_id in self.shares:
            return known
        return self.link.owns(report) and (known or report.own)

    def get_trades_for_order(
        self, order_id: str, pair: str, since: datetime, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Every fill of every child of one order, with its own fee."""
        trades: list[dict[str, Any]] = self.fetch_order(order_id, pair)["trades"]
        return trades

    def get_order_id_conditional(self, order: CcxtOrder) -> str:
        """Stops have no second id here."""
        return str(order["id"])

    # --- canceling -------------------------------------------------------------------------------

    def cancel_order(
        self, order_id: str, pair: str, params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Cancel the unfilled rest of an order; without a confirmation in time it is still open."""
        report = self.link.report(order_id)
        if report is None or not orders.is_terminal(report):
            report = self.link.cancel(order_id, "requested by Freqtrade")
            if report is None or not orders.is_terminal(report):
                logger.warning("micro has not confirmed the cancel of %s yet.", order_id)
        if report is not None:
            return self._show(report)
        signal = self.link.signal(order_id)
        if signal is not None:
            return orders.unacknowledged_order(signal)
        known = Order.order_by_id(order_id, pair)
        stored = known.to_ccxt_object() if known else {"id": order_id, "amount": 0.0, "filled": 0.0}
        return {**stored, "status": "open", "fee": {}, "trades": [], "info": {}}

    def cancel_stoploss_order(
        self, order_id: str, pair: str, params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """As ``cancel_order``."""
        return self.cancel_order(order_id, pair, params)

    # --- market data -----------------------------------------------------------------------------

    def fetch_l2_order_book(self, pair: str, limit: int = 100) -> OrderBook:
        """Micro's book when it is fresh, LIVE and deep enough, else the venue's public endpoint."""
        view = self.link.book(pair)
        if view is None or not view.fresh or limit > min(len(view.bids), len(view.asks)):
            return super().fetch_l2_order_book(pair, limit)
        return {
            "symbol": pair,
            "bids": [(float(p), float(s)) for p, s in view.bids[:limit]],
            "asks": [(float(p), float(s)) for p, s in view.asks[:limit]],
            "timestamp": None,
            "datetime": None,
            "nonce": None,
        }

    # --- interface for strategies ----------------------------------------------------------------

    def book(self, pair: str) -> BookView | None:
        """Newest book of ``pair``; see ``citadel_macro.strategy.Micro``."""
        return self.link.book(pair)

    def execution(
        self,
        pair: str,
        *,
        algo: str | None = None,
        urgency: str | None = None,
        confidence: float | None = None,
        model_id: str = "",
        tag: str = "",
        **params: Param,
    ) -> None:
        """Choose how the next order of ``pair`` is executed; see ``strategy.Micro``."""
        self.hints.put(
            pair,
            algo=algo,
            urgency=urgency,
            confidence=confidence,
            model_id=model_id,
            tag=tag,
            params=params,
        )

    def report(self, order_id: str) -> ExecutionReport | None:
        """Newest execution report of one of this bot's orders."""
        return self.link.report(order_id)


def bridged(real: type[Exchange], link: MicroLink, settings: BridgeSettings) -> type[BridgeMixin]:
    """Class of the bridged exchange for one real exchange class of Freqtrade."""
    return type(
        f"Bridged{real.__name__}", (BridgeMixin, real), {"link": link, "settings": settings}
    )
