"""A whole micro on paper, against the simulator, over real sockets."""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import uvloop
import zmq
from fake_venue import FakeVenues
from waiting import until

from citadel_bridge.auth import KeyStore
from citadel_bridge.channels import Inbox, Publisher, SubscriberFD
from citadel_bridge.sockets import Endpoint
from citadel_bridge.zap import ZapGuard
from citadel_micro.adapters.paper.orders import PaperAdapter
from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.daemon import Micro, engine_config_of
from citadel_micro.shell.config.config import MicroConfig, load
from citadel_micro.shell.journal.verify import verify, verify_journal
from citadel_micro.shell.ops.control import SOCKET, Request, ask
from citadel_micro.shell.ops.health import check
from citadel_micro.shell.ops.metrics import exposition
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto import topics
from citadel_proto.codec import decode_market, encode
from citadel_proto.errors import BadInput, InvariantError, PeerUnavailable
from citadel_proto.messages import (
    TERMINAL_STATUSES,
    Answer,
    BookSnapshot,
    Cancel,
    ExecutionReport,
    FeedState,
    MacroHeartbeat,
    MicroHeartbeat,
    Query,
    RiskState,
    Signal,
    Trades,
)
from citadel_proto.tape import TapeWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from citadel_micro.shell.order_adapter import OrderAdapters
    from citadel_micro.sim.paper import PaperVenue
    from citadel_proto.messages import MarketChannel, SignalChannel

SYMBOL = "BTC/USDT"
SECOND = 1_000_000_000


