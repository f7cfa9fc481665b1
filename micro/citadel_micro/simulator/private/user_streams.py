"""User data streams: who is subscribed to which account, and how events reach them, faults included.

Faults of events are counted per subscription.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiohttp import WSCloseCode

from citadel_micro.sim.exchange.model import OrderEvent
from citadel_micro.sim.flow_symbols import e8_text
from citadel_micro.simulator.client import Client
from citadel_micro.simulator.keys import ApiKey
from citadel_micro.simulator.knobs import KNOBS, UNKNOWN_STATUS, Counts

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import AccountEvent
    from citadel_micro.simulator.private.venue import Venue

Json = dict[str, Any]
_FOREVER: Final = float("inf")
encode = msgspec.json.encode


def _nothing() -> None:
    """Do nothing: the connection has not subscribed yet."""


@dataclass(slots=True, eq=False, kw_only=True)
class Subscription:
    """One account on one connection."""

    client: Client
    key: ApiKey
    muted_until: float = 0.0
    held: bytes | None = None  # an event that waits for the next one, to come after it
    on_end: Callable[[], None] = _nothing

    def send(self, event: Json) -> None:
        """Send an event now."""
        self.push(self.frame(event))

    def frame(self, event: Json) -> bytes:
        """Return an event as this subscription gets it."""
        return encode(event)

    def push(self, frame: bytes) -> None:
        """Send a frame, and after it one that waited to be overtaken."""
        self.client.push(frame)
        self.release()

    def release(self) -> None:
        """Send what waits to be overtaken."""
        held, self.held = self.held, None
        if held is not None:
            self.client.push(held)


class UserStreams:
    """All subscriptions and private connections of a market. A protocol says what its events are."""

    def __init__(self) -> None:
        """Start with none; ``venue`` is set when the parts are composed."""
        self.venue: Venue | None = None
        self._subscriptions: dict[str, dict[Subscription, None]] = {}
        self.clients: dict[Client, None] = {}
        self._held_until: dict[str, float] = {}
        self._waiting: dict[str, list[AccountEvent]] = {}

    # ------------------------------------------------------------------ subscriptions

    def add(self, subscription: Subscription) -> None:
        """Start a subscription."""
        self._subscriptions.setdefault(subscription.key.account, {})[subscription] = None

    def remove(self, subscription: Subscription, *, tell: bool) -> None:
        """End a subscription; with ``tell`` the client is sent an event of it."""
        self._subscriptions.get(subscription.key.account, {}).pop(subscription, None)
        if tell:
            subscription.send(self._terminated())

    def end(self, account: str) -> None:
        """Mute an account's events as another of its clients can, where one can."""

    def terminate(self, account: str) -> None:
        """End every subscription of an account, and send the event."""
        for subscription in list(self._subscriptions.get(account, ())):
            self.remove(subscription, tell=True)
            subscription.on_end()

    def _terminated(self) -> Json:
        return {"e": "eventStreamTerminated", "E": self._now_ms}

    @property
    def _now_ms(self) -> int:
        return 0 if self.venue is None else self.venue.now_ms

    def shut_down(self, seconds: float) -> None:
        """Announce ``serverShutdown`` on every private connection and cut them later."""
        frame = encode(self._shutdown_frame())
        loop = asyncio.get_running_loop()
        for client in self.clients:
            client.push(frame)
            loop.call_later(seconds, client.close, WSCloseCode.GOING_AWAY, b"server shutdown")

    def _shutdown_frame(self) -> Json:
        return {"event": {"e": "serverShutdown", "E": self._now_ms}}

    def cut(self) -> None:
        """Close every private connection."""
        for client in list(self.clients):
            client.close(WSCloseCode.GOING_AWAY, b"connection is 24 hours old")

    # ------------------------------------------------------------------ events

    def hold(self, account: str, seconds: float) -> None:
        """Let an account's events wait, in order."""
        loop = asyncio.get_running_loop()
        self._held_until[account] = loop.time() + seconds
        loop.call_later(seconds, self._let_go, account)

    def _let_go(self, account: str) -> None:
        until = self._held_until.get(account, 0.0)
        if asyncio.get_running_loop().time() + 1e-4 < until:
            return
        self._held_until.pop(account, None)
        for event in self._waiting.pop(account, []):
            self._route(event)

    def publish(self, event: AccountEvent) -> None:
        """Send an event to every subscription of its account."""
        if self.venue is not None and event.sequence:
            self.venue.last_sequence[event.account_id] = event.sequence
        if event.account_id in self._held_until:
            self._waiting.setdefault(event.account_id, []).append(event)
            return
        self._route(event)

    def _route(self, event: AccountEvent) -> None:
        for kind, body in self._bodies(event):
            self.tell(event.account_id, kind, body)

    def tell(self, account: str, kind: str, body: Json) -> None:
        """Send an account's event, which fault rules call ``kind``, to every subscription."""
        for subscription in list(self._subscriptions.get(account, ())):
            self._deliver(subscription, body, kind)

    def _bodies(self, event: AccountEvent) -> list[tuple[str, Json]]:
        """Return an event as the protocol's events, and what fault rules call each."""
        raise NotImplementedError

    def _deliver(self, subscription: Subscription, body: Json, kind: str) -> None:
        """Send one event to one subscription, unless a fault has other plans."""
        venue = self.venue
        if venue is None:
            return
        loop = asyncio.get_running_loop()
        who = (subscription.key.key_id, subscription.key.account)

        hits = {
            name: rule.seconds
            for name in venue.faults.names()
            if KNOBS[name].counts is Counts.EVENT
            and (rule := venue.faults.hit(name, who, kind, venue.now_ms))
        }
        silence = hits.get("mute")
        if silence is not None:
            until = loop.time() + silence if silence else _FOREVER
            subscription.muted_until = max(subscription.muted_until, until)
        if loop.time() < subscription.muted_until or "event-lost" in hits:
            return
        if "total-shrinks" in hits:
            body = self._edited(body, self._shrunk)
        if "event-unknown-status" in hits:
            body = self._edited(body, self._unknown_status)
        frame = subscription.frame(body)
        delays = [hits[name] for name in ("event-delayed", "new-delayed") if name in hits]
        if delays:
            loop.call_later(max(delays), subscription.client.push, frame)
            return
        if "event-reordered" in hits and subscription.held is None:
            subscription.held = frame
            loop.call_later(hits["event-reordered"], subscription.release)
            return
        subscription.push(frame)
        if "event-duplicated" in hits:
            subscription.push(frame)

    # ------------------------------------------------------------------ lies, in the protocol's words

    def _edited(self, body: Json, change: Callable[[Json], Json]) -> Json:
        """Change an order's report, which futures wrap in ``o``."""
        inner = body.get("o")
        return body | {"o": change(inner)} if isinstance(inner, dict) else change(body)

    def _unknown_status(self, report: Json) -> Json:
        return report | {"X": UNKNOWN_STATUS} if "X" in report else report

    def _shrunk(self, report: Json) -> Json:
        """Return a fill whose cumulative quantity leaves the fill itself out, and half of the rest."""
        if "z" not in report:
            return report
        lie = (_e8(report["z"]) - _e8(report["l"])) // 2
        return report | {"z": e8_text(lie)}


def kind_of(event: AccountEvent) -> str:
    """Return what fault rules call an event: its execution type, or ``BALANCE``."""
    return event.cause if isinstance(event, OrderEvent) else "BALANCE"


def _e8(text: str) -> int:
    whole, _, decimals = text.partition(".")
    return int(whole) * 100_000_000 + int(decimals.ljust(8, "0"))
