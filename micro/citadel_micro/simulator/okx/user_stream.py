"""OKX's private channels: ``orders``, ``account``, and who is subscribed to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSCloseCode

from citadel_micro.sim.exchange.model import BalanceEvent, OrderEvent
from citadel_micro.simulator.knobs import UNKNOWN_STATUS
from citadel_micro.simulator.okx import order_json
from citadel_micro.simulator.okx.names import Json, inst_id, inst_type, number
from citadel_micro.simulator.private.user_streams import Subscription, UserStreams, encode, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.exchange import Exchange
    from citadel_micro.sim.exchange.model import AccountEvent, Fill
    from citadel_micro.simulator.okx.trading import Trading

NOTICE = {
    "event": "notice",
    "code": "64008",
    "msg": "The connection will soon be closed for a service upgrade. Please reconnect.",
}


@dataclass(slots=True, eq=False, kw_only=True)
class OkxSubscription(Subscription):
    """The private channels of one connection: ``args`` as they were asked for."""

    uid: str
    args: list[Mapping[str, Any]] = field(default_factory=list)

    def arg(self, body: Json) -> Mapping[str, Any] | None:
        """Return what an event comes by; None where it was not asked for."""
        for arg in self.args:
            if arg["channel"] != body["channel"]:
                continue
            if arg.get("instType", "ANY") not in {"ANY", body["kind"]}:
                continue
            if arg.get("instId", body["name"]) == body["name"]:
                return arg
            if arg.get("ccy", "") in body["currencies"]:
                return arg
        return None

    def frame(self, event: Json) -> bytes:
        """Return an event in its envelope."""
        arg = dict(self.arg(event) or {})
        arg.pop("extraParams", None)
        return encode({"arg": arg | {"uid": self.uid}, "data": [event["row"]]})


class OkxStreams(UserStreams):
    """OKX's events."""

    channels: tuple[str, ...] = ("orders", "account")

    def __init__(self, exchange: Exchange) -> None:
        """Start with no subscription; ``trading`` is set when the parts are composed."""
        super().__init__()
        self._exchange = exchange
        self.trading: Trading | None = None
        self._fills: dict[int, list[Fill]] = {}

    def _bodies(self, event: AccountEvent) -> list[tuple[str, Json]]:
        if not isinstance(event, OrderEvent):
            return self._money(event)
        order = event.order
        trading = self.trading
        if trading is not None and order.order_id in trading.stillborn:
            if order.open:
                return []
            trading.stillborn.discard(order.order_id)
        fills = self._fills.setdefault(order.order_id, [])
        if event.fill is not None:
            fills.append(event.fill)
        if not order.open:
            self._fills.pop(order.order_id, None)
        spec = self._exchange.rules[order.symbol].spec
        wishes = order_json.NONE if trading is None else trading.wish(order.order_id)
        last = self._exchange.last_ticks(order.symbol)
        row = order_json.push(spec, event, wishes, fills, last)
        body = {
            "channel": "orders",
            "kind": inst_type(spec),
            "name": inst_id(spec),
            "currencies": (),
            "row": row,
        }
        return [(kind_of(event), body)]

    def _money(self, event: BalanceEvent) -> list[tuple[str, Json]]:
        """Return the event of changed balances."""
        details = [
            self.balance(event.account_id, currency, (free, locked), event.time_ns)
            for currency, free, locked in event.balances
        ]
        return [(kind_of(event), _account(details, event.time_ns))] if details else []

    def balance(self, account: str, currency: str, held: tuple[int, int], time_ns: int) -> Json:
        """Return one currency of an account, of which so much is free and locked."""
        del account
        return order_json.balance(currency, *held, time_ns)

    def _deliver(self, subscription: Subscription, body: Json, kind: str) -> None:
        if isinstance(subscription, OkxSubscription) and subscription.arg(body) is not None:
            super()._deliver(subscription, body, kind)

    def show(self, subscription: OkxSubscription, arg: Mapping[str, Any]) -> None:
        """Send what a new subscription gets first: the account as it is."""
        if arg["channel"] != "account":
            return
        account = subscription.key.account
        time_ns = self._exchange.changed_ns(account) or self._exchange.now_ns
        details = [
            self.balance(account, currency, held, time_ns)
            for currency, held in self._exchange.balances(account).items()
            if any(held)
        ]
        subscription.client.push(subscription.frame(_account(details, time_ns)))

    # ------------------------------------------------------------------ faults

    def terminate(self, account: str) -> None:
        """Close an account's connections: OKX has no way to end a subscription alone."""
        for subscription in list(self._subscriptions.get(account, ())):
            self.remove(subscription, tell=False)
            subscription.client.close(WSCloseCode.GOING_AWAY, b"the subscription has ended")

    def _shutdown_frame(self) -> Json:
        return NOTICE

    def _edited(self, body: Json, change: Callable[[Json], Json]) -> Json:
        return body | {"row": change(body["row"])}

    def _unknown_status(self, report: Json) -> Json:
        return report | {"state": UNKNOWN_STATUS} if "state" in report else report

    def _shrunk(self, report: Json) -> Json:
        """Return a fill whose total leaves the fill itself out, and half of the rest."""
        if not report.get("tradeId"):
            return report
        lie = (_e8(report["accFillSz"]) - _e8(report["fillSz"])) // 2
        return report | {"accFillSz": number(lie)}


def _account(details: list[Json], time_ns: int) -> Json:
    row = order_json.account(details, time_ns)
    names = [each["ccy"] for each in details]
    return {"channel": "account", "kind": "", "name": "", "currencies": names, "row": row}


def _e8(text: str) -> int:
    whole, _, decimals = text.partition(".")
    return int(whole) * 100_000_000 + int(decimals.ljust(8, "0"))
