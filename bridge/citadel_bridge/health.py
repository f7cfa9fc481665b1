"""Whether both directions work, checked from macro's side: ``python -m citadel_bridge.health``.

Micro's heartbeats name every macro that it receives. So one subscription checks both directions: the
heartbeats arrive here, and macro's arrive there.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Final

import typer
import zmq

from citadel_bridge.auth import ROLES, KeyStore
from citadel_bridge.cli import guarded
from citadel_bridge.exit_codes import Exit
from citadel_bridge.sockets import Endpoint, subscriber_socket
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.errors import BadInput, DecodeError, PeerUnavailable
from citadel_proto.messages import MicroHeartbeat

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS_DEFAULT: Final = 5.0
"""Heartbeats come every second, and a macro stays named for a few after its last."""


def heartbeats_cross(
    endpoint: Endpoint, *, macro: str = "macro-", seconds: float = SECONDS_DEFAULT
) -> MicroHeartbeat:
    """Wait until micro's heartbeats arrive and show that it keeps receiving a macro.

    One heartbeat could name a macro that has just died; so the number of the last heartbeat that
    micro received from it has to grow from one to the next.

    Args:
        endpoint: micro's market channel.
        macro: start of the macro's instance name.
        seconds: how long to wait.

    Returns:
        The heartbeat that confirmed it.

    Raises:
        PeerUnavailable: no heartbeat came, or none that shows a live macro; says which.
        Refused, BadInput: as ``subscriber_socket``.
    """
    deadline = time.monotonic() + seconds
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        socket = subscriber_socket(context, [endpoint], [topics.exactly(topics.HEARTBEAT)])
        before: Mapping[str, int] | None = None
        while (left := deadline - time.monotonic()) > 0 and socket.poll(int(left * 1e3) + 1):
            beat = _heartbeat(socket.recv())
            if beat is None:
                continue
            seen = {name: seq for name, seq in beat.macros_seen if name.startswith(macro)}
            if any(seq > (before or seen).get(name, seq) for name, seq in seen.items()):
                return beat
            before = seen
    finally:
        context.destroy(linger=0)
    if before is None:
        raise PeerUnavailable(f"no heartbeat of micro on {endpoint.address} for {seconds:g} s")
    raise PeerUnavailable(
        f"micro receives no macro named {macro}… (it names: {', '.join(sorted(before)) or 'none'})"
    )


def _heartbeat(frame: bytes) -> MicroHeartbeat | None:
    try:
        message = decode_market(topics.split(frame)[1])
    except DecodeError:
        return None
    return message if isinstance(message, MicroHeartbeat) else None


def health(
    market: Annotated[
        list[str], typer.Argument(help="Addresses of the market channels of all micros.")
    ],
    *,
    keys: Annotated[Path | None, typer.Option(help="Key folder; needed off loopback.")] = None,
    role: Annotated[str, typer.Option(help="Whose keys to use.")] = "macro",
    macro: Annotated[str, typer.Option(help="Start of the macro's instance name.")] = "macro-",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long to wait.")] = SECONDS_DEFAULT,
) -> Exit:
    """End with 0 when every micro's heartbeats arrive and it receives a macro, with 4 when not."""
    if role not in ROLES:
        raise BadInput(f"role {role!r}", where="--role", allowed=", ".join(ROLES))
    client = None if keys is None else KeyStore(keys).client(role, "micro")
    for address in market:
        beat = heartbeats_cross(Endpoint(address, client), macro=macro, seconds=seconds)
        heard = ", ".join(f"{name} #{seq}" for name, seq in beat.macros_seen)
        typer.echo(f"{beat.instance} is {beat.state} and receives {heard}")
    return Exit.OK


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(health)
    sys.exit(guarded(lambda: app(standalone_mode=False)))
