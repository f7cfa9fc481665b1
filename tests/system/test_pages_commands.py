"""Every command of every page is run: here in one session, in another test, or it is said why it cannot be."""

from __future__ import annotations

import json
import shlex
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import zmq
from live_kit import UNHURRIED
from pages_kit import ROOT, commands, documented
from process_kit import SYMBOL, Program, health, until
from quick_start import Started, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ELSEWHERE: Final = {
    "tests/system/test_pages_run.py": (
        *("keys make", "keys show", "keys check", "keys allow", "keys revoke", "keys rotate"),
        *("init", "live make-key", "micro --config micro.toml", "micro --config micro-shadow.toml"),
        *("operator pause --run-dir runs/live", "operator status --run-dir runs/live"),
        *("operator reset --run-dir runs/live", "operator flatten --run-dir runs/live"),
        "operator kill --run-dir runs/live",
    ),
    "tests/system/test_live_check_usdm.py": ("live check",),
    "tests/micro/preflight/test_lift_cap.py": ("live lift-cap",),
    "tests/macro/test_closed_by_others.py": ("micro --config live.toml",),
    "tests/system/test_micro_process.py": (
        *("sim", "micro --mode paper", "micro --rest-url", "micro --signals"),
    ),
    "tests/system/test_end_to_end.py": ("audit", "macro trade --config runs/freqtrade.json"),
    "tests/system/test_paper_demo.py": ("demo",),
    "tests/system/test_shards.py": ("micro --config micro.toml --shard",),
    "tests/system/test_watchdog.py": ("watchdog",),
    "tests/macro/test_on_simulator.py": (
        *("micro --symbols BTC/USDT --on-demand", "macro trade --simulator"),
    ),
    "tests/macro/test_backtests.py": ("macro backtesting",),
    "tests/macro/test_machine_learning.py": ("macro trade -c macro/user_data/config.json",),
    "tests/macro/test_shadow_mode.py": ("macro trade --shadow", "shadow report"),
    "tests/micro/offline/test_work_journal.py": ("work",),
    "tests/micro/offline/test_study.py": ("study",),
    "tests/micro/shell/capture/test_capturing.py": ("capture", "books"),
    "tests/micro/preflight/test_machine_checks.py": ("doctor",),
}
"""Beginnings of commands, by the test that runs these with its own folders and addresses."""
CANNOT: Final = {
    "it asks an exchange": ("instruments okx", "instruments kraken-spot"),
    "it needs a trader's own Freqtrade configuration and strategy": (
        *("macro trade -c user_data/config.json", "macro trade --config config.json"),
    ),
}
"""Beginnings of commands, by why none of the tests runs them as they stand."""


class Session:
    """A folder with a simulator, a micro on paper, and what a page's reader has there."""

    def __init__(self, folder: Path, ports: tuple[int, int, int]) -> None:
        self.folder = folder
        self.commands, self.market, self.replayed = (f"tcp://127.0.0.1:{each}" for each in ports)
        words = ("sim", "--port", "0", "--symbols", SYMBOL, "--history-days", "1")
        self.sim = Program(folder, "sim", *words, "--no-futures")
        self.micro = Program(folder, "micro", "micro", "--config", "micro.toml")
        self.rest = ""
        self.ran: list[list[str]] = []
        """As the pages say it."""

    def up(self) -> None:
        exchange = self.sim.start()
        self.rest = exchange["rest"]
        (self.folder / "limits.toml").write_text("[risk]\nmax_order_notional = 100\n")
        (self.folder / "micro.toml").write_text(
            f"[risk]{UNHURRIED}max_order_notional = 1000000\n"
            f"[bridge]\nmarket = '{self.market}'\nmacros = []\ncommand_lines = ['{self.commands}']\n"
            "macro_required = false\n[http]\nport = 0\n[journal]\nfsync = false\n"
            f"[venues.binance-spot]\nsymbols = ['{SYMBOL}']\n"
            f"rest_url = '{exchange['rest']}'\nws_url = '{exchange['ws']}'\n"
        )
        ready = self.micro.start()
        until(lambda: health(ready)["status"] == "ok")

    def close(self) -> None:
        for each in (self.micro, self.sim):
            each.close()

    def words(self, line: str, *changes: tuple[str, str], more: str = "") -> list[str]:
        """A page's words: with other values here, and where this session is."""
        said = shlex.split(line)
        self.ran.append(said)
        for old, new in changes:
            assert any(old in word for word in said), (line, old)
            said = [word.replace(old, new) for word in said]
        where = {
            "signal": ["--connect", self.market, "--bind", self.commands, "--timeout", "60s"],
            "record": ["--market", self.market, "--command-signals", self.commands],
        }
        return [*said, *where.get(said[0], []), *shlex.split(more)]

    def do(
        self, line: str, *changes: tuple[str, str], more: str = "", codes: tuple[int, ...] = (0,)
    ) -> str:
        """Run a line; what it prints."""
        done = run(*self.words(line, *changes, more=more))
        assert done.returncode in codes, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def order(self, line: str, *changes: tuple[str, str], codes: tuple[int, ...] = (0, 3)) -> str:
        """Send one; its id. What the market does with it is no matter here."""
        told = self.do(line, *changes, more="--no-wait --json", codes=codes)
        return str(json.loads(told.splitlines()[-1])["signal_id"])

    def reset(self) -> None:
        """End what the operator began, as the page does; a late feed's ends by itself."""
        state = json.loads(self.do("operator status", more="--json"))
        manual = [each for each in state["trips"] if each["code"].startswith("OPERATOR")]
        for each in manual:
            line = 'operator reset --trip ID --reason "compared with the venue"'
            self.do(line, ("ID", each["trip_id"]))


