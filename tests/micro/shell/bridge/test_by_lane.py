"""Real connectors and micro with a lane beside ZeroMQ: sooner, and nothing else is different."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from engine_kit import SYMBOL, VENUE
from uplink_kit import Micro
from waiting import until

from citadel_bridge import lane
from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_bridge.errors import PortTaken
from citadel_bridge.recorder import Recorder
from citadel_bridge.sockets import Endpoint
from citadel_micro.core.model.events import SignalReceived
from citadel_micro.shell.bridge.uplink import Uplink, UplinkConfig
from citadel_micro.shell.journal.verify import verify
from citadel_micro.shell.ops.lane_metrics import lane_metrics
from citadel_proto import tape, topics
from citadel_proto.codec import decode_signal
from citadel_proto.messages import Signal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_bridge.channels import Context, Publisher
    from citadel_bridge.config import Submitted
    from citadel_micro.core.model.events import Event

pytestmark = pytest.mark.skipif(not lane.SUPPORTED, reason="a lane needs Linux")


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, unlike pytest's: a socket's name holds 107 bytes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


class Stage:
    """One micro and its macros, by socket files in one folder."""

    def __init__(self, folder: Path, macros: int = 1) -> None:
        self.folder = folder
        self.path = folder / "lane"
        self.macros: list[HybridConnector] = []
        self.events: list[Event] = []
        """What came to micro's engine from macros and its timers."""
        self.micro = self.start_micro(macros)
        for number in range(macros):
            self.macros.append(
                HybridConnector(
                    ConnectorConfig(
                        signals=f"ipc://{folder}/signals{number}",
                        market=(f"ipc://{folder}/market",),
                        lanes=(self.path,),
                        state_path=folder / f"intents{number}.sqlite",
                        heartbeat=0.1,
                        dead_after=60.0,
                        ack_timeout=60.0,
                        # What is late is not sent twice, so that tests can count.
                        resend_first=50.0,
                        resend_max=60.0,
                    )
                )
            )
            self.macros[-1].start()

    def start_micro(self, macros: int = 1) -> Micro:
        micro = Micro(
            self.folder / "run",
            tuple(f"ipc://{self.folder}/signals{number}" for number in range(macros)),
            market=f"ipc://{self.folder}/market",
            lane=self.path,
            heartbeat_ns=100_000_000,
        )
        post = micro.runner.post

        def noted(event: Event) -> None:
            self.events.append(event)
            post(event)

        micro.runner.post = noted  # type: ignore[method-assign]
        return micro

    async def in_step(self) -> None:
        def found() -> bool:
            lanes = [each.status()["in_step"] for each in self.lanes()]
            here = self.micro.uplink.lane()
            assert here is not None
            return (
                lanes == [1] * len(lanes)
                and here["in_step"] == len(lanes)
                and all(each.ready for each in self.macros)
            )

        await self.micro.until(found)

    async def gone(self) -> None:
        """Wait until no macro has a lane any more."""
        await until(lambda: not any(each.connected for each in self.lanes()))

    def lanes(self) -> list[Any]:
        return [each.lanes for each in self.macros]

    async def submit(self, macro: int = 0) -> Submitted:
        new = NewSignal(
            venue=VENUE, symbol=SYMBOL, side="buy", quantity="0.01", ttl=600.0, algo="chase_limit"
        )
        task = asyncio.create_task(asyncio.to_thread(self.macros[macro].submit, new))
        await self.micro.until(task.done)
        return task.result()

    def nothing_lost(self) -> bool:
        """Neither side has noticed that anything was lost or came twice."""
        sequences = [each.mirror.sequences for each in self.macros]
        return not self.micro.stats.missing and not any(
            each.gaps or each.missing or each.repeated for each in sequences
        )

    def close(self) -> None:
        self.micro.close()
        for each in self.macros:
            each.close()


def play(folder: Path, story: Callable[[Stage], Any], macros: int = 1) -> None:
    async def main() -> None:
        stage = Stage(folder, macros)
        try:
            await story(stage)
        finally:
            stage.close()

    asyncio.run(main())


