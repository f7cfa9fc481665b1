"""A lane's socket and its two ends: who may connect, what is refused, and that it never waits."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from fork_kit import forking
from waiting import until

from citadel_bridge import lane
from citadel_bridge.config import ConnectorConfig
from citadel_bridge.errors import PortTaken
from citadel_bridge.lane_ends import MOST_LANES, LaneEnds, LaneServer
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator

FRAME: Final = b"report/s/BTC\0"


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, unlike pytest's: a socket's name holds 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
def pair() -> Iterator[tuple[lane.Connection, lane.Connection]]:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made = lane.Connection(ends[0]), lane.Connection(ends[1])
    yield made
    for each in made:
        each.close()
        each.close()


# the file


def test_the_file_is_its_owners_only_and_goes_with_its_process(folder: Path) -> None:
    path = folder / "lane"
    before = os.umask(0)
    try:
        listener = lane.Listener(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(PortTaken, match="in use"):
        lane.Listener(path)
    lane.connect(path).close()  # still the first one's
    listener.close()
    listener.close()
    assert not path.exists()
    lane.Listener(path).close()


def test_only_what_a_dead_process_left_is_replaced(folder: Path) -> None:
    path = folder / "lane"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as left:
        left.bind(str(path))
    lane.Listener(path).close()
    for kind in (socket.SOCK_SEQPACKET, socket.SOCK_STREAM):
        with socket.socket(socket.AF_UNIX, kind) as alive:
            alive.bind(str(path))
            alive.listen()
            with pytest.raises(PortTaken, match="another process listens there"):
                lane.Listener(path)
        path.unlink()
    path.write_text("dear to somebody")
    with pytest.raises(BadInput, match="is no socket"):
        lane.Listener(path)
    assert path.read_text() == "dear to somebody"


def test_a_killed_process_frees_its_path(folder: Path) -> None:
    path = folder / "lane"
    dies = (
        "import os, signal, sys; from pathlib import Path; from citadel_bridge import lane\n"
        "listener = lane.Listener(Path(sys.argv[1])); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", dies, str(path)], check=False)
    assert path.is_socket()
    lane.Listener(path).close()


LISTENS: Final = """
from pathlib import Path
from citadel_bridge import lane
listener = lane.Listener(Path(sys.argv[1]))
peer = lane.connect(Path(sys.argv[1]))
connection = lane.Connection(listener.accept())
"""


def to_the_end(connection: lane.Connection) -> None:
    while True:
        connection.receive()


def test_a_fork_that_outlives_its_process_keeps_no_lane(folder: Path) -> None:
    path = folder / "lane"
    with forking(LISTENS, str(path)) as program:
        program.fork()
        macro = lane.connect(path)
        program.kill()
        with pytest.raises(lane.LaneEnded):
            to_the_end(macro)
        macro.close()
        lane.Listener(path).close()
        program.end()


def test_the_file_of_another_is_left_alone_at_the_end(folder: Path) -> None:
    path = folder / "lane"
    listener = lane.Listener(path)
    path.unlink()
    path.write_text("of another")
    listener.close()
    assert path.read_text() == "of another"


def test_a_folder_where_others_can_write_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for mode in (0o770, 0o707, 0o1777):
        folder.chmod(mode)
        with pytest.raises(BadInput, match="others can write") as refused:
            lane.Listener(folder / "lane")
        assert f"chmod go-w {folder}" in str(refused.value)
    folder.chmod(0o700)
    with pytest.raises(BadInput, match="No such file"):
        lane.Listener(folder / "none" / "lane")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    with pytest.raises(BadInput, match=f"belongs to user {mine}, this process to user {mine + 1}"):
        lane.Listener(folder / "lane")
    assert not list(folder.iterdir())


def test_a_path_that_cannot_be_a_lane_is_refused_by_its_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadInput, match="at most 107"):
        ConnectorConfig(lanes=(folder / ("x" * 110),))
    with pytest.raises(BadInput, match="an absolute path"):
        ConnectorConfig(lanes=(Path("lane"),))
    assert ConnectorConfig(lanes=(folder / "lane",)).lanes == (folder / "lane",)
    monkeypatch.setattr(lane, "SUPPORTED", False)
    with pytest.raises(BadInput, match="a lane needs Linux"):
        ConnectorConfig(lanes=(folder / "lane",))


# the connection


def test_messages_arrive_with_their_numbers(
    pair: tuple[lane.Connection, lane.Connection],
) -> None:
    one, other = pair
    for body in (b"a", b"b"):
        one.send(FRAME + body)
    one.send(FRAME + bytes(lane.MOST))  # too large for a lane
    one.send(FRAME + b"d")
    assert [other.receive() for _ in range(4)] == [
        (1, FRAME + b"a"),
        (2, FRAME + b"b"),
        (4, FRAME + b"d"),
        None,
    ]
    assert one.left_out == 1
    largest = FRAME + bytes(lane.MOST - len(FRAME))
    other.send(largest)
    assert one.receive() == (1, largest)


def test_a_peer_that_does_not_read_holds_nobody_up(
    pair: tuple[lane.Connection, lane.Connection],
) -> None:
    one, other = pair
    sent = 0
    while not one.left_out:
        one.send(FRAME + bytes(1_000))
        sent += 1
    one.send(FRAME)
    assert one.left_out >= 1
    got = [other.receive() for _ in range(sent - 1)]
    assert [each and each[0] for each in got] == list(range(1, sent))
    one.send(FRAME + b"z")
    last = None
    while (found := other.receive()) is not None:
        last = found
    assert last == (sent + 2, FRAME + b"z")  # what was left out shows by its number


def test_who_has_gone_is_no_error_for_who_sends(
    pair: tuple[lane.Connection, lane.Connection],
) -> None:
    one, other = pair
    other.send(FRAME)
    other.close()
    one.send(FRAME)
    one.send(FRAME)
    assert one.left_out == 2
    assert one.receive() == (1, FRAME)  # it had sent that before
    with pytest.raises(lane.LaneEnded) as ended:
        one.receive()
    assert not ended.value.refused
    one.close()
    one.send(FRAME)
    with pytest.raises(lane.LaneEnded):
        one.receive()


@pytest.mark.parametrize(
    "packet",
    [
        b"x",
        bytes(8) + b"citadel lane 2",
        bytes(7) + b"\1" + lane.HELLO,
        b"GET / HTTP/1.1\r\n",
    ],
)
def test_a_stranger_at_the_other_end_is_refused(packet: bytes) -> None:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours = lane.Connection(ends[0])
    ends[1].send(packet)
    with pytest.raises(lane.LaneEnded, match="no lane of this version") as ended:
        ours.receive()
    assert ended.value.refused
    ours.close()
    ends[1].close()


@pytest.mark.parametrize(
    "packet", [bytes(8) + FRAME, bytes(7) + b"\1", b"\1", bytes(7) + b"\1" + bytes(lane.MOST + 1)]
)
def test_a_packet_that_no_lane_sends_ends_it(packet: bytes) -> None:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours = lane.Connection(ends[0])
    ends[1].send(bytes(8) + lane.HELLO)
    ends[1].send(packet)
    with pytest.raises(lane.LaneEnded, match="no lane of this version") as ended:
        ours.receive()
    assert ended.value.refused
    ours.close()
    ends[1].close()


def test_a_process_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    assert lane.user_of(ends[0]) == os.geteuid()
    monkeypatch.setattr(lane, "user_of", lambda _end: os.geteuid() + 1)
    with pytest.raises(lane.LaneEnded, match=f"a process of user {os.geteuid() + 1}") as ended:
        lane.Connection(ends[0])
    assert ended.value.refused
    assert ends[0].fileno() == -1
    assert not ends[1].recv(100)  # and was told nothing
    ends[1].close()


# both ends


class Heard:
    """What one end hears; ZeroMQ's copies are given to it by hand."""

    def __init__(self, ends: LaneEnds | LaneServer) -> None:
        self.frames: list[bytes] = []
        self.way = ends.merge.way(self.frames.append)

    def feed(self, frame: bytes) -> None:
        raise AssertionError(frame)  # what comes by a lane goes by its way

    def flush(self) -> None:
        pass