@pytest.fixture
def session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> Iterator[Session]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Session(tmp_path, (free_port(), free_port(), free_port()))
    try:
        made.up()
        yield made
    finally:
        made.close()


def trade(session: Session) -> str:
    """Orders, what shows them, and what stops them; the id of the first."""
    first = session.order("signal buy BTC/USDT 0.5")
    for line in (
        "signal buy BTC/USDT 0.2",
        "signal buy BTC/USDT 100",
        "signal sell BTC/USDT 0.5 --algo marketable_limit",
        "signal buy BTC/USDT 0.5 --param max_chase_bps=20 --limit-price 60000 --ttl 5m",
        "signal sell BTC/USDT 0.1 --stop-price 58000 --algo trailing_stop --param trail_bps=150",
        "signal sell BTC/USDT 0.1 --stop-price 58000 --algo oco --param take_profits=61000,62000",
    ):
        session.order(line)
    for line in ("status", "operator status", "risk show", "page"):
        session.do(line)
    session.do("top", more="--count 1")
    session.do("risk explain ID", ("ID", first))
    session.do('risk reload --reason "a calm day"')
    limits = 'operator limits --run-dir /var/lib/citadel/live --reason "cap lifted"'
    session.do(limits, ("/var/lib/citadel/live", "runs/micro"))
    session.do('operator pause --reason "news at noon"')
    session.reset()
    scope = "symbol:binance-spot:BTC/USDT"
    session.do(f'operator cancel_all --reason "start afresh" --scope {scope}')
    session.do('operator halt --reason "looks odd"')
    session.do('operator flatten --reason "get out" --through-halt')
    session.reset()
    session.do('operator flatten --reason "done for today"')
    return first


def tapes(session: Session) -> None:
    """What is done with ``monday.tape``."""
    session.do("tape info monday.tape")
    session.do("tape dump monday.tape --limit 20")
    session.do("tape verify monday.tape", codes=(0, 1))  # 1: it was too slow, on a busy machine
    shutil.copy("monday.tape", "monday-0007.tape")
    part = ("monday.tape", "monday-0008.tape")
    session.do("record --out monday.tape --rotate 1h --keep 24", part, more="--duration 0.2")
    (second,) = Path().glob("monday-0008*.tape")
    merge = "tape merge monday-0007.tape monday-0008.tape --out morning.tape"
    session.do(merge, ("monday-0008.tape", second.name))
    now = datetime.now(UTC)
    begin, end = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (-1, 1))
    cut = "tape cut morning.tape --from 2026-11-28T06:00:00Z --until 2026-11-28T06:05:00Z --out incident.tape"
    session.do(cut, ("2026-11-28T06:00:00Z", begin), ("2026-11-28T06:05:00Z", end))
    session.do("tape cut morning.tape --channel market --topic book/binance-spot/ --out books.tape")
    session.do("tape export morning.tape --kind BookSnapshot --levels 5 --out books.csv")
    session.do("tape export morning.tape --kind ExecutionReport --format jsonl")
    there = ("tcp://127.0.0.1:5556", session.replayed)
    line = "replay monday.tape --market tcp://127.0.0.1:5556"
    for pace, changes in (("--speed 10", [("10", "1000"), there]), ("--flat-out", [there])):
        with zmq.Context[zmq.Socket[bytes]]() as context, context.socket(zmq.SUB) as listener:
            listener.subscribe(b"")
            listener.connect(session.replayed)
            session.do(f"{line} {pace}", *changes)