class Peer:
    """What a macro is to micro: publishes signals, hears everything, and beats."""

    def __init__(self, keys: KeyStore | None = None, role: str = "macro") -> None:
        self.keys = keys
        self.role = role
        self.context = zmq.Context[Any]()
        self.guard: ZapGuard | None = None
        server = None if keys is None else keys.server(role)
        if server is not None:
            self.guard = ZapGuard(self.context, server.allow)
            self.guard.start()
        self.publisher = Publisher(
            self.context, "tcp://127.0.0.1:0", stamp={"epoch": 1}, keys=server
        )
        self.address = self.publisher.address
        self.heard: list[MarketChannel] = []
        self.inbox = Inbox(decode_market, lambda _topic, message: self.heard.append(message))
        self.reader: SubscriberFD | None = None
        self.numbers = iter(range(1, 1_000))

    def follow(self, address: str) -> None:
        keys = None if self.keys is None else self.keys.client(self.role, "micro")
        loop = asyncio.get_running_loop()
        self.reader = SubscriberFD(
            loop, self.context, [Endpoint(address, keys)], [topics.ALL], self.inbox
        )

    def close(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self.publisher.close()
        if self.guard is not None:
            self.guard.close()
        self.context.destroy(linger=0)

    def send(self, message: SignalChannel) -> None:
        self.publisher.publish(message)

    def signal(self, **changes: Any) -> Signal:  # noqa: ANN401 - fields by name
        now_ns = time.time_ns()
        values: dict[str, Any] = {
            "signal_id": f"s-{next(self.numbers)}",
            "strategy": "Test",
            "venue": "binance-spot",
            "symbol": SYMBOL,
            "side": "buy",
            "quantity": "0.01",
            "algo": "marketable_limit",
            "created_ns": now_ns,
            "expires_ns": now_ns + 30 * SECOND,
            "epoch": 1,
            "seq": 0,
        }
        return Signal(**{**values, **changes})

    def beat(self) -> None:
        self.send(
            MacroHeartbeat(
                instance="macro-1",
                epoch=1,
                seq=0,
                state="running",
                wall_ns=time.time_ns(),
                mono_ns=time.monotonic_ns(),
            )
        )

    def of(self, kind: type) -> list[Any]:
        return [message for message in self.heard if isinstance(message, kind)]

    def report(self, signal_id: str) -> ExecutionReport | None:
        """The newest report on a signal."""
        found = [r for r in self.of(ExecutionReport) if r.signal_id == signal_id]
        return max(found, key=lambda r: r.revision, default=None)

    async def ended(self, signal_id: str) -> ExecutionReport:
        def over() -> bool:
            newest = self.report(signal_id)
            return newest is not None and newest.status in TERMINAL_STATUSES

        await until(over)
        report = self.report(signal_id)
        assert report is not None
        return report


def paper(micro: Micro) -> PaperVenue:
    adapter = micro.adapters["binance-spot"]
    assert isinstance(adapter, PaperAdapter)
    return adapter.paper


class Stack:
    """Simulator, peer, and the means to start micros between them."""

    def __init__(self, simulator: SimulatorServer, peer: Peer, folder: Path) -> None:
        self.simulator = simulator
        self.peer = peer
        self.folder = folder
        self.micros: list[Micro] = []

    def config(self, **changes: Any) -> MicroConfig:  # noqa: ANN401 - tables by name
        tables: dict[str, Any] = {
            "run_dir": self.folder / "run",
            "bridge": {
                "macros": [self.peer.address],
                "command_lines": [],
                "market": "tcp://127.0.0.1:0",
            },
            "http": {"port": 0},
            "venues": {
                "binance-spot": {
                    "symbols": [SYMBOL],
                    "rest_url": self.simulator.rest_url,
                    "ws_url": self.simulator.ws_url,
                    "start_timeout_s": 1.0,
                }
            },
            "journal": {"fsync": False},
        }
        for name, value in changes.items():
            both = isinstance(value, dict) and isinstance(tables.get(name), dict)
            tables[name] = {**tables[name], **value} if both else value
        return load(overrides=tables)

    def far(self, micro: Micro) -> Signal:
        """An order that rests for long: 5 % below the market."""
        mid = micro.engine.markets["binance-spot", SYMBOL].mid()
        assert mid is not None
        return self.peer.signal(algo="chase_limit", limit_price=f"{mid * 0.95:.2f}", quantity="0.2")

    async def up(
        self, config: MicroConfig | None = None, orders: OrderAdapters | None = None
    ) -> Micro:
        """Start a micro, and wait until it can trade and both sides hear each other."""
        micro = Micro(config or self.config(), orders=orders)
        self.micros.append(micro)
        await micro.start()
        self.peer.follow(micro.market_address)
        market = micro.engine.markets["binance-spot", SYMBOL]
        await until(lambda: market.state == "LIVE" and not micro.engine.reconciling)
        await until(lambda: self.peer.of(MicroHeartbeat))

        def heard() -> bool:
            self.peer.beat()
            return micro.stats.events.get("MacroBeat", 0) > 0

        await until(heard)
        return micro


@asynccontextmanager
async def stack(folder: Path, keys: KeyStore | None = None) -> AsyncIterator[Stack]:
    config = SimulatorConfig(symbols=(SYMBOL,), history_days=1, warm_minutes=1)
    async with SimulatorServer(config) as simulator:
        made = Stack(simulator, Peer(keys), folder)
        try:
            yield made
        finally:
            for micro in made.micros:
                await micro.close()
            made.peer.close()


def run(folder: Path, body: Callable[[Stack], Awaitable[None]]) -> None:
    async def main() -> None:
        async with stack(folder) as made:
            await body(made)

    asyncio.run(main())


def test_a_signal_in_and_its_reports_out(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        signal = s.peer.signal()
        s.peer.send(signal)
        report = await s.peer.ended(signal.signal_id)
        assert (report.status, report.filled) == ("filled", "0.01000")
        assert report.fills
        assert report.instance == f"micro-{micro.journal.path.stem.removeprefix('journal-')}"
        (balance,) = [b for b in report.balances if b.currency == "BTC"]
        fees = sum(float(fill.fee) for fill in report.fills if fill.fee_currency == "BTC")
        assert float(balance.free) == pytest.approx(0.01 - fees)
        revisions = [r.revision for r in s.peer.of(ExecutionReport)]
        assert revisions == sorted(set(revisions))
        assert micro.stats.signal_to_submit.histogram.total == 1

        await until(lambda: s.peer.of(BookSnapshot) and s.peer.of(Trades))
        book = s.peer.of(BookSnapshot)[-1]
        assert (book.state, book.symbol) == ("LIVE", SYMBOL)
        assert len(book.bids) == 20 * 16
        assert s.peer.of(FeedState)
        await until(lambda: any(b.macro_instance_seen for b in s.peer.of(MicroHeartbeat)))
        assert s.peer.of(MicroHeartbeat)[-1].macros_seen[0][0] == "macro-1"
        assert check(micro.vitals)[0]

        assert await micro.stop("test") is True
        path = micro.journal.path
        await micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0
        assert said[-1].endswith("commands agreed")

    run(tmp_path, body)


def test_nothing_is_executed_twice(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        signal = s.peer.signal()
        for _ in range(3):
            s.peer.send(signal)
        await s.peer.ended(signal.signal_id)
        for _ in range(3):
            s.peer.send(signal)
        events = micro.stats.events
        await until(lambda: events["SignalReceived"] == 6)
        venue = paper(micro)
        assert sum(order.filled_lots for order in venue.orders.values()) == 1000

        # Nor after a restart: what was acted on is remembered.
        await micro.close()
        again = await s.up()
        s.peer.heard.clear()
        s.peer.send(signal)
        report = await s.peer.ended(signal.signal_id)
        assert (report.status, report.filled) == ("filled", "0.01000")
        venue = paper(again)
        assert sum(order.filled_lots for order in venue.orders.values()) == 1000

    run(tmp_path, body)


def test_signals_that_cannot_be_are_answered_with_a_code(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        await s.up()
        now_ns = time.time_ns()
        cases = [
            (
                ("INTENT_EXPIRED", "expired"),
                s.peer.signal(created_ns=now_ns - SECOND, expires_ns=now_ns - 1),
            ),
            (("BAD_NUMBER", "quantity"), s.peer.signal(quantity="NaN")),
            (("BAD_NUMBER", "confidence is nan"), s.peer.signal(confidence=math.nan)),
            (("BAD_NUMBER", "parameter max_cross"), s.peer.signal(params={"max_cross": math.inf})),
            (("BELOW_MIN", "minimum of"), s.peer.signal(quantity="0.00002")),
            (("SYMBOL_DISALLOWED", "configured"), s.peer.signal(symbol="NOPE/USDT")),
            (("DEPTH_PARTICIPATION", "displayed"), s.peer.signal(quantity="1000")),
        ]
        for _, signal in cases:
            s.peer.send(signal)
        for (code, words), signal in cases:
            report = await s.peer.ended(signal.signal_id)
            assert (report.status, report.reason_code) == ("rejected", code), report.reason
            assert words in report.reason

    run(tmp_path, body)


def test_noise_on_the_signals_channel_is_counted_and_dropped(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        noise = [
            b"",
            b"\0",
            b"garbage",
            b"signal/x/y\0\xff\xff",
            b"hb\0" + bytes(100),
            b"x" * 10**6,
        ]
        for frame in noise:
            s.peer.publisher.send_raw(frame)
        s.peer.send(s.peer.signal(signal_id="a b"))
        good = s.peer.signal()
        s.peer.send(good)
        assert (await s.peer.ended(good.signal_id)).status == "filled"
        counted = sum(micro.uplink.undecodable.values())
        assert counted == len(noise)
        assert micro.stats.undecodable == {"Signal": 1}

    run(tmp_path, body)


def test_what_was_lost_on_the_way_is_counted_and_no_new_risk_is_taken_behind_it(
    tmp_path: Path,
) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        first = s.peer.signal()
        s.peer.send(first)
        assert (await s.peer.ended(first.signal_id)).status == "filled"
        assert micro.stats.missing == {}
        topic = topics.signal(first.venue, first.symbol)
        fifth = s.peer.signal(seq=5)  # two to four never come
        s.peer.publisher.send_raw(topics.join(topic, encode(fifth)))
        refused = await s.peer.ended(fifth.signal_id)
        assert (refused.status, refused.reason_code) == ("rejected", "SEQ_GAP")
        # Behind a gap, but old enough to have been sent before: it may be what was lost.
        eighth = s.peer.signal(seq=8, created_ns=time.time_ns() - SECOND)
        s.peer.publisher.send_raw(topics.join(topic, encode(eighth)))
        assert (await s.peer.ended(eighth.signal_id)).status == "filled"
        # One that comes late is not lost a second time, nor is that of a publisher begun anew.
        for late in (s.peer.signal(seq=3), s.peer.signal(seq=1, epoch=2)):
            s.peer.publisher.send_raw(topics.join(topic, encode(late)))
            assert (await s.peer.ended(late.signal_id)).status == "filled"
        assert micro.stats.missing == {"Signal": 5}
        text = exposition(micro.vitals).decode()
        assert 'citadel_missing_messages_total{kind="Signal"} 5.0' in text

    run(tmp_path, body)


def test_cancels_and_questions(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        far = s.far(await s.up())
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")
        common: dict[str, Any] = {"created_ns": 1, "epoch": 1, "seq": 0}
        s.peer.send(
            Query(
                query_id="q1", kind="order", reply_to="macro-1", signal_id=far.signal_id, **common
            )
        )
        s.peer.send(Query(query_id="q2", kind="balances", reply_to="macro-1", **common))
        s.peer.send(
            Query(query_id="q3", kind="order", reply_to="macro-1", signal_id="unknown", **common)
        )
        await until(lambda: len(s.peer.of(Answer)) == 3)
        order, balances, unknown = s.peer.of(Answer)
        assert order.reports[0].signal_id == far.signal_id
        assert {b.currency for b in balances.balances} >= {"USDT"}
        assert (order.found, unknown.found) == (True, False)
        s.peer.send(
            Cancel(
                signal_id=far.signal_id,
                venue="binance-spot",
                symbol=SYMBOL,
                **common,
            )
        )
        report = await s.peer.ended(far.signal_id)
        assert (report.status, report.filled) == ("canceled", "0.00000")

    run(tmp_path, body)


def test_stopping_withdraws_what_works(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        far = s.far(micro)
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")
        assert await micro.stop("test") is True
        report = await s.peer.ended(far.signal_id)
        assert report.status == "canceled"
        orders = paper(micro).orders
        assert all(not order.open for order in orders.values())

    run(tmp_path, body)


def test_without_a_macro_micro_is_well_unless_one_is_required(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = Micro(s.config(bridge={"macro_required": True}))
        s.micros.append(micro)
        await micro.start()
        market = micro.engine.markets["binance-spot", SYMBOL]
        await until(lambda: market.state == "LIVE")
        assert check(micro.vitals)[1]["reasons"] == ["macro is never heard"]
        micro.vitals.macro_required = False
        assert check(micro.vitals)[0]

    run(tmp_path, body)


def test_a_person_at_the_controls(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        deep = s.folder.joinpath(*["a-rather-long-name-of-a-folder"] * 5)
        micro = await s.up(s.config(run_dir=deep))
        far = s.far(micro)
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")

        async def do(action: str, *, reason: str = "", trip_id: str = "") -> dict[str, Any]:
            request = Request(action, trip_id=trip_id, reason=reason)
            return await asyncio.to_thread(ask, deep, request)

        assert (deep / SOCKET).stat().st_mode & 0o777 == 0o600
        halted = await do("halt", reason="looks odd")
        assert (halted["ok"], halted["risk"]) == (True, "halted")
        report = await s.peer.ended(far.signal_id)
        assert (report.status, report.reason_code) == ("canceled", "HALTED")

        bad: list[tuple[dict[str, Any], str]] = [
            ({"action": "reset", "trip_id": "nonsense", "reason": "x"}, "no trip"),
            ({"action": "halt", "scope": "planet:mars", "reason": "x"}, "planet:mars"),
            ({"action": "halt", "reason": "x", "through_halt": True}, "flatten only"),
            ({"action": "explode"}, "no action"),
        ]
        for request, words in bad:
            refused = await asyncio.to_thread(ask, deep, Request(**request))
            assert not refused["ok"]
            assert words in refused["error"]
        again = await do("reset", trip_id=halted["trips"][0]["trip_id"], reason="looked at it")
        assert again["ok"], again["error"]

        for noise in (b"", b"\n", b"{}\n", b"[" * 10_000 + b"\n", bytes(100_000)):
            reader, writer = await _connect(deep)
            writer.write(noise)
            if writer.can_write_eof():
                writer.write_eof()
            line = await reader.read()
            assert not line or not json.loads(line)["ok"]
            writer.close()
        assert (await do("status"))["ok"]
        await micro.close()
        with pytest.raises(PeerUnavailable, match="is it running"):
            await do("status")

    run(tmp_path, body)


def test_a_halted_position_is_flattened_when_asked_for_by_name(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        folder = s.folder / "flat"
        micro = await s.up(s.config(run_dir=folder))
        buy = s.peer.signal(order_type="market")
        s.peer.send(buy)
        await s.peer.ended(buy.signal_id)
        inst = (buy.venue, buy.symbol)
        assert micro.engine.portfolio.quantity(*inst) > 0

        async def do(action: str, *, through_halt: bool = False) -> dict[str, Any]:
            request = Request(action, reason="get out", through_halt=through_halt)
            return await asyncio.to_thread(ask, folder, request)

        assert (await do("halt"))["ok"]
        refused = await do("flatten")
        assert not refused["ok"]
        assert "--through-halt" in refused["error"]
        assert (await do("flatten", through_halt=True))["ok"]
        await until(lambda: micro.engine.portfolio.quantity(*inst) == 0)
        await micro.close()

    run(tmp_path, body)


async def _connect(folder: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return await asyncio.open_unix_connection(f"/proc/self/fd/{descriptor}/{SOCKET}")
    finally:
        os.close(descriptor)


# --- starts that cannot be


def test_ports_folders_symbols_and_venues_that_are_not_to_be_had(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        other = tmp_path / "other"
        port = int(micro.http_url.rpartition(":")[2])
        venue = s.config().venues["binance-spot"].model_dump()
        cases: list[tuple[MicroConfig, type[Exception], str]] = [
            (s.config(), PeerUnavailable, "run folder .* is in use by micro"),
            (s.config(run_dir=other, http={"port": port}), PeerUnavailable, "in use"),
            (
                s.config(run_dir=other, bridge={"market": micro.market_address}),
                PeerUnavailable,
                "in use",
            ),
            (
                s.config(
                    run_dir=other, venues={"binance-spot": {**venue, "symbols": ["BTC/USDX"]}}
                ),
                BadInput,
                "BTC/USDT",
            ),
            (
                s.config(
                    run_dir=other,
                    venues={"binance-spot": {**venue, "rest_url": "http://127.0.0.1:9"}},
                ),
                PeerUnavailable,
                "127.0.0.1:9",
            ),
            (
                s.config(run_dir=other).model_copy(
                    update={"venues": {"binanc-spot": s.config().venues["binance-spot"]}}
                ),
                BadInput,
                "binance-spot",
            ),
        ]
        for config, kind, text in cases:
            failed = Micro(config)
            try:
                with pytest.raises(kind, match=text):
                    await failed.start()
            finally:
                await failed.close()
        # None of them left a journal, a lock or a port behind.
        assert list(other.glob("journal-*")) == []
        s.micros.append(micro_again := Micro(s.config(run_dir=other)))
        await micro_again.start()

    run(tmp_path, body)


# --- journals


def test_a_damaged_journal_halts_until_a_person_has_looked(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        signal = s.peer.signal()
        s.peer.send(signal)
        await s.peer.ended(signal.signal_id)
        path = micro.journal.path
        await micro.close()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(bytes(data))

        for _ in range(2):  # a restart does not heal it
            s.peer.heard.clear()
            micro = await s.up()
            refused = s.peer.signal()
            s.peer.send(refused)
            report = await s.peer.ended(refused.signal_id)
            assert (report.status, report.reason_code) == ("rejected", "HALTED")
            await until(lambda: any(r.state == "HALTED" for r in s.peer.of(RiskState)))
            assert s.peer.of(MicroHeartbeat)[-1].state == "halted"
            await micro.close()

        micro = await s.up()
        folder = s.folder / "run"
        status = await asyncio.to_thread(ask, folder, Request("status"))
        assert (status["ok"], status["risk"]) == (True, "halted")
        (trip,) = status["trips"]
        reset = Request("reset", trip_id=trip["trip_id"], reason="compared with the venue")
        answer = await asyncio.to_thread(ask, folder, reset)
        assert (answer["ok"], answer["risk"]) == (True, "active")
        allowed = s.peer.signal(quantity="0.001")
        s.peer.send(allowed)
        assert (await s.peer.ended(allowed.signal_id)).status == "filled"

    run(tmp_path, body)


def test_verification_finds_a_command_that_differs(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        signal = s.peer.signal()
        s.peer.send(signal)
        await s.peer.ended(signal.signal_id)
        path = micro.journal.path
        # A command that the engine never gave, as a changed engine would give another.
        micro.runner._journal.command(micro.runner.clock.now(), _strange())
        await micro.close()
        found = verify(path)
        assert found.difference is not None
        assert "strange" in found.difference.expected
        assert found.difference.got == "nothing more of this event"
        assert found.commands > 0
        said: list[str] = []
        assert verify_journal(path, said.append) == 1
        assert said[0].startswith(f"record {found.difference.record} differs")

    run(tmp_path, body)


def _strange() -> Any:  # noqa: ANN401 - a command
    from citadel_micro.core.model.commands import Note  # noqa: PLC0415

    return Note(level="info", event="strange", fields=())


def test_verification_of_a_run_that_ended_in_a_fault(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        real = micro.engine.handle

        def broken(event: object, now_ns: int) -> Any:  # noqa: ANN401 - commands
            if type(event).__name__ == "SignalReceived":
                raise InvariantError("broken on purpose")
            return real(event, now_ns)  # type: ignore[arg-type]

        micro.engine.handle = broken  # type: ignore[method-assign]
        s.peer.send(s.peer.signal())
        with pytest.raises(InvariantError, match="on purpose"):
            await micro.wait()
        path = micro.journal.path
        await micro.close()
        found = verify(path)  # the sound engine does not meet the fault: that is a difference
        assert found.difference is not None
        assert "broken on purpose" in found.difference.expected

    run(tmp_path, body)


def test_a_full_disk_ends_the_run_and_everything_is_freed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_writer: object) -> None:
        raise OSError(28, "No space left on device")

    async def body(s: Stack) -> None:
        micro = await s.up()
        far = s.far(micro)
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")
        with monkeypatch.context() as patch:
            patch.setattr(TapeWriter, "flush", full)
            with pytest.raises(PeerUnavailable, match="No space left"):
                await micro.wait()
            orders = paper(micro).orders
            assert all(not order.open for order in orders.values())  # its last cancels went out
            await micro.close()
        await s.up()  # the folder and the ports are free again

    run(tmp_path, body)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_a_callback_lets_escape_halts_the_run(
    tmp_path: Path, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def main() -> None:
        async with stack(tmp_path) as s:
            micro = await s.up()
            asyncio.get_running_loop().call_soon(lambda: 1 // 0)
            with pytest.raises(InvariantError, match="ZeroDivisionError"):
                await micro.wait()
            assert micro.runner.failed

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


# --- keys


def test_with_keys_both_ways(tmp_path: Path) -> None:
    async def main() -> None:
        store = KeyStore(tmp_path / "keys")
        store.make()
        async with stack(tmp_path, store) as s:
            await s.up(s.config(bridge={"keys": str(tmp_path / "keys")}))
            signal = s.peer.signal()
            s.peer.send(signal)
            assert (await s.peer.ended(signal.signal_id)).status == "filled"

    asyncio.run(main())


def test_a_run_after_one_under_a_clock_ten_minutes_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns

    async def body(s: Stack) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(time, "time_ns", lambda: real() + 600 * SECOND)
            ahead = await s.up()
            order = s.peer.signal()
            s.peer.send(order)
            assert (await s.peer.ended(order.signal_id)).status == "filled"
            await ahead.stop("the clock is set right")
            await ahead.close()
        micro = await s.up()
        assert micro.vitals.clock.drift_ns() == pytest.approx(-600 * SECOND, abs=SECOND)
        order = s.peer.signal()
        s.peer.send(order)
        assert (await s.peer.ended(order.signal_id)).status == "filled"
        now = time.time_ns()
        expired = s.peer.signal(created_ns=now - 2 * SECOND, expires_ns=now - SECOND)
        s.peer.send(expired)
        assert (await s.peer.ended(expired.signal_id)).reason_code == "INTENT_EXPIRED"

    run(tmp_path, body)


def test_the_machines_clock_is_set_while_micro_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns

    async def body(s: Stack) -> None:
        await s.up()
        with monkeypatch.context() as patch:
            for step_s in (3, -3, 600):
                patch.setattr(time, "time_ns", lambda step_s=step_s: real() + step_s * SECOND)
                for _ in range(15):
                    s.peer.beat()
                    await asyncio.sleep(0.1)
                order = s.peer.signal()
                s.peer.send(order)
                report = await s.peer.ended(order.signal_id)
                assert (report.status, report.reason_code) == ("filled", ""), step_s

    run(tmp_path, body)


def test_a_run_with_another_order_adapter(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        orders = FakeVenues(VenueAbilities(amends="in_place", messages_per_second=7))
        micro = await s.up(orders=orders)
        told = micro.engine.config.venues["binance-spot"]
        assert (told.amend_native, told.shows_own_orders) == (True, True)
        assert told.messages_per_second == 7
        signal = s.peer.signal()
        s.peer.send(signal)
        report = await s.peer.ended(signal.signal_id)
        assert (report.status, report.filled) == ("filled", "0.01000")
        far = s.far(micro)
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")
        assert await micro.stop("test") is True
        assert orders.made[0].resting == {}
        await micro.close()

        again = await s.up(orders=orders)
        assert [venue.filled for venue in orders.made] == [1, 1]  # by what the first has saved
        assert again.adapters["binance-spot"] is orders.made[1]

    run(tmp_path, body)


@pytest.mark.parametrize("changes", [{"client_id_length": 32}, {"client_id_form": "[0-9]+"}])
def test_a_venue_that_takes_no_ids_like_ours_is_refused(changes: dict[str, Any]) -> None:
    abilities = {"binance-spot": VenueAbilities(**changes)}
    with pytest.raises(BadInput, match="client order ids"):
        engine_config_of(load(overrides={}), "run", abilities, {"binance-spot": "abc123"})
