"""Traffic of a whole demo, recorded with ``citadel record``, played to both sides.

``data/demo.tape`` holds both channels of one run, with the kill -9 of micro in its middle.
``data/record.py`` records it anew.
"""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from process_kit import citadel, health, until

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector
from citadel_micro.core.model.events import SignalReceived, Started
from citadel_micro.offline.on_tape import EngineOnTape, open_limits
from citadel_micro.shell.bridge.wire import event_of
from citadel_micro.shell.instruments.file import read_instruments
from citadel_proto import topics
from citadel_proto.codec import decode_market, encode
from citadel_proto.messages import (
    TERMINAL_STATUSES,
    Answer,
    BookSnapshot,
    ExecutionReport,
    MicroHeartbeat,
    Signal,
)
from citadel_proto.tape import MARKET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from process_kit import Bench

    from citadel_bridge.pytest_plugin import PlayedTape
    from citadel_micro.core.model.instrument import Instrument

VENUE = "binance-spot"
S = 1_000_000_000
STALE_NS = 5 * S
"""The tape's books come once a second, and not at all while micro was dead."""
REJECTED = "DOGE/USDT"
"""The demo lets next to nothing of it through."""


@pytest.fixture
def recorded(repository: Path) -> Path:
    return repository / "tests" / "system" / "data" / "demo.tape"


@pytest.fixture
def played(recorded: Path, tape: Callable[[Path], PlayedTape]) -> PlayedTape:
    return tape(recorded)


def market_messages(played: PlayedTape, kind: type) -> Iterator[tuple[int, Any]]:
    """(receive time, message) of one kind."""
    for record in played.records:
        if record.direction == MARKET:
            message = decode_market(topics.split(record.frame)[1])
            if isinstance(message, kind):
                yield record.recv_ns, message


def newest(reports: Iterable[ExecutionReport]) -> dict[str, ExecutionReport]:
    last: dict[str, ExecutionReport] = {}
    for report in reports:
        known = last.get(report.signal_id)
        if known is None or report.revision >= known.revision:
            last[report.signal_id] = report
    return last


def published_reports(played: PlayedTape) -> dict[str, ExecutionReport]:
    """The newest report of every order, as everybody could hear it."""
    return newest(report for _, report in market_messages(played, ExecutionReport))


def final_reports(played: PlayedTape) -> dict[str, ExecutionReport]:
    """The same with the answers to the recorded macro's questions.

    What micro published just after its restart was lost: nobody had connected to it again yet.
    """
    answers = [answer for _, answer in market_messages(played, Answer)]
    asked = [report for answer in answers for report in answer.reports]
    return newest([*published_reports(played).values(), *asked])


def signals(played: PlayedTape) -> dict[str, Signal]:
    """Signals by id; re-publications once."""
    found: dict[str, Signal] = {}

    def note(message: object) -> None:
        if isinstance(message, Signal):
            found.setdefault(message.signal_id, message)

    played.signals(note)
    return found


def test_the_tape_is_whole_and_holds_a_whole_run(played: PlayedTape, recorded: Path) -> None:
    assert played.tail is None
    assert recorded.stat().st_size < 200 * 1024
    last = final_reports(played)
    assert signals(played).keys() == last.keys()
    assert {report.status for report in last.values()} >= {"filled", "canceled", "rejected"}
    assert {report.status for report in last.values()} <= TERMINAL_STATUSES
    instances = {beat.instance for _, beat in market_messages(played, MicroHeartbeat)}
    assert len(instances) == 2, "micro before and after its kill"
    shown = citadel("tape", "info", str(recorded))
    assert shown.returncode == 0
    assert f"{len(played.records)} records" in shown.stdout
    assert citadel("tape", "verify", str(recorded)).returncode == 0


