"""Queries: about the market, and about an account by its address. None is signed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.sim.flow_klines import KLINES
from citadel_micro.sim.flow_symbols import e8_text
from citadel_micro.simulator.hyperliquid import order_json
from citadel_micro.simulator.hyperliquid.actions import ActionCall
from citadel_micro.simulator.hyperliquid.signed import Unreadable
from citadel_micro.simulator.hyperliquid.universe import wire
from citadel_micro.simulator.private.method import Method
from citadel_micro.simulator.private.orders import known

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import Order
    from citadel_micro.simulator.hyperliquid.allowance import Allowance
    from citadel_micro.simulator.hyperliquid.market import Market
    from citadel_micro.simulator.hyperliquid.universe import Perp, Universe
    from citadel_micro.simulator.hyperliquid.user_stream import HyperStreams
    from citadel_micro.simulator.hyperliquid.wallets import Wallets
    from citadel_micro.simulator.private.venue import Call, Venue

Json = dict[str, Any]
_MS_NS: Final = 1_000_000
_LIGHT: Final = frozenset(
    {"l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState"}
    | {"exchangeStatus"}
)
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")
_MOST_ORDERS: Final = 2_000
_NAMES: Final = {
    "orderStatus": "order.status",
    "openOrders": "openOrders.status",
    "frontendOpenOrders": "openOrders.status",
    "historicalOrders": "allOrders",
    "userFills": "myTrades",
    "userFillsByTime": "myTrades",
    "clearinghouseState": "account.status",
}
"""Kind of query about an account -> what fault rules call it; others have their own name."""


class Info:
    """The queries of one market."""

    def __init__(
        self,
        venue: Venue,
        exchange: FuturesExchange,
        universe: Universe,
        parts: tuple[Market, HyperStreams, Wallets, Allowance],
        time_ms: Callable[[], int],
    ) -> None:
        """Answer there. ``time_ms`` is what the venue says that its time is."""
        self._venue = venue
        self._exchange = exchange
        self._universe = universe
        self._market, self._streams, self._wallets, self._allowance = parts
        market = self._market
        self.public: dict[str, Callable[[Json], Any]] = {
            "meta": lambda _body: market.meta(),
            "metaAndAssetCtxs": lambda _body: [market.meta(), market.contexts()],
            "spotMeta": lambda _body: market.spot_meta(),
            "spotMetaAndAssetCtxs": lambda _body: [market.spot_meta(), []],
            "perpDexs": lambda _body: [None],
            "allMids": lambda _body: market.mids(),
            "l2Book": lambda body: market.book(self._perp(body)),
            "candleSnapshot": self._candles,
            "exchangeStatus": lambda _body: {"time": time_ms(), "specialStatuses": None},
            "userRole": self._role,
        }
        self._private: dict[str, Callable[[Call], Any]] = {
            "orderStatus": self._order_status,
            "openOrders": lambda call: self._open(call, order_json.order_row),
            "frontendOpenOrders": lambda call: self._open(call, order_json.full_row),
            "historicalOrders": self._history,
            "userFills": lambda call: self._streams.fills(call.account),
            "userFillsByTime": self._fills,
            "userFunding": self._funding,
            "clearinghouseState": self._clearing,
            "spotClearinghouseState": lambda _call: {"balances": []},
            "activeAssetData": self._active,
            "userFees": self._fees,
            "userRateLimit": self._rate_limit,
            "userAbstraction": lambda _call: "disabled",
            "extraAgents": self._agents,
        }

    @staticmethod
    def weight(kind: str) -> int:
        """Return what a query weighs."""
        return 2 if kind in _LIGHT else 60 if kind == "userRole" else 20

    def methods(self) -> tuple[Method, ...]:
        """Return the queries about accounts. One name of fault rules may stand for several."""
        names = {_NAMES.get(kind, kind): kind for kind in self._private}
        return tuple(
            Method(
                name=name,
                rest="POST /info",
                answer=self._answer,
                weight=self.weight(kind),
            )
            for name, kind in names.items()
        )

    def _answer(self, call: Call) -> Any:  # noqa: ANN401 - any JSON value
        return self._private[_body(call)["type"]](call)

    def private_name(self, kind: str) -> str | None:
        """Return what fault rules call a query about an account; None for any other."""
        return _NAMES.get(kind, kind) if kind in self._private else None

    # ------------------------------------------------------------------ the market

    def _perp(self, body: Json) -> Perp:
        perp = self._universe.by_coin.get(str(body.get("coin")))
        if perp is None:
            raise Unreadable
        return perp

    def _candles(self, body: Json) -> list[Json]:
        wanted = body.get("req")
        if not isinstance(wanted, dict) or wanted.get("interval") not in KLINES:
            raise Unreadable
        start, end = wanted.get("startTime"), wanted.get("endTime")
        if not isinstance(start, int) or not (end is None or isinstance(end, int)):
            raise Unreadable
        return self._market.candles(self._perp(wanted), wanted["interval"], (start, end))

    def _role(self, body: Json) -> Json:
        address = str(body.get("user")).lower()
        if not _ADDRESS.fullmatch(address):
            raise Unreadable
        if self._wallets.account(address) is not None:
            return {"role": "user"}
        key = self._wallets.agent(address)
        if key is None:
            return {"role": "missing"}
        return {"role": "agent", "data": {"user": self._wallets.by_account[key.account].address}}

    # ------------------------------------------------------------------ orders

    def _each(self, account: str) -> list[Order]:
        """Return an account's last orders, as queries know them now."""
        found: list[Order] = []
        for symbol in self._exchange.rules:
            found += self._exchange.all_orders(account, symbol, limit=_MOST_ORDERS)
        shown = [known(self._venue, order) for order in found]
        return [order for order in shown if order is not None]

    def _order_status(self, call: Call) -> Json:
        oid = _body(call).get("oid")
        if isinstance(oid, bool) or not isinstance(oid, int | str):
            raise Unreadable
        for perp in self._universe.perps:
            by = {"order_id": oid} if isinstance(oid, int) else {"client_id": oid.lower()}
            try:
                order = self._exchange.order(call.account, perp.symbol, **by)
            except OrderRefused:
                continue
            shown = known(self._venue, order)
            if shown is not None:
                return {"status": "order", "order": order_json.with_status(perp, shown)}
        return {"status": "unknownOid"}

    def _open(self, call: Call, row: Callable[[Perp, Order], Json]) -> list[Json]:
        shown = [known(self._venue, each) for each in self._exchange.open_orders(call.account)]
        perps = self._universe.by_symbol
        return [row(perps[each.symbol], each) for each in shown if each is not None and each.open]

    def _history(self, call: Call) -> list[Json]:
        orders = sorted(self._each(call.account), key=lambda order: -order.order_id)
        perps = self._universe.by_symbol
        return [order_json.with_status(perps[each.symbol], each) for each in orders[:_MOST_ORDERS]]

    def _fills(self, call: Call) -> list[Json]:
        start, end = _span(_body(call))
        return self._streams.fills(call.account, max(start, 1), end)

    def _funding(self, call: Call) -> list[Json]:
        return self._streams.fundings(call.account, *_span(_body(call)))

    # ------------------------------------------------------------------ the account

    def _clearing(self, call: Call) -> Json:
        perps = dict(self._universe.by_symbol)
        return order_json.clearing(self._exchange, call.account, perps)

    def _active(self, call: Call) -> Json:
        perp = self._perp(_body(call))
        view = self._exchange.position(call.account, perp.symbol)
        available = wire(self._exchange.available(call.account, perp.spec.quote))
        return {
            "user": self._wallets.by_account[call.account].address,
            "coin": perp.coin,
            "leverage": {
                "type": "isolated" if view.isolated else "cross",
                "value": view.leverage,
            },
            "maxTradeSzs": ["0.0", "0.0"],
            "availableToTrade": [available, available],
            "markPx": wire(view.mark_e8),
        }

    def _fees(self, call: Call) -> Json:
        fees = self._exchange.fees(call.account)
        rates = {"cross": e8_text(fees.taker_e8), "add": e8_text(fees.maker_e8)}
        return {
            "dailyUserVlm": [],
            "feeSchedule": {**rates, "tiers": {"vip": [], "mm": []}, "referralDiscount": "0.04"},
            "userCrossRate": rates["cross"],
            "userAddRate": rates["add"],
            "activeReferralDiscount": "0.0",
        }

    def _rate_limit(self, call: Call) -> Json:
        allowance, account = self._allowance, call.account
        return {
            "cumVlm": wire(allowance.volume_e8[account]),
            "nRequestsUsed": allowance.used[account],
            "nRequestsCap": allowance.cap(account),
        }

    def _agents(self, call: Call) -> list[Json]:
        until = self._venue.now_ms + 90 * 86_400_000
        return [
            {"name": f"agent {number}", "address": key.key_id, "validUntil": until}
            for number, key in enumerate(self._wallets.agents(call.account), 1)
        ]


def _body(call: Call) -> Json:
    assert isinstance(call, ActionCall)  # noqa: S101 - nothing else is let in here
    return call.action


def _span(body: Json) -> tuple[int, int | None]:
    start, end = body.get("startTime", 0), body.get("endTime")
    if not isinstance(start, int) or not (end is None or isinstance(end, int)):
        raise Unreadable
    return start, end
