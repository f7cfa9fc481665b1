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

if TYPE_CHECKING:
    from citadel_bridge.sockets import Context

log = logging.getLogger(__name__)

_ENDPOINT: Final = "inproc://zeromq.zap.01"
_VERSION: Final = b"1.0"
_LOGGED_ADDRESSES: Final = 64
_HANDSHAKE_FAILED: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
)


class ZapGuard:
    """Admits the clients whose public key is on the list, and counts the others.

    Args:
        context: the context to protect; one guard each.
        allow: public keys, 40 bytes of Z85 each.
    """

    def __init__(self, context: Context, allow: frozenset[bytes]) -> None:
        self.allow = allow
        self.admitted = 0
        """Handshakes that passed."""
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
        """Begin to answer. Clients that came earlier wait for it."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; afterwards nobody is admitted. Harmless when repeated."""
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
            ready = dict(poller.poll())
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
        # Once per address: a client that is refused tries again for ever.
        if peer not in self._warned and len(self._warned) < _LOGGED_ADDRESSES:
            self._warned.add(peer)
            log.warning("%s", text)
