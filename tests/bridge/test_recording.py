"""Recording a running pair, looking into the tape, playing it back, and the pytest fixture."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any, Final

import pytest
import zmq

from citadel_bridge import replay
from citadel_bridge import tape_inspect as inspection
from citadel_bridge.channels import Inbox
from citadel_bridge.micro_state import MicroStateCache
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.recorder import Recorder
from citadel_bridge.replay import Player
from citadel_bridge.sockets import Endpoint
from citadel_proto import tape as tapes
from citadel_proto import topics
from citadel_proto.codec import decode_market, encode
from citadel_proto.errors import BadInput, DecodeError, PeerUnavailable, Refused
from citadel_proto.messages import RiskState, Signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bridge.conftest import Pair

    from citadel_bridge.channels import Context
    from citadel_bridge.config import NewSignal
    from citadel_bridge.pytest_plugin import PlayedTape

    Until = Callable[..., None]

HEADER: Final = tapes.TapeHeader(created_ns=1)


class Watched(Recorder):
    """A recorder that one can ask what it has taken."""

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as Recorder
        self.taken: list[tuple[int, bytes]] = []
        super().__init__(*arguments, **options)

    def take(self, direction: int, frame: bytes) -> None:
        super().take(direction, frame)
        self.taken.append((direction, frame))


class Recording:
    """A recorder in a thread."""

    def __init__(self, pair: Pair, out: Path, **options: Any) -> None:  # noqa: ANN401
        self.recorder = Watched(
            [Endpoint(pair.connector.address)], [Endpoint(pair.micro.address)], out, **options
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.recorder.run, args=(self._stop.is_set,))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()


@pytest.fixture
def recorded(pair: Pair, buy: Callable[..., NewSignal], until: Until, tmp_path: Path) -> Path:
    """A tape of two orders: one filled, one cancelled; and a book."""
    out = tmp_path / "demo.tape"
    recording = Recording(pair, out)
    until(lambda: len(recording.recorder.instances) == 2, what="both sides heard")
    filled, canceled = pair.connector.submit(buy()), pair.connector.submit(buy(side="sell"))
    pair.micro.publisher.publish(pair.micro.book(price=250.0))
    pair.micro.publish_report(filled.signal_id, filled="0.5", status="filled")
    pair.connector.cancel(canceled.signal_id, wait=60)
    until(lambda: recording.recorder.counts[tapes.MARKET] > 8)
    pair.connector.query_limits(60)
    # What is on its way to the recorder comes before this question and its answer.
    both = {tapes.SIGNALS, tapes.MARKET}
    until(
        lambda: {way for way, frame in list(recording.recorder.taken) if b"limits" in frame} == both
    )
    recording.stop()
    return out


def test_a_tape_names_who_was_received_and_holds_both_channels(recorded: Path, pair: Pair) -> None:
    with tapes.TapeReader.open(recorded) as reader:
        facts = inspection.info(reader)
    assert set(facts["header"]["instances"]) == {pair.connector.instance, "micro-1"}
    assert facts["header"]["endpoints"]["market"] == pair.micro.address
    assert facts["counts"]["signals signal"] == 2
    assert facts["counts"]["signals cancel"] >= 1
    assert facts["counts"]["market report"] >= 4
    assert facts["counts"]["market book"] == 1
    assert facts["tail"] is None


def test_replayed_traffic_gives_the_same_knowledge(
    recorded: Path, pair: Pair, tape: Callable[[Path], PlayedTape]
) -> None:
    mirror = tape(recorded).mirror()
    assert mirror.reports == pair.connector.mirror.reports
    assert sorted(r.status for r in mirror.reports.values()) == ["canceled", "filled"]
    assert mirror.books["paper", "BTC/USDT"].mid == 250.0
    seen: list[object] = []
    assert tape(recorded).signals(seen.append) == len(seen)
    assert sum(isinstance(message, Signal) for message in seen) == 2


def test_a_tape_feeds_a_connector(
    recorded: Path,
    make_pair: Callable[..., Pair],
    tape: Callable[[Path], PlayedTape],
) -> None:
    other = make_pair()
    assert tape(recorded).feed(other.connector) > 8
    assert len(other.connector.reports()) == 2


@pytest.mark.parametrize("speed", [None, 50.0])
def test_a_player_sends_every_frame_as_it_was(
    recorded: Path, until: Until, speed: float | None
) -> None:
    frames: list[bytes] = []

    class Sink:
        def feed(self, frame: bytes) -> None:
            frames.append(frame)

        def flush(self) -> None:
            pass

    context: Context = zmq.Context()
    player = Player({tapes.MARKET: "tcp://127.0.0.1:0"})
    reader = SubscriberThread(context, [Endpoint(player.bound[tapes.MARKET])], [b""], Sink())
    reader.start()
    player.wait_for_subscribers(10)
    with tapes.TapeReader.open(recorded) as tape:
        player.play(tape, speed=speed)
        assert tape.tail is None
    with tapes.TapeReader.open(recorded) as tape:
        expected = [r.frame for r in tape.records() if r.direction == tapes.MARKET]
    until(lambda: len(frames) == len(expected))
    assert frames == expected
    assert player.sent == {tapes.MARKET: len(expected)}
    player.close()
    reader.close()
    context.destroy(linger=0)


def test_flat_out_loses_nothing_to_a_slow_reader(tmp_path: Path, until: Until) -> None:
    path = tmp_path / "long.tape"
    with tapes.TapeWriter.create(path, HEADER) as writer:
        for n in range(30_000):  # three times what a socket queues
            message = RiskState(scope=str(n), state="ACTIVE", instance="m", seq=n + 1)
            writer.append(tapes.MARKET, n, topics.join(topics.RISK, encode(message)))
    mirror = MicroStateCache()
    inbox = Inbox(decode_market, mirror.apply)
    context: Context = zmq.Context()
    player = Player({tapes.MARKET: "tcp://127.0.0.1:0"})
    reader = SubscriberThread(
        context, [Endpoint(player.bound[tapes.MARKET])], [b""], inbox, high_water=100
    )
    reader.start()
    player.wait_for_subscribers(10)
    with tapes.TapeReader.open(path) as tape:
        player.play(tape, speed=None)
    until(lambda: inbox.received == 30_000)
    assert mirror.sequences.missing == 0
    player.close()
    reader.close()
    context.destroy(linger=0)


def test_recorded_speed_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "slow.tape"
    with tapes.TapeWriter.create(path, HEADER) as writer:
        for second in range(4):
            writer.append(tapes.MARKET, 10**18 + second * 10**9, b"risk\0x")
    player = Player({tapes.MARKET: "tcp://127.0.0.1:0"})
    waits: list[float] = []
    with tapes.TapeReader.open(path) as tape:
        player.play(tape, speed=2.0, sleep=waits.append)
    player.close()
    assert [round(wait, 1) for wait in waits] == [0.5, 1.0, 1.5]  # no time passes in this sleep


def test_a_player_without_listeners_says_so() -> None:
    player = Player({tapes.SIGNALS: "tcp://127.0.0.1:0"})
    with pytest.raises(PeerUnavailable, match="nobody subscribed"):
        player.wait_for_subscribers(0.05)
    player.close()
    with pytest.raises(Refused, match="plaintext"):
        Player({tapes.SIGNALS: "tcp://0.0.0.0:0"})
    with pytest.raises(BadInput, match="cannot bind"):
        Player({tapes.SIGNALS: "tcp://127.0.0.1:x"})


def test_a_recording_is_never_written_over(pair: Pair, tmp_path: Path) -> None:
    out = tmp_path / "a.tape"
    out.write_text("precious")
    recorder = Recorder([Endpoint(pair.connector.address)], [Endpoint(pair.micro.address)], out)
    with pytest.raises(BadInput, match="exists"):
        recorder.run(lambda: True)
    assert out.read_text() == "precious"


def test_a_recording_ends_after_its_time_and_is_whole_without_traffic(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    out = tmp_path / "a.tape"
    nobody = [Endpoint(f"tcp://127.0.0.1:{free_port()}")]
    Recorder(nobody, nobody, out).run(lambda: False, 0.1)
    with tapes.TapeReader.open(out) as reader:
        assert list(reader.records()) == []
        assert reader.tail is None


# --- looking into a tape ------------------------------------------------------------------------


def test_a_dump_needs_no_schema_and_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "odd.tape"
    with tapes.TapeWriter.create(path, HEADER) as writer:
        writer.append(tapes.SIGNALS, 1, b"later/kind\0" + b"\x92\xa5Later\xcb\x7f\xf8" + b"\0" * 6)
        writer.append(tapes.MARKET, 2, b"no separator")
        writer.append(tapes.MARKET, 3, b"book/x\0\xc1")
        writer.append(tapes.EVENT, 4, b"\x93\x01\xc4\x02\xab\xcd\xa1x")
        writer.append(ord("H"), 5, b"\x80")
    with tapes.TapeReader.open(path) as reader:
        rows = list(inspection.dump(reader))
    assert json.loads(json.dumps(rows, allow_nan=False)) == [
        {"direction": "signals", "recv_ns": 1, "topic": "later/kind", "message": ["Later", "nan"]},
        {"direction": "market", "recv_ns": 2, "undecodable": b"no separator".hex()},
        {"direction": "market", "recv_ns": 3, "topic": "book/x", "undecodable": "c1"},
        {"direction": "event", "recv_ns": 4, "message": [1, "abcd", "x"]},
        {"direction": "H", "recv_ns": 5, "message": {}},
    ]


def test_a_journal_is_recomputed_by_whoever_knows_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tape"
    tapes.TapeWriter.create(path, tapes.TapeHeader(created_ns=1, kind="diary")).close()
    with pytest.raises(BadInput, match="kind 'diary' cannot be recomputed"):
        replay.verify(path)

    class Entry:
        def load(self) -> Callable[[Path], int]:
            return lambda given: 1 if given == path else 0

    asked: list[dict[str, str]] = []

    def entry_points(**wanted: str) -> list[Entry]:
        asked.append(wanted)
        return [Entry()]

    monkeypatch.setattr("citadel_bridge.replay.metadata.entry_points", entry_points)
    assert replay.verify(path) == 1
    assert asked == [{"group": "citadel.verifiers", "name": "diary"}]


def test_micros_verifier_is_installed() -> None:
    from importlib.metadata import entry_points  # noqa: PLC0415

    (entry,) = entry_points(group=replay.VERIFIERS, name="journal")
    assert callable(entry.load())


def test_what_is_no_tape_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    with pytest.raises(DecodeError, match="not a tape"):
        replay.verify(tmp_path / "x")


# --- the plugin ---------------------------------------------------------------------------------


def test_the_plugin_imports_nothing_heavy() -> None:
    """Every pytest run of every project of a user loads it."""
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = "import sys, citadel_bridge.pytest_plugin\nprint(*(m for m in sys.modules))"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    ).stdout.split()
    assert not {"zmq", "msgspec", "numpy", "typer", "citadel_proto"} & set(out)