async def in_step(server: LaneServer, client: LaneEnds, heard: Heard, there: Heard) -> None:
    """Let one message of each side go by both ways."""
    for sender, end, number in ((server, heard, 0), (client, there, 1)):
        made = FRAME + b"first of %d, %d" % (number, len(end.frames))
        sender.send(made)
        end.way.by_zmq(made)
    await until(lambda: client.take(heard, 10) is not None and client.merge.in_step)
    await until(lambda: server.merge.in_step)


def test_both_ends_hear_each_other_and_find_each_other_again(folder: Path) -> None:
    async def main() -> None:
        path = folder / "lane"
        loop = asyncio.get_running_loop()
        client = LaneEnds([path])
        heard = Heard(client)
        client.connect()
        assert client.missing  # nobody is there yet
        server = LaneServer(loop, path)
        there = Heard(server)
        server.start()
        client.connect()
        assert client.connected == 1
        await until(lambda: server.connected)
        await in_step(server, client, heard, there)
        client.send(FRAME + b"down")
        server.send(FRAME + b"up")
        await until(lambda: there.frames[-1] == FRAME + b"down")
        await until(lambda: client.take(heard, 10) and heard.frames[-1] == FRAME + b"up")
        server.close()  # micro is killed
        client.send(FRAME + b"nobody hears this")
        assert client.take(heard, 10) == 0
        assert client.missing
        assert client.status()["ended"] == 1
        again = LaneServer(loop, path)
        there = Heard(again)
        again.start()
        client.connect()
        await until(lambda: again.connected)
        await in_step(again, client, heard, there)
        client.close()  # macro is
        await until(lambda: not again.connected)
        assert again.status()["ended"] == 1
        client.connect()  # not any more
        assert not client.connected
        client.close()
        again.close()
        again.close()

    asyncio.run(main())


