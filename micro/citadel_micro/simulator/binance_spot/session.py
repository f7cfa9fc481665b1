"""A connection of spot's websocket API: what it is subscribed to, beside who logged on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.simulator.binance_spot.user_stream import SpotSubscription
from citadel_micro.simulator.private.session import Session
from citadel_micro.simulator.private.signed import malformed
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.simulator.client import Client
    from citadel_micro.simulator.keys import ApiKey
    from citadel_micro.simulator.private.intake import Intake
    from citadel_micro.simulator.private.service import Service

Json = dict[str, Any]
_MOST_SUBSCRIPTIONS: Final = 1000
_MOST_NUMBERS: Final = 65_535


class SpotSession(Session):
    """A connection with subscriptions to user data streams."""

    def __init__(
        self, service: Service, client: Client, *, address: str, rate_limits: bool
    ) -> None:
        """Start without a key and without subscriptions."""
        super().__init__(service, client, address=address, rate_limits=rate_limits)
        self._subscriptions: dict[int, SpotSubscription] = {}
        self._next = 0
        self.methods |= {
            "session.subscriptions": self._list,
            "userDataStream.subscribe": self._subscribe,
            "userDataStream.subscribe.signature": self._subscribe_signed,
            "userDataStream.unsubscribe": self._unsubscribe,
        }

    def end(self) -> None:
        """Forget the connection's subscriptions: it is gone."""
        for subscription in self._subscriptions.values():
            self._service.streams.remove(subscription, tell=False)
        self._subscriptions.clear()

    def _drop_logon(self) -> None:
        for number, subscription in list(self._subscriptions.items()):
            if subscription.by_logon:
                del self._subscriptions[number]
                self._service.streams.remove(subscription, tell=True)

    @property
    def _listens(self) -> bool:
        return bool(self._subscriptions)

    # ------------------------------------------------------------------ user data stream

    def _subscribe(self, _intake: Intake, _params: dict[str, str]) -> Json:
        if self.key is None:
            raise ApiError(-1002, "You are not authorized to execute this request.", status=401)
        self.check_key()
        return self._start(self.key, by_logon=True)

    def _subscribe_signed(self, intake: Intake, params: dict[str, str]) -> Json:
        if "apiKey" not in params:
            raise malformed("apiKey")
        name = "userDataStream.subscribe.signature"
        return self._start(intake.websocket(name, params, None, self.address).key, by_logon=False)

    def _start(self, key: ApiKey, *, by_logon: bool) -> Json:
        if any(item.key.account == key.account for item in self._subscriptions.values()):
            raise ApiError(-2035, "User Data Stream subscription already active.")
        if len(self._subscriptions) >= _MOST_SUBSCRIPTIONS:
            text = f"Too many subscriptions. Connection may create up to '{_MOST_SUBSCRIPTIONS}'"
            raise ApiError(-1191, f"{text} subscriptions at a time.")
        if self._next > _MOST_NUMBERS:
            raise ApiError(-2042, "Maximum subscription ID reached for this connection.")
        number, self._next = self._next, self._next + 1
        subscription = SpotSubscription(
            number=number, client=self.client, key=key, by_logon=by_logon
        )
        subscription.on_end = lambda: self._forget(number)
        self._subscriptions[number] = subscription
        self._service.streams.add(subscription)
        return {"subscriptionId": number}

    def _forget(self, number: int) -> None:
        self._subscriptions.pop(number, None)

    def _unsubscribe(self, _intake: Intake, params: dict[str, str]) -> Json:
        text = params.get("subscriptionId")
        if text is None:
            chosen = list(self._subscriptions)
        elif text.isdecimal() and int(text) in self._subscriptions:
            chosen = [int(text)]
        else:
            chosen = []
        if not chosen:
            raise ApiError(-2036, "User Data Stream subscription not active.")
        for number in chosen:
            self._service.streams.remove(self._subscriptions.pop(number), tell=True)
        return {}

    def _list(self, _intake: Intake, _params: dict[str, str]) -> list[Json]:
        return [{"subscriptionId": number} for number in self._subscriptions]
