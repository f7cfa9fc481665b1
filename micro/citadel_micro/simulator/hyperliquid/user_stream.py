"""An account's events on websockets: orders, fills, funding, money and positions.

They are subscribed to by the account's address; anybody may.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSCloseCode

from citadel_micro.sim.exchange.model import BalanceEvent, OrderEvent
from citadel_micro.simulator.hyperliquid import order_json
from citadel_micro.simulator.hyperliquid.universe import wire
from citadel_micro.simulator.knobs import UNKNOWN_STATUS
from citadel_micro.simulator.private.user_streams import Subscription, UserStreams, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import AccountEvent, Movement
    from citadel_micro.simulator.client import Client
    from citadel_micro.simulator.hyperliquid.allowance import Allowance
    from citadel_micro.simulator.hyperliquid.universe import Universe
    from citadel_micro.simulator.hyperliquid.wallets import Wallets

Json = dict[str, Any]
CHANNELS: Final = (
    "orderUpdates",
    "userFills",
    "userEvents",
    "userFundings",
    "clearinghouseState",
)
MOST_FILLS: Final = 2_000
_MS_NS: Final = 1_000_000


@dataclass(slots=True, eq=False, kw_only=True)
class HyperSubscription(Subscription):
    """One channel of one account on one connection."""

    channel: str


class HyperStreams(UserStreams):
    """The accounts' events."""

    def __init__(
        self,
        exchange: FuturesExchange,
        universe: Universe,
        wallets: Wallets,
        allowance: Allowance,
    ) -> None:
        """Tell of ``exchange``."""
        super().__init__()
        self._exchange = exchange
        self._universe = universe
        self._wallets = wallets
        self._allowance = allowance
        self._by_client: dict[tuple[Client, str, str], HyperSubscription] = {}
        self._lots: Counter[tuple[str, str]] = Counter()
        self._before: dict[tuple[str, int], int] = {}
        self._origins: dict[int, str] = {}
        self._second = 0

    # ------------------------------------------------------------------ subscriptions

    def subscribe(self, client: Client, channel: str, account: str) -> bool:
        """Start one; whether there was none of it yet."""
        place = (client, channel, account)
        if place in self._by_client:
            return False
        key = self._wallets.by_account[account].agent
        made = HyperSubscription(client=client, key=key, channel=channel)
        self._by_client[place] = made
        self.clients[client] = None
        self.add(made)
        return True

    def unsubscribe(self, client: Client, channel: str, account: str) -> bool:
        """End one; whether there was one."""
        found = self._by_client.pop((client, channel, account), None)
        if found is not None:
            self.remove(found, tell=False)
        return found is not None

    def drop(self, client: Client) -> None:
        """Forget a connection."""
        for place in [each for each in self._by_client if each[0] is client]:
            self.unsubscribe(*place)
        self.clients.pop(client, None)

    def end(self, account: str) -> None:
        """Mute an account's connections: they stay up."""
        for place in [each for each in self._by_client if each[2] == account]:
            self.unsubscribe(*place)

    def terminate(self, account: str) -> None:
        """Close an account's connections; the venue has no word for it."""
        for client in {place[0]: None for place in self._by_client if place[2] == account}:
            client.close(WSCloseCode.GOING_AWAY, b"terminated")

    def shut_down(self, seconds: float) -> None:
        """Cut every private connection; the venue does not announce it."""
        del seconds
        self.cut()

    def snapshot(self, channel: str, account: str) -> Json | None:
        """Return what a new subscription is sent first, where it is sent anything."""
        user = self._wallets.by_account[account].address
        if channel == "userFills":
            body: Json = {"isSnapshot": True, "user": user, "fills": self.fills(account)}
        elif channel == "userFundings":
            rows = [self._payment(each) for each in self._paid(account)][-500:]
            body = {"isSnapshot": True, "user": user, "fundings": rows}
        elif channel == "clearinghouseState":
            body = self._money(account)
        else:
            return None
        return {"channel": channel, "data": body}

    def _money(self, account: str) -> Json:
        perps = dict(self._universe.by_symbol)
        return {
            "dex": "",
            "user": self._wallets.by_account[account].address,
            "clearinghouseState": order_json.clearing(self._exchange, account, perps),
        }

    def tick(self, now_ns: int) -> None:
        """Send money and positions once a second, to those who follow them."""
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second = second
            followed = {place[2] for place in self._by_client if place[1] == "clearinghouseState"}
            for account in sorted(followed):
                self._send(account, "clearinghouseState", "BALANCE", self._money(account))

    # ------------------------------------------------------------------ records

    def fills(self, account: str, start_ms: int = 0, end_ms: int | None = None) -> list[Json]:
        """Return fills: from a time on the oldest 2,000, else the newest first."""
        found = [
            each
            for each in self._exchange.ledger(account).fills
            if each.time_ns // _MS_NS >= start_ms
            and (end_ms is None or each.time_ns // _MS_NS <= end_ms)
        ]
        chosen = found[:MOST_FILLS] if start_ms else found[: -MOST_FILLS - 1 : -1]
        return [self._fill(account, each) for each in chosen]

    def _fill(self, account: str, fill: Any) -> Json:  # noqa: ANN401 - a fill
        return order_json.fill_row(
            self._universe.by_symbol[fill.symbol],
            fill,
            self._before.get((account, fill.number), 0),
            self._origins.get(fill.order_id, "client"),
            self._wallets.by_account[account].address,
        )

    def _paid(self, account: str) -> list[Movement]:
        movements = self._exchange.ledger(account).movements
        return [each for each in movements if each.kind == "funding"]

    def fundings(self, account: str, start_ms: int, end_ms: int | None) -> list[Json]:
        """Return the payments of funding of a period, 500 at most."""
        return [
            {
                "time": each.time_ns // _MS_NS,
                "hash": f"0x{'0' * 64}",
                "delta": {"type": "funding", **self._payment(each), "nSamples": None},
            }
            for each in self._paid(account)
            if each.time_ns // _MS_NS >= start_ms
            and (end_ms is None or each.time_ns // _MS_NS <= end_ms)
        ][:500]

    def _payment(self, paid: Movement) -> Json:
        return {
            "time": paid.time_ns // _MS_NS,
            "coin": self._universe.by_symbol[paid.symbol].coin,
            "usdc": wire(paid.amount_e8),
            "szi": "0.0",
            "fundingRate": wire(self._exchange.funding_e8[paid.symbol]),
        }

    # ------------------------------------------------------------------ events

    def publish(self, event: AccountEvent) -> None:
        """Note a fill's position and volume, and send it."""
        if isinstance(event, OrderEvent) and event.fill is not None:
            fill = event.fill
            place = (fill.account_id, fill.symbol)
            self._before[fill.account_id, fill.number] = self._lots[place]
            self._lots[place] += fill.lots if fill.side == "BUY" else -fill.lots
            self._allowance.volume_e8[fill.account_id] += fill.quote_e8
            if event.order.origin in {"liquidation", "adl"}:
                self._origins[fill.order_id] = event.order.origin
        super().publish(event)

    def _route(self, event: AccountEvent) -> None:
        account = event.account_id
        user = self._wallets.by_account[account].address
        if isinstance(event, BalanceEvent):
            self._send(account, "clearinghouseState", "BALANCE", self._money(account))
            if event.reason == "funding":
                for view in event.positions:
                    paid = [each for each in self._paid(account) if each.symbol == view.symbol]
                    rows = [self._payment(each) for each in paid[-1:]]
                    body = {"isSnapshot": False, "user": user, "fundings": rows}
                    self._send(account, "userFundings", "BALANCE", body)
                    self._send(account, "userEvents", "BALANCE", {"funding": rows[0]})
            return
        perp = self._universe.by_symbol[event.order.symbol]
        kind = kind_of(event)
        if event.fill is not None:
            row = self._fill(account, event.fill)
            body = {"user": user, "fills": [row]}
            self._send(account, "userFills", kind, body)
            self._send(account, "userEvents", kind, {"fills": [row]})
        update = order_json.with_status(perp, event.order, full=False)
        self._send(account, "orderUpdates", kind, [update])

    def _send(self, account: str, channel: str, kind: str, data: Any) -> None:  # noqa: ANN401 - any JSON value
        name = "user" if channel == "userEvents" else channel
        for each in list(self._subscriptions.get(account, ())):
            if isinstance(each, HyperSubscription) and each.channel == channel:
                self._deliver(each, {"channel": name, "data": data}, kind)

    # ------------------------------------------------------------------ lies

    def _edited(self, body: Json, change: Callable[[Json], Json]) -> Json:
        """Change the reports of orders."""
        if body["channel"] != "orderUpdates":
            return body
        return body | {"data": [change(row) for row in body["data"]]}

    def _shrunk(self, report: Json) -> Json:
        """Say that nothing has filled, whatever the report before said."""
        order = report["order"]
        return report | {"order": order | {"sz": order["origSz"]}}

    def _unknown_status(self, report: Json) -> Json:
        return report | {"status": UNKNOWN_STATUS}