def afterwards(session: Session, first: str) -> None:
    """What is done with the journal of a run that is over."""
    (path,) = Path("runs/micro").glob("journal-*.ctape")
    journal, moment = str(path), f"{datetime.now(UTC) - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    session.do("replay JOURNAL --until SignalReceived:3", ("JOURNAL", journal))
    when = ("2026-11-28T06:00:00Z", moment)
    session.do("replay JOURNAL --until 2026-11-28T06:00:00Z", ("JOURNAL", journal), when)
    session.do("replay JOURNAL --until 1200", ("JOURNAL", journal), ("1200", "50"))
    session.do("replay JOURNAL --until ~SIGNAL-ID", ("JOURNAL", journal), ("SIGNAL-ID", first))
    name = "runs/micro/journal-mws277wf.ctape"
    session.do(f"replay {name} --verify", (name, journal))
    session.do("tape info runs/micro/journal-*.ctape", ("runs/micro/journal-*.ctape", journal))
    name = "runs/micro/journal-ID.ctape"
    session.do(f"risk what-if limits.toml {name}", (name, journal), codes=(0, 1))
    pack = "incident pack --config micro.toml --tape monday.tape --log micro.log --out incident.tar.zst"
    session.do(pack)
    session.do("incident replay incident.tar.zst")
    until_ = "incident replay incident.tar.zst --to there --until OrderFilled:2"
    session.do(until_, ("OrderFilled:2", "SignalReceived:2"))
    session.do("export runs/micro --out tables")
    session.do("tca")
    session.do("tca runs/live", ("runs/live", "runs/micro"))
    session.do("tca runs/main --by strategy,side", ("runs/main", "runs/micro"))
    session.do("tca runs/main --out costs.html --out orders.csv", ("runs/main", "runs/micro"))
    session.do("journal tidy run --keep-days 30 --keep-gb 50", ("run", "runs/micro"))


@pytest.mark.timeout(170)
def test_every_command_of_every_page_is_run_or_it_is_said_why_not(session: Session) -> None:
    recording = session.words("record --out monday.tape --duration 15m", ("15m", "1h"))
    tape = Started(recording)
    try:
        until(Path("monday.tape").exists)
        first = trade(session)
    finally:
        tape.terminate()
        tape.wait(60)
    tapes(session)
    demo = (
        "macro demo-config --sim http://127.0.0.1:8180 --user-dir runs/freqtrade "
        "--pairs BTC/USDT,ETH/USDT,SOL/USDT,XRP/USDT --out runs/freqtrade.json"
    )
    session.do(demo, ("http://127.0.0.1:8180", session.rest))
    assert session.micro.end(signal.SIGTERM) in {0, 4}, (
        "4: not every cancel in time, on a busy machine"
    )
    afterwards(session, first)

    for test in ELSEWHERE:
        assert (ROOT / test).exists(), test
    told = [
        shlex.split(each) for group in (ELSEWHERE, CANNOT) for row in group.values() for each in row
    ]
    shown = [
        arguments
        for page in documented()
        for arguments in commands(page.read_text(encoding="utf-8"), "citadel")
    ]
    missing = [
        shlex.join(each)
        for each in shown
        if each not in session.ran and not any(each[: len(begin)] == begin for begin in told)
    ]
    assert missing == [], "run it in this session, or say where it is run or why it cannot be"
    gone = [shlex.join(each) for each in session.ran if each not in shown and each[0] != "operator"]
    assert gone == [], "no page shows these any more"
