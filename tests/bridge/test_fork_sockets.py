"""A port ends with its process, whatever that has left behind; so do the connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
import zmq
from fork_kit import forking
from zmq.utils.monitor import recv_monitor_message

from citadel_bridge.errors import PortTaken
from citadel_bridge.sockets import publisher_socket, subscriber_socket

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHES: Final = """
import zmq
from citadel_bridge.sockets import publisher_socket
context = zmq.Context()
closed, _ = publisher_socket(context, sys.argv[1])
closed.close(linger=0)
socket, address = publisher_socket(context, sys.argv[1])
print(address)
"""


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_a_fork_that_outlives_its_process_keeps_no_port_and_no_connection(
    scheme: str, tmp_path: Path
) -> None:
    where = "tcp://127.0.0.1:*" if scheme == "tcp" else f"ipc://{tmp_path}/socket"
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with forking(PUBLISHES, where) as program:
        (address,) = program.said
        heard = subscriber_socket(context, [], [b""])
        monitor = heard.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        monitor.setsockopt(zmq.RCVTIMEO, 60_000)
        try:
            heard.connect(address)
            assert recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
            program.fork()
            if scheme == "tcp":
                with pytest.raises(PortTaken):
                    publisher_socket(context, address)
            program.kill()
            assert recv_monitor_message(monitor)["event"] == zmq.EVENT_DISCONNECTED
            again, _ = publisher_socket(context, address)
            again.close(linger=0)
            program.end()
        finally:
            heard.disable_monitor()
            monitor.close(linger=0)
            heard.close(linger=0)
            context.term()
