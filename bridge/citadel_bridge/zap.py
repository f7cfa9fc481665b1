"""The allow-list of CURVE clients, as a ZAP handler (ZeroMQ RFC 27).

Without a handler libzmq admits every client that knows the server's public key. This one runs in a
thread of its own, on the context of the sockets that it protects, and must be started before they
bind. It also watches those sockets, so that a peer whose handshake fails before ZAP is asked (a
wrong server key, plaintext) is counted too.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

import zmq
from zmq.utils import z85
from zmq.utils.monitor import parse_monitor_message

from citadel_bridge.sockets import ZAP_DOMAIN
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_bridge.sockets import Context

log = logging.getLogger(__name__)

_ENDPOINT: Final = "inproc://zeromq.zap.01"
_VERSION: Final = b"1.0"
_CHECK_MS: Final = 1_000
_LOGGED_ADDRESSES: Final = 64
_HANDSHAKE_FAILED: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)


class ZapGuard:
    """Admits the clients whose public key is on the list, and counts the others.

    Args:
        context: the context to protect; one guard each.
        allow: public keys, 40 bytes of Z85 each.
        renew: reads the list again, at every handshake and every second; None keeps the first one.
    """

    def __init__(
        self,
        context: Context,
        allow: frozenset[bytes],
        renew: Callable[[], frozenset[bytes]] | None = None,
    ) -> None:
        self.allow = allow
        self._renew = renew
        self._trouble = ""
        self.on_removed: list[Callable[[], object]] = []
        """Called, in the guard's thread, when a key is no longer on the list. Connections are not known by
        key: what is called here disconnects all, and those that are still listed connect again."""
        self.admitted = 0
        """Handshakes that succeeded."""
        self.refused = 0
        """Handshakes with a key that is not on the list."""
        self.broken = 0
        """Handshakes that failed before a key was known: wrong server key, or no CURVE at all."""
        self._context = context
        self._warned: set[str] = set()
        self._monitors: list[zmq.Socket[bytes]] = []
        self._handler = context.socket(zmq.REP)
        self._handler.setsockopt(zmq.LINGER, 0)
        self._handler.bind(_ENDPOINT)
        self._stop_in = context.socket(zmq.PAIR)
        self._stop_out = context.socket(zmq.PAIR)
        self._stop_in.bind(f"inproc://zap-stop-{id(self)}")
        self._stop_out.connect(f"inproc://zap-stop-{id(self)}")
        self._thread = threading.Thread(target=self._run, name="citadel-zap", daemon=True)

    def watch(self, socket: zmq.Socket[bytes]) -> None:
        """Count failed handshakes of a bound socket, too. Before ``start``."""
        monitor = socket.get_monitor_socket(_HANDSHAKE_FAILED)
        self._monitors.append(monitor)

    def start(self) -> None:
        """Start answering. Clients that connected earlier wait for it."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; afterwards no client is admitted. Safe to repeat."""
        if self._stop_out.closed:
            return
        if self._thread.is_alive():
            self._stop_out.send(b"")
            self._thread.join()
        for socket in (self._stop_out, self._stop_in, self._handler, *self._monitors):
            socket.close(linger=0)

    def _run(self) -> None:
        poller = zmq.Poller()
        for socket in (self._stop_in, self._handler, *self._monitors):
            poller.register(socket, zmq.POLLIN)
        while True:
            ready = dict(poller.poll(_CHECK_MS if self._renew is not None else None))
            self._renew_list()
            if self._stop_in in ready:
                return
            if self._handler in ready:
                self._handler.send_multipart(self._judge(self._handler.recv_multipart()))
            for monitor in self._monitors:
                if monitor in ready:
                    event = parse_monitor_message(monitor.recv_multipart())
                    self.broken += 1
                    self._warn(
                        "handshake",
                        f"a peer of {event['endpoint'].decode()} failed the CURVE handshake "
                        "(no keys, or not this server's public key)",
                    )

    def _renew_list(self) -> None:
        """Read the list again; what cannot be read changes nothing."""
        if self._renew is None:
            return
        try:
            allow = self._renew()
        except (BadInput, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.warning("the list of keys stays as it was: %s", error)
            return
        self._trouble = ""
        removed, self.allow = self.allow - allow, allow
        if removed:
            log.warning("%d keys are no longer admitted", len(removed))
            for call in self.on_removed:
                call()

    def _judge(self, request: list[bytes]) -> list[bytes]:
        """Answer one request: version, id, domain, address, identity, mechanism, credentials."""
        version, request_id, domain, address, _identity, mechanism, *credentials = request
        key = b""
        if mechanism == b"CURVE" and len(credentials) == 1:
            key = z85.encode(credentials[0])
        if version == _VERSION and domain == ZAP_DOMAIN and key in self.allow:
            self.admitted += 1
            return [_VERSION, request_id, b"200", b"OK", key, b""]
        self.refused += 1
        peer = address.decode("ascii", "replace")
        self._warn(
            peer,
            f"refused {peer}: its {mechanism.decode('ascii', 'replace')} key "
            f"{key.decode('ascii', 'replace')!r} is not on the allow-list",
        )
        return [_VERSION, request_id, b"400", b"not on the allow-list", b"", b""]

    def _warn(self, peer: str, text: str) -> None:
        # Once per address: a refused client retries for ever.
        if peer not in self._warned and len(self._warned) < _LOGGED_ADDRESSES:
            self._warned.add(peer)
            log.warning("%s", text)
