"""The user data stream of USD-M: listen keys, and what an account's events look like.

One listen key per account, whoever asks: another client's DELETE ends it for all, and a socket that
was opened with it stays up in silence. It lives an hour after it was last asked for or kept alive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from citadel_micro.sim.exchange.model import OrderEvent
from citadel_micro.simulator.binance_usdm import account_json, order_json
from citadel_micro.simulator.keys import ApiKey
from citadel_micro.simulator.private.user_streams import (
    Subscription,
    UserStreams,
    encode,
    kind_of,
)
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import AccountEvent, BalanceEvent
    from citadel_micro.simulator.client import Client

Json = dict[str, Any]
_OURS = {"liquidation", "adl"}


@dataclass(slots=True)
class ListenKey:
    """An account's key and when it ends, in ms."""

    name: str
    key: ApiKey
    until_ms: int


@dataclass(slots=True, eq=False, kw_only=True)
class ListenKeySubscription(Subscription):
    """A connection that was opened with a listen key."""

    name: str

    def frame(self, event: Json) -> bytes:
        """Return an event, with its stream's name where the connection asked for that."""
        return encode({"stream": self.name, "data": event} if self.client.combined else event)


class UsdmUserStreams(UserStreams):
    """Listen keys and the events of futures accounts."""

    def __init__(self, exchange: FuturesExchange, *, life_ms: int) -> None:
        """A listen key lives ``life_ms`` after it was last asked for."""
        super().__init__()
        self._exchange = exchange
        self._life_ms = life_ms
        self.force_order: Callable[[str, Json], None] | None = None
        """Publishes a liquidation of a symbol; set when the parts are composed."""
        self._keys: dict[str, ListenKey] = {}
        self._issued: dict[str, str] = {}
        self._by_client: dict[tuple[Client, str], ListenKeySubscription] = {}
        self._wallets: dict[tuple[str, str], int] = {}

    # ------------------------------------------------------------------ listen keys

    def start(self, key: ApiKey) -> str:
        """Return the account's listen key, a new one where it has none, good for an hour from now."""
        venue, known = self.venue, self._keys.get(key.account)
        if venue is None:
            return ""
        if known is None:
            name = "".join(venue.new_name() for _ in range(3))[:64]
            known = self._keys[key.account] = ListenKey(name, key, 0)
            self._issued[name] = key.account
        known.until_ms = venue.now_ms + self._life_ms
        return known.name

    def keep(self, key: ApiKey) -> str:
        """Keep the account's listen key alive for an hour from now.

        Raises:
            ApiError: -1125 where there is none.
        """
        if key.account not in self._keys:
            raise ApiError(-1125, "This listenKey does not exist.")
        return self.start(key)

    def end(self, account: str) -> None:
        """Delete the account's listen key: its sockets stay up and get nothing more."""
        known = self._keys.pop(account, None)
        if known is None:
            return
        for place, subscription in list(self._by_client.items()):
            if place[1] == known.name:
                del self._by_client[place]
                self.remove(subscription, tell=False)

    def terminate(self, account: str) -> None:
        """End the account's listen key as at the end of its life, and send the event."""
        known = self._keys.get(account)
        if known is not None:
            event = {"e": "listenKeyExpired", "E": self._now_ms, "listenKey": known.name}
            for subscription in list(self._subscriptions.get(account, ())):
                subscription.send(event)
            self.end(account)

    def tick(self) -> None:
        """End the listen keys that nobody has kept alive."""
        for account, known in list(self._keys.items()):
            if known.until_ms <= self._now_ms:
                self.terminate(account)

    def knows(self, name: str) -> bool:
        """Whether this is, or was, a listen key."""
        return name in self._issued

    def subscribe(self, client: Client, name: str) -> None:
        """Open a listen key's events on a connection; of one that has ended nothing comes."""
        account = self._issued[name]
        known = self._keys.get(account)
        self.clients[client] = None
        if known is None or known.name != name or (client, name) in self._by_client:
            return
        subscription = ListenKeySubscription(client=client, key=known.key, name=name)
        self._by_client[client, name] = subscription
        self.add(subscription)

    def unsubscribe(self, client: Client, name: str) -> None:
        """Forget a connection's listen key."""
        subscription = self._by_client.pop((client, name), None)
        if name in self._issued:
            self.clients.pop(client, None)
        if subscription is not None:
            self.remove(subscription, tell=False)

    # ------------------------------------------------------------------ events

    def _bodies(self, event: AccountEvent) -> list[tuple[str, Json]]:
        if not isinstance(event, OrderEvent):
            return self._account_update(event)
        exchange, order, fill = self._exchange, event.order, event.fill
        spec = exchange.rules[order.symbol].spec
        out = [(kind_of(event), order_json.order_update(spec, event))]
        if event.cause == "TRADE" and fill is not None:
            out.insert(0, ("TRADE_LITE", order_json.trade_lite(spec, order, fill)))
            if order.origin in _OURS and self.force_order is not None:
                self.force_order(order.symbol, order_json.force_order(spec, order, fill))
        return out

    def _account_update(self, event: BalanceEvent) -> list[tuple[str, Json]]:
        """Return the change of wallets and positions; locked margin alone is none."""
        account = event.account_id
        changes: dict[str, int] = {}
        opening = self._exchange.ledger(account).opening
        for asset, free, locked in event.balances:
            place = (account, asset)
            before = self._wallets.get(place, opening.get(asset, 0))
            self._wallets[place] = free + locked
            if free + locked != before:
                changes[asset] = free + locked - before
        if not changes and not event.positions:
            return []
        return [(kind_of(event), account_json.account_update(self._exchange, event, changes))]