@pytest.fixture
def connector(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[HybridConnector]:
    made = HybridConnector(
        ConnectorConfig(
            signals="tcp://127.0.0.1:0",
            market=(f"tcp://127.0.0.1:{free_port()}",),
            state_path=tmp_path / "intents.sqlite",
            strategy="Replayed",
        )
    )
    made.start()
    yield made
    made.close()


@pytest.mark.parametrize("pace", [["--flat-out"], ["--speed", "20"]], ids=["flat out", "fast"])
def test_a_connector_comes_to_know_every_order(
    recorded: Path, played: PlayedTape, connector: HybridConnector, pace: list[str]
) -> None:
    address = connector.config.market[0]
    done = citadel("replay", str(recorded), "--market", address, *pace)
    assert done.returncode == 0, done.stderr
    count = sum(1 for record in played.records if record.direction == MARKET)
    assert done.stdout == f"{count} frames of market\n"
    last = published_reports(played)
    until(lambda: connector.mirror.reports.keys() >= last.keys())
    until(lambda: all(connector.report(each) == report for each, report in last.items()))
    for symbol, book in {
        book.symbol: book for _, book in market_messages(played, BookSnapshot)
    }.items():
        view = connector.book(VENUE, symbol)
        assert view is not None
        assert encode(view.message) == encode(book)
        assert not view.fresh(60 * S), "a replay does not make an old book a new one"
    balances = connector.balances(VENUE)
    latest = max(last.values(), key=lambda report: report.updated_ns)
    assert len(latest.balances) >= 2
    assert {row.currency: row for row in latest.balances}.items() <= dict(balances).items()


def test_the_fixture_and_the_sockets_say_the_same(
    played: PlayedTape, connector: HybridConnector
) -> None:
    played.feed(connector)
    assert {
        each: connector.report(each) for each in published_reports(played)
    } == published_reports(played)
    assert played.mirror().reports == published_reports(played)


# --- a micro engine -----------------------------------------------------------------------------


def rules(folder: Path, symbols: set[str]) -> dict[tuple[str, str], Instrument]:
    path = folder / "rules.toml"
    steps = {
        "BTC/USDT": ("0.01", "0.00001"),
        "ETH/USDT": ("0.01", "0.0001"),
        "SOL/USDT": ("0.01", "0.001"),
        "XRP/USDT": ("0.0001", "0.1"),
        "ADA/USDT": ("0.0001", "0.1"),
        "DOGE/USDT": ("0.00001", "1"),
    }
    path.write_text(
        "".join(
            f'[[instrument]]\nvenue = "{VENUE}"\nsymbol = "{symbol}"\ntick = "{tick}"\n'
            f'lot = "{lot}"\nmin_quantity = "{lot}"\nmin_notional = "5"\n'
            'maker_fee = "0.001"\ntaker_fee = "0.001"\n'
            for symbol, (tick, lot) in steps.items()
            if symbol in symbols
        )
    )
    return dict(read_instruments(path))


def replayed_engine(instruments: dict[tuple[str, str], Instrument]) -> EngineOnTape:
    """Its market is what the tape's micro published."""
    most = {REJECTED: Decimal(1), "*": Decimal(10) ** 9}
    limits = open_limits(lease_required=True, max_order_quantity=most)
    return EngineOnTape(instruments, limits=limits)


def test_an_engine_works_the_recorded_signals(played: PlayedTape, tmp_path: Path) -> None:
    wanted = signals(played)
    instruments = rules(tmp_path, {signal.symbol for signal in wanted.values()})
    replayed = replayed_engine(instruments)
    replayed.play(played.records)
    assert replayed.reports.keys() == wanted.keys(), "each once, whatever was published again"
    theirs = final_reports(played)
    for signal_id, report in replayed.reports.items():
        assert report.status in TERMINAL_STATUSES, signal_id
        signal = wanted[signal_id]
        assert (report.symbol, report.side) == (signal.symbol, signal.side)
        assert report.quantity == Decimal(signal.quantity)
        assert report.filled == sum((fill.quantity for fill in report.fills), Decimal(0))
        assert report.filled <= report.quantity
        for fill in report.fills:
            if signal.limit_price is not None and signal.kind == "order":
                limit = Decimal(signal.limit_price)
                assert fill.price <= limit if signal.side == "buy" else fill.price >= limit
        # Not the same market (five levels a second), so not the same fills; but the same fates.
        if signal.symbol == REJECTED:
            assert (report.status, report.reason_code) == ("rejected", "MAX_ORDER_QTY")
        elif theirs[signal_id].status == "filled":
            assert report.status == "filled", (signal_id, report.reason_code, report.reason)
        else:
            assert report.status == theirs[signal_id].status, signal_id
    again = replayed_engine(instruments)
    again.play(played.records)
    assert again.reports == replayed.reports


def test_played_today_every_signal_is_too_old(played: PlayedTape, tmp_path: Path) -> None:
    wanted = signals(played)
    replayed = replayed_engine(rules(tmp_path, {signal.symbol for signal in wanted.values()}))
    later = played.records[-1].recv_ns + 3600 * S
    replayed.post(Started(state={}, damaged=""), later - 5 * S)
    replayed.advance(later)
    seen: list[object] = []

    def post(message: Any) -> None:  # noqa: ANN401 - any message of the channel
        event = event_of(message)
        seen.append(event)
        replayed.post(event, later + len(seen))

    assert played.signals(post) == len(seen)
    assert sum(isinstance(event, SignalReceived) for event in seen) > len(wanted)
    replayed.advance(later + 60 * S)
    assert {report.reason_code for report in replayed.reports.values()} == {"INTENT_EXPIRED"}
    assert {report.status for report in replayed.reports.values()} == {"rejected"}
    assert replayed.requests["place"] == 0


def test_a_running_micro_refuses_recorded_signals(bench: Bench, recorded: Path) -> None:
    """The recorded signals through real sockets into a micro of now."""
    ready = bench.up()
    connector = HybridConnector(
        ConnectorConfig(signals="tcp://127.0.0.1:0", market=(bench.market,), role="recorder")
    )
    connector.start()
    try:
        player = subprocess.run(
            [
                *(sys.executable, "-m", "citadel_bridge.cli", "replay", str(recorded)),
                *("--signals", bench.commands, "--flat-out", "--wait", "20"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert player.returncode == 0, player.stderr
        until(lambda: len(connector.reports()) >= 10)
        reports = connector.reports()
    finally:
        connector.close()
    assert {report.status for report in reports} == {"rejected"}
    assert {report.reason_code for report in reports} <= {
        "INTENT_EXPIRED",
        "SYMBOL_DISALLOWED",
        "UNKNOWN_SYMBOL",
    }
    assert any(report.reason_code == "INTENT_EXPIRED" for report in reports)
    assert health(ready)["open_parents"] == 0
