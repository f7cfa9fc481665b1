"""A port ends with its process, whatever that has left behind; so do the connections."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from citadel_bridge.errors import PortTaken
from citadel_bridge.sockets import publisher_socket, subscriber_socket

if TYPE_CHECKING:
    from pathlib import Path

FORKS = """
import os, signal, sys, zmq
from citadel_bridge.sockets import publisher_socket
context = zmq.Context()
closed, _ = publisher_socket(context, sys.argv[1])
closed.close(linger=0)
socket, address = publisher_socket(context, sys.argv[1])
print(address, flush=True)
sys.stdin.readline()
if os.fork():
    signal.pause()
print("forked", flush=True)
sys.stdin.read()
os._exit(0)
"""


@pytest.mark.parametrize("scheme", ["tcp", "ipc"])
def test_a_fork_that_outlives_its_process_keeps_no_port_and_no_connection(
    scheme: str, tmp_path: Path
) -> None:
    where = "tcp://127.0.0.1:*" if scheme == "tcp" else f"ipc://{tmp_path}/socket"
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with subprocess.Popen(
        [sys.executable, "-c", FORKS, where],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        address = program.stdout.readline().strip()
        heard = subscriber_socket(context, [], [b""])
        monitor = heard.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        monitor.setsockopt(zmq.RCVTIMEO, 60_000)
        try:
            heard.connect(address)
            assert recv_monitor_message(monitor)["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED
            program.stdin.write("fork\n")
            program.stdin.flush()
            assert program.stdout.readline() == "forked\n"
            if scheme == "tcp":
                with pytest.raises(PortTaken):
                    publisher_socket(context, address)
            program.kill()
            program.wait()
            assert recv_monitor_message(monitor)["event"] == zmq.EVENT_DISCONNECTED
            again, _ = publisher_socket(context, address)
            again.close(linger=0)
            program.stdin.close()
            assert not program.stdout.read(), "the fork has ended"
        finally:
            program.kill()
            heard.disable_monitor()
            monitor.close(linger=0)
            heard.close(linger=0)
            context.term()
