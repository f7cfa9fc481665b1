"""ZeroMQ sockets with every option that matters set explicitly.

PUB always binds and SUB always connects. The other way round, a publisher queues for an absent
subscriber, which later acts on stale signals: 5 of 5 against 0 of 5, measured.
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import zmq

from citadel_bridge.auth import ClientKeys, ServerKeys, require_keys
from citadel_bridge.errors import PortTaken
from citadel_bridge.fork_sockets import leave_out_of_forks
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable

Context = zmq.Context[zmq.Socket[bytes]]

HIGH_WATER: Final = 10_000
"""Messages queued per peer before a PUB drops for it, or a SUB stops reading."""
MAX_MESSAGE: Final = 64 * 1024 * 1024
"""A connection that brings a larger message is closed by ZeroMQ, for good, until its silence is
noticed: far beyond what any sender of ours can send, so that a frame that is merely too large is
counted and dropped instead."""
MAX_SUBSCRIPTION: Final = 1_024
"""Octets that a subscriber may send in one frame: a topic of 256, or a step of the handshake."""
LINGER_MS: Final = 200
"""How long closing waits for the last messages to be sent."""

_RECONNECT_MS: Final = 50
_RECONNECT_MAX_MS: Final = 1_000
_KEEPALIVE_IDLE_S: Final = 2
_KEEPALIVE_EVERY_S: Final = 1
_KEEPALIVE_COUNT: Final = 3
_UPSTREAM_QUEUE: Final = 100
_UPSTREAM_OCTETS: Final = 16 * 1024
ZAP_DOMAIN: Final = b"citadel"
"""Named so that libzmq asks the ZAP handler about every client."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address to connect to, and the keys for it (None: plaintext, local addresses only)."""

    address: str
    keys: ClientKeys | None = None


def publisher_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    address: str,
    keys: ServerKeys | None = None,
    *,
    high_water: int = HIGH_WATER,
) -> tuple[zmq.Socket[bytes], str]:
    """Make a PUB socket and bind it.

    With ``keys``, a ``citadel_bridge.zap.ZapGuard`` must be running on the same context, because
    without one libzmq admits every client.

    Returns:
        The socket, and the address it is bound to (port 0 replaced by the port it got).

    Raises:
        Refused: plaintext on an address that is not local.
        PortTaken: the address is in use.
        BadInput: the address cannot be bound at all.
    """
    require_keys(address, keys)
    socket = context.socket(zmq.PUB)
    socket.setsockopt(zmq.SNDHWM, high_water)
    socket.setsockopt(zmq.LINGER, LINGER_MS)
    _keep_alive(socket)
    # Publishers receive subscriptions only; see ``upstream`` for how many.
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION)
    socket.setsockopt(zmq.RCVHWM, _UPSTREAM_QUEUE)
    socket.setsockopt(zmq.RCVBUF, _UPSTREAM_OCTETS)
    if keys is not None:
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.pair.secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        if error.errno in {zmq.EADDRINUSE, errno.EADDRINUSE}:
            raise PortTaken(
                f"{address} is in use: another process publishes there already; stop it, or choose "
                "another address"
            ) from error
        raise BadInput(
            f"cannot bind {address!r}: {error.strerror}",
            allowed=_of_length(error)
            or "tcp://127.0.0.1:PORT, ipc://PATH, or tcp://ADDRESS:PORT with keys",
        ) from error
    bound = socket.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(bound, bytes)  # noqa: S101 - what this option returns
    found = bound.rstrip(b"\0").decode()
    leave_out_of_forks(socket, found)
    return socket, found


def subscriber_socket(
    context: zmq.Context[zmq.Socket[bytes]],
    endpoints: Iterable[Endpoint],
    subscriptions: Iterable[bytes],
    *,
    high_water: int = HIGH_WATER,
) -> zmq.Socket[bytes]:
    """Make a SUB socket and connect it to every endpoint; publishers may start later.

    Raises:
        Refused: plaintext to an address that is not local.
        BadInput: an invalid address.
    """
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RCVHWM, high_water)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_MESSAGE)
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_MAX_MS)
    _keep_alive(socket)
    try:
        for prefix in subscriptions:
            socket.setsockopt(zmq.SUBSCRIBE, prefix)
        for endpoint in endpoints:
            connect(socket, endpoint)
    except BaseException:
        socket.close(linger=0)
        raise
    return socket


def _keep_alive(socket: zmq.Socket[bytes]) -> None:
    """Find half-open connections, which report no error, by TCP itself, not by ZeroMQ's heartbeats.

    libzmq (4.3.5) aborts the process when a heartbeat times out, and it reconnects, while the
    queue of the connected one is full (zeromq/libzmq issues 3596, 3937, 4767); and it aborts
    when a ping of the other side is in that queue and the connection has ended meanwhile, which
    the other side's own timeout causes with a reader that is busy for long.
    """
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, _KEEPALIVE_IDLE_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, _KEEPALIVE_EVERY_S)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, _KEEPALIVE_COUNT)


def connect(socket: zmq.Socket[bytes], endpoint: Endpoint) -> None:
    """Connect a SUB socket to one more endpoint; raises as ``subscriber_socket`` does."""
    require_keys(endpoint.address, endpoint.keys)
    if endpoint.keys is not None:
        # As they are on disk now: either side's may have been rotated since.
        keys = endpoint.keys.current()
        # libzmq copies the options into the session of each connect, so one socket can hold
        # connections to servers of different keys.
        socket.setsockopt(zmq.CURVE_PUBLICKEY, keys.pair.public)
        socket.setsockopt(zmq.CURVE_SECRETKEY, keys.pair.secret)
        socket.setsockopt(zmq.CURVE_SERVERKEY, keys.server)
    try:
        socket.connect(endpoint.address)
    except zmq.ZMQError as error:
        raise BadInput(
            f"cannot connect to {endpoint.address!r}: {error.strerror}",
            allowed=_of_length(error) or "tcp://ADDRESS:PORT or ipc://PATH",
        ) from error


def _of_length(error: zmq.ZMQError) -> str:
    if error.errno != errno.ENAMETOOLONG:
        return ""
    return f"ipc://PATH with at most {zmq.IPC_PATH_MAX_LEN} bytes: that is all a socket's name can hold"


def disconnect(socket: zmq.Socket[bytes], endpoint: Endpoint) -> None:
    """Drop the connection of a SUB socket, also one that ZeroMQ has given up.

    ZeroMQ connects again by itself after a lost connection, but gives up after a broken one (a message
    beyond ``MAX_MESSAGE``, a garbled frame), without an error.
    """
    try:
        socket.disconnect(endpoint.address)
    except zmq.ZMQError as error:
        if error.errno != errno.ENOENT:  # ZeroMQ had given it up
            raise