def let_others_write(folder: Path, *, on: bool) -> None:
    folder.chmod(0o770 if on else 0o700)


def test_a_file_that_was_removed_is_made_again(folder: Path) -> None:
    async def main() -> None:
        path = folder / "lane"
        server = LaneServer(asyncio.get_running_loop(), path)
        server.start()
        first = lane.connect(path)
        server.check()
        await until(lambda: server.connected == 1)
        path.unlink()
        with pytest.raises(lane.LaneEnded):
            lane.connect(path)
        let_others_write(folder, on=True)
        server.check()
        assert not path.exists()
        let_others_write(folder, on=False)
        server.check()
        second = lane.connect(path)
        await until(lambda: server.connected == 2)  # the first has not been disturbed
        server.close()
        for each in (first, second):
            each.close()
        server.check()
        assert not path.exists()

    asyncio.run(main())


def test_others_are_refused_and_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        path = folder / "lane"
        server = LaneServer(asyncio.get_running_loop(), path)
        server.start()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
            stranger.connect(str(path))
            stranger.send(b"let me in")
            await until(lambda: server.refused == 1)
        many = [lane.connect(path)]
        for _ in range(MOST_LANES):
            await until(lambda: server.connected == len(many))
            many.append(lane.connect(path))
        await until(lambda: server.refused == 2)
        assert server.connected == MOST_LANES
        with monkeypatch.context() as here:
            here.setattr(lane, "user_of", lambda _end: os.geteuid() + 1)
            client = LaneEnds([path])
            client.connect()
            assert (client.refused, client.connected) == (1, 0)
            await until(lambda: server.refused == 3)
        client.close()
        for each in many:
            each.close()
        await until(lambda: not server.connected)
        server.close()

    asyncio.run(main())