class Mute:
    """A socket that loses everything."""

    closed = False

    def send(self, _frame: bytes, _flags: int) -> None:
        pass


@contextmanager
def zeromq_loses(*publishers: Publisher) -> Iterator[None]:
    """What is published meanwhile goes by the lane only."""
    with ExitStack() as stack:
        for each in publishers:
            stack.enter_context(pytest.MonkeyPatch.context()).setattr(each, "_socket", Mute())
        yield


def test_an_order_goes_and_comes_back_by_the_lane(folder: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.in_step()
        (macro,) = stage.macros
        publishers = macro.publisher, stage.micro.uplink._publisher
        await stage.micro.until(lambda: macro._keeper.resyncs)
        resyncs = macro._keeper.resyncs
        with zeromq_loses(*publishers):
            sent = await stage.submit()
            assert sent.report is not None
            assert sent.report.status != "rejected"
            assert stage.nothing_lost()
            assert macro._keeper.resyncs == resyncs
        after = await stage.submit()  # by both again
        assert after.report is not None
        await stage.in_step()
        here, there = macro.lanes.status(), stage.micro.uplink.lane()  # type: ignore[union-attr]
        assert there is not None
        for each in (here, there):
            assert each["first"] >= 1
            assert each["left_out"] == each["refused"] == each["ended"] == each["missed"] == 0
        shown = {
            name: value for family in lane_metrics(there) for name, _, value, *_ in family.samples
        }
        assert (shown["citadel_lane_connected"], shown["citadel_lane_in_step"]) == (1, 1)

    play(folder, story)


def leave_out(self: lane.Connection, _frame: bytes) -> None:
    """As if it were full."""
    self._sent += 1
    self.left_out += 1


def test_what_a_lane_leaves_out_comes_by_zeromq(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(stage: Stage) -> None:
        await stage.in_step()
        with monkeypatch.context() as here:
            here.setattr(lane.Connection, "send", leave_out)
            sent = await stage.submit()
            assert sent.report is not None
        after = await stage.submit()
        assert after.report is not None
        await stage.micro.until(lambda: stage.micro.uplink.lane()["missed"])  # type: ignore[index]
        await stage.in_step()
        assert stage.nothing_lost()
        assert stage.macros[0].lanes.status()["left_out"] >= 1  # type: ignore[union-attr]
        assert [each.signal_id for each in stage.events if isinstance(each, SignalReceived)] == [
            sent.signal_id,
            after.signal_id,
        ]

    play(folder, story)


def test_a_micro_that_is_started_again_is_found_again(folder: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.in_step()
        (macro,) = stage.macros
        first = await stage.submit()
        stage.micro.close()
        assert not stage.path.exists()
        await stage.gone()
        assert macro.lanes.status()["ended"] == 1  # type: ignore[union-attr]
        stage.micro = stage.start_micro()
        await stage.in_step()
        second = await stage.submit()
        assert first.report is not None
        assert second.report is not None
        executed = [each.signal_id for each in stage.events if isinstance(each, SignalReceived)]
        assert executed == [first.signal_id, second.signal_id]
        assert not stage.micro.stats.missing

    play(folder, story)


def test_a_file_that_is_removed_comes_back(folder: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.in_step()
        stage.path.unlink()
        sent = await stage.submit()
        assert sent.report is not None
        await stage.micro.until(stage.path.is_socket)  # with a heartbeat
        assert stage.nothing_lost()

    play(folder, story)


def test_two_macros_have_a_lane_each(folder: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.in_step()
        publishers = [each.publisher for each in stage.macros]
        with zeromq_loses(*publishers):
            sent = [await stage.submit(number) for number in (0, 1, 0)]
            assert not stage.micro.stats.missing
        stage.macros[0].close()
        there = stage.micro.uplink.lane

        def alone() -> bool:
            found = there()
            return found is not None and found["connected"] == 1

        await stage.micro.until(alone)
        sent.append(await stage.submit(1))
        owners = [each.owner for each in stage.macros]
        reports = [each.report for each in sent]
        assert [each and each.owner for each in reports] == [owners[n] for n in (0, 1, 0, 1)]

    play(folder, story, macros=2)


def test_a_peer_of_another_user_is_refused_and_zeromq_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "user_of", lambda _end: -1)

    async def story(stage: Stage) -> None:
        await stage.micro.until(lambda: stage.macros[0].ready)
        sent = await stage.submit()
        assert sent.report is not None
        there = stage.micro.uplink.lane()
        assert there is not None
        assert (there["connected"], stage.macros[0].lanes.connected) == (0, 0)  # type: ignore[union-attr]
        await stage.micro.until(lambda: stage.micro.uplink.lane()["refused"])  # type: ignore[index]
        assert stage.nothing_lost()

    play(folder, story)


def test_garbage_of_a_peer_is_counted_and_ends_nothing(folder: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.in_step()
        lanes = stage.macros[0].lanes
        assert lanes is not None
        garbled = (b"x", b"no topic", b"signal/x/y\0\xc1", b"book/x\0y", b"hb\0\xff")
        expected = {"other": 2, "signal": 1, "hb": 1}
        with zeromq_loses(stage.macros[0].publisher):  # so that all of it comes first by the lane
            for garbage in garbled:
                lanes.send(garbage)
            await until(lambda: stage.micro.uplink.undecodable == expected)
            assert (await stage.submit()).report is not None
        lanes.send(b"")  # no lane sends that
        await until(lambda: lanes.ended)
        assert (await stage.submit()).report is not None
        there = stage.micro.uplink.lane()
        assert there is not None
        assert there["refused"] == 1

    play(folder, story)


def test_a_second_micro_cannot_take_the_path(folder: Path) -> None:
    async def story(stage: Stage) -> None:
        context: Context = zmq.Context()
        settings = UplinkConfig(
            instance="micro-2", mode="paper", market=f"ipc://{folder}/other", lane=stage.path
        )
        with pytest.raises(PortTaken, match="lane"):
            Uplink(
                asyncio.get_running_loop(),
                context,
                settings,
                clock=stage.micro.clock,
                stats=stage.micro.stats,
            )
        context.term()  # would wait for a socket that was left open
        await stage.in_step()

    play(folder, story)


def test_a_recording_has_each_message_once_and_the_journal_replays(folder: Path) -> None:
    out = folder / "a.tape"

    async def story(stage: Stage) -> None:
        await stage.in_step()
        recorder = Recorder(
            [Endpoint(f"ipc://{folder}/signals0")], [Endpoint(f"ipc://{folder}/market")], out
        )
        over = threading.Event()
        task = asyncio.create_task(asyncio.to_thread(recorder.run, over.is_set))
        try:
            await stage.micro.until(lambda: all(recorder.counts.values()))
            sent = [await stage.submit() for _ in range(3)]
            await stage.micro.until(lambda: len(taken) == 3)
        finally:
            over.set()
            await task
        with tape.TapeReader.open(out) as reader:
            frames = [record.frame for record in reader.records()]
        assert max(Counter(frames).values()) == 1
        taped = [decode_signal(topics.split(f)[1]) for f in frames if f.startswith(topics.SIGNALS)]
        assert [each.signal_id for each in taped if isinstance(each, Signal)] == [
            each.signal_id for each in sent
        ]
        received = [each.signal_id for each in stage.events if isinstance(each, SignalReceived)]
        assert received == [each.signal_id for each in sent]

    taken: list[bytes] = []
    take = Recorder.take

    def noted(self: Recorder, direction: int, frame: bytes) -> None:
        if frame.startswith(topics.SIGNALS):
            taken.append(frame)
        take(self, direction, frame)

    with pytest.MonkeyPatch.context() as here:
        here.setattr(Recorder, "take", noted)
        play(folder, story)
    (journal,) = (folder / "run").glob("journal-*")
    found = verify(journal)
    assert found.difference is None
    assert found.commands
