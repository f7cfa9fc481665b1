"""A private request from the moment it is let in until its answer may leave, faults included."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
from citadel_micro.sim.exchange.model import OrderRefused, OrderRequest
from citadel_micro.simulator.knobs import SKEW, UNKNOWN_STATUS
from citadel_micro.simulator.private.signed import rejected_key
from citadel_micro.simulator.private.venue import too_many_orders
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.simulator.keys import Permission
    from citadel_micro.simulator.private.method import Method
    from citadel_micro.simulator.private.user_streams import UserStreams
    from citadel_micro.simulator.private.venue import Call, Venue

_UNKNOWN: Final = (
    "Timeout waiting for response from backend server. Send status unknown; execution status "
    "unknown."
)
_BUSY: Final = (
    "Server is currently overloaded with other requests. Please try again in a few minutes."
)


class Dropped(Exception):  # noqa: N818 - not an error of anyone's: an answer that must not be given
    """The connection is to be closed without an answer."""


class Unavailable(Exception):  # noqa: N818 - an answer, of a kind that is not the API's
    """The answer is 503, without the API's JSON over REST."""


class Service:
    """Carries private requests out.

    ``catch_up`` moves the market to now and publishes; ``settle`` publishes what a request made.
    """

    def __init__(
        self,
        venue: Venue,
        streams: UserStreams,
        clock_ns: Callable[[], int],
        catch_up: Callable[[], None],
        settle: Callable[[], None],
        *,
        methods: Mapping[str, Method],
        permission: Permission,
    ) -> None:
        """Serve ``methods`` of ``venue``; trading needs a key with ``permission``.

        ``clock_ns`` judges timestamps: a market may lag behind it under load.
        """
        self.venue = venue
        self.status_field = "status"
        self.streams = streams
        self.methods = dict(methods)
        self._permission = permission
        self.catch_up = catch_up
        self._clock_ns = clock_ns
        self._settle = settle

    # ------------------------------------------------------------------ before

    def weigh(self, address: str, weight: int) -> None:
        """Count a weight for an address.

        Raises:
            ApiError: -1003 with 429 or 418.
        """
        limited = self.venue.weights.take(address, weight, self.venue.now_ms)
        if limited is not None:
            raise self.venue.weights.error(limited)

    def server_time_ns(self, who: tuple[str, str], method: str) -> int:
        """Return the clock that judges a request's timestamp: a fault may skew it."""
        venue = self.venue
        skew = venue.faults.hit(SKEW, who, method, venue.now_ms)
        return self._clock_ns() + (round(skew.seconds * 1e9) if skew is not None else 0)

    def _session_faults(self, call: Call) -> None:
        venue = self.venue
        if "key-revoked" in call.hits:
            venue.ring.revoke(call.key.key_id)
            raise rejected_key()
        shutdown = call.hits.get("server-shutdown")
        if shutdown is not None:
            self.streams.shut_down(shutdown.seconds)
        if "session-cut" in call.hits:
            self.streams.cut()
        if "stream-terminated" in call.hits:
            self.streams.terminate(call.account)
        if "listen-key-deleted" in call.hits:
            self.streams.end(call.account)
        if "banned" in call.hits:
            raise venue.weights.error(venue.weights.ban(call.address, venue.now_ms))
        storm = call.hits.get("too-many-requests")
        if storm is not None:
            until = venue.now_ms + round(storm.seconds * 1000)
            raise ApiError(-1003, "Too many requests queued.", status=429, retry_at_ms=until)
        if "too-many-orders" in call.hits:
            raise too_many_orders(venue.now_ms, venue.limits[0])

    def _arrival_faults(self, call: Call) -> None:
        """Keep a request from arriving."""
        if "request-lost" in call.hits:
            raise Dropped
        if "overloaded" in call.hits:
            raise ApiError(-1008, _BUSY, status=503)
        if "unknown-lost" in call.hits:
            raise ApiError(-1007, _UNKNOWN, status=504)
        if "http-503-lost" in call.hits:
            raise Unavailable

    def _market_faults(self, call: Call) -> None:
        """Halt a symbol, or let the account's other client act."""
        venue = self.venue
        halt = call.hits.get("halt")
        if halt is not None:
            symbol = call.query.symbol()
            venue.exchange.set_status(symbol, "HALT")
            venue.later(halt.seconds, lambda: venue.exchange.set_status(symbol, "TRADING"))
        if "foreign-order" in call.hits:
            self._foreign_order(call)

    def _foreign_order(self, call: Call) -> None:
        """Rest the smallest order far from the market, as somebody at the website would."""
        venue = self.venue
        symbol = call.query.symbol()
        rules = venue.exchange.rules[symbol]
        ticks = venue.exchange.last_ticks(symbol) * 9 // 10
        price = ticks * rules.spec.tick_e8
        lots = -(-rules.min_notional_e8 * 100_000_000 // price // rules.spec.lot_e8) + 1
        request = OrderRequest(
            symbol=symbol,
            side="BUY",
            type="LIMIT",
            quantity_e8=lots * rules.spec.lot_e8,
            price_e8=price,
            client_id=f"web_{venue.new_name()}",
            origin="foreign",
        )
        try:
            venue.exchange.place(call.account, request)
        except OrderRefused as refused:
            msg = f"a foreign order of {call.account} was refused: {refused}"
            raise ApiError(-1000, msg, status=500) from refused

    # ------------------------------------------------------------------ the request

    async def perform(self, call: Call) -> Any:  # noqa: ANN401 - any JSON value
        """Carry a request out and return its answer.

        Raises:
            ApiError: the answer is an error.
            Dropped: there is to be no answer.
            Unavailable: the answer is 503.
        """
        venue = self.venue
        method = self.methods[call.method]
        if method.trades and not call.key.may(self._permission):
            raise rejected_key()
        weight = method.weigh(call.query.values)
        self.weigh(call.address, weight)
        venue.draw(call)
        self._session_faults(call)
        delayed = call.hits.get("request-delayed")
        if delayed is not None:
            await asyncio.sleep(delayed.seconds)
            self.catch_up()
            call.times.check(self._clock_ns())
        self._arrival_faults(call)
        self._market_faults(call)
        late = call.hits.get("unknown-late")
        if late is not None:
            venue.later(late.seconds, lambda: _done_late(method, call))
            raise ApiError(-1007, _UNKNOWN, status=504)
        try:
            answer: Any = method.answer(call)
        except ApiError as error:
            answer = error
        if method.free and not isinstance(answer, ApiError):
            venue.weights.give_back(call.address, weight, venue.now_ms)
        if "self-trade" in call.hits and not isinstance(answer, ApiError):
            self._self_trade(call)
        self._close_out(call)
        await self._leave(call)
        return self._spoil(call, answer)

    def _close_out(self, call: Call) -> None:
        """Let the exchange take a futures position away."""
        exchange = self.venue.exchange
        if isinstance(exchange, FuturesExchange):
            if "liquidated" in call.hits:
                exchange.close_out(call.account, call.query.symbol(), "liquidation")
            if "deleveraged" in call.hits:
                exchange.close_out(call.account, call.query.symbol(), "adl")

    def _self_trade(self, call: Call) -> None:
        exchange = self.venue.exchange
        for order in call.placed:
            found = exchange.order(call.account, order.symbol, order_id=order.order_id)
            if found.open:
                # Its other client may have nothing left to trade with.
                with suppress(OrderRefused):
                    exchange.fill(
                        call.account, order.symbol, order_id=order.order_id, against_self=True
                    )

    async def _leave(self, call: Call) -> None:
        """Let the events go and the answer wait, or the other way round."""
        answer_first = call.hits.get("answer-first")
        if answer_first is not None:
            self.streams.hold(call.account, answer_first.seconds)
        event_first = call.hits.get("event-first")
        answer_late = call.hits.get("answer-delayed")
        wait = sum(rule.seconds for rule in (event_first, answer_late) if rule is not None)
        if wait:
            self._settle()
            await asyncio.sleep(wait)
        else:
            # After the answer, which is handed over without another wait.
            asyncio.get_running_loop().call_soon(self._settle)

    def _spoil(self, call: Call, answer: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Lose, garble or belie an answer."""
        if "answer-lost" in call.hits:
            raise Dropped
        if "unknown-executed" in call.hits:
            raise ApiError(-1007, _UNKNOWN, status=504)
        if "http-503-executed" in call.hits:
            raise Unavailable
        if "answer-garbled" in call.hits:
            return {"result": "ok"}
        if isinstance(answer, ApiError):
            raise answer
        if "unknown-status" in call.hits:
            return self._with_status(answer)
        return answer

    def _with_status(self, answer: Any) -> Any:  # noqa: ANN401 - any JSON value
        """Replace every order status in an answer."""
        if isinstance(answer, list):
            return [self._with_status(item) for item in answer]
        if not isinstance(answer, dict):
            return answer
        return {
            name: UNKNOWN_STATUS if name == self.status_field else self._with_status(value)
            for name, value in answer.items()
        }


def _done_late(method: Method, call: Call) -> None:
    """Carry out what was answered long ago: its outcome is not reported."""
    with suppress(ApiError):
        method.answer(call)
