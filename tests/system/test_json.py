"""Every command that says something says it as JSON too, with ``--json``; and so are its errors."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer.main
from alert_kit import receiver, urls_file
from engine_kit import MS
from engine_kit import signal as order
from journal_kit import Journaled, lived
from live_kit import live_file
from ports import free_port
from process_kit import SYMBOL, Bench, until
from quick_start import run

from citadel_bridge import cli
from citadel_bridge.auth import KeyStore
from citadel_bridge.exit_codes import Exit
from citadel_macro.commands import FREQTRADE_COMMANDS
from citadel_proto.errors import BadInput
from citadel_proto.tape import MARKET, TapeHeader, TapeWriter

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHERWISE: Final = {
    "micro": "a daemon: --ready-file, /healthz, `citadel status --json`",
    "sim": "a daemon: --ready-file and its own REST interface",
    "watchdog": "a daemon: --ready-file, and micro says whether there is one",
    "tape dump": "its lines are JSON always",
    "tape export": "it writes rows in the form that --format names",
    "macro demo-config": "what it writes is JSON",
}
"""Commands without ``--json``, and why; beside those that are Freqtrade's own."""
ELSEWHERE: Final = {
    "tests/bridge/test_commands.py": ("signal buy", "signal sell", "signal cancel"),
    "tests/macro/test_init.py": ("init",),
    "tests/macro/test_shadow_mode.py": ("shadow report",),
    "tests/micro/offline/conftest.py": ("work",),
    "tests/micro/offline/test_study.py": ("study",),
    "tests/micro/preflight/test_machine_checks.py": ("doctor",),
    "tests/micro/shell/capture/test_capturing.py": ("books",),
    "tests/micro/shell/instruments/test_instruments_command.py": ("instruments",),
    "tests/system/test_live_check_usdm.py": ("live check",),
    "tests/system/test_no_secrets.py": ("audit",),
    "tests/system/test_paper_demo.py": ("demo",),
}
"""Commands whose JSON other tests read, by the test."""


def leaves(command: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - typer's own kind
    for name, each in getattr(command, "commands", {}).items():
        yield from leaves(each, f"{path} {name}".strip())
    if not hasattr(command, "commands"):
        yield path, command


def known() -> dict[str, Any]:
    """Every command of ours by its name, ``tape info`` for instance."""
    theirs = {f"macro {name}" for name, _ in FREQTRADE_COMMANDS}
    found = dict(leaves(typer.main.get_command(cli.build())))
    return {name: each for name, each in found.items() if name not in theirs}


def has_json(command: Any) -> bool:  # noqa: ANN401 - typer's own kind
    return any("--json" in option.opts for option in command.params)


def test_every_command_has_it_or_it_is_said_why_not() -> None:
    commands = known()
    assert {name for name, each in commands.items() if not has_json(each)} == set(OTHERWISE)
    elsewhere = [name for names in ELSEWHERE.values() for name in names]
    read = {*elsewhere, *IN_A_FOLDER, *BESIDE_MICRO}
    assert read == {name for name, each in commands.items() if has_json(each)}
    root = Path(__file__).parents[2]
    for test in ELSEWHERE:
        assert '"--json"' in (root / test).read_text(encoding="utf-8"), test


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["tape", "info", "none.tape"],
            {"where": "none.tape", "exit": Exit.BAD_INPUT},
        ),
        (["status"], {"exit": Exit.UNAVAILABLE}),
        (["status", "--no-such-option"], {"fix": "see citadel status --help", "exit": 2}),
        (["keys", "make", "keys", "--only", "cook"], {"where": "--only", "exit": 2}),
    ],
)
def test_an_error_is_one_object_on_standard_error(
    words: list[str],
    told: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    code = cli.main([*words, "--json"])
    shown = capsys.readouterr()
    found = json.loads(shown.err)
    assert (code, shown.out) == (told["exit"], "")
    assert found["error"]
    assert {name: found[name] for name in told} == told


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_look_at_a_micro_that_does_not_answer_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    words = ["top", "--count", "2", "--every", "0.1", "--run-dir", str(tmp_path), *more]
    assert cli.main(words) == Exit.UNAVAILABLE
    shown = capsys.readouterr().out
    assert "no micro answers" in " ".join(shown.split())
    assert [bool(json.loads(line)["error"]) for line in shown.splitlines() if more] == [True] * (
        2 * len(more)
    )


def test_a_bug_keeps_its_traceback_before_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    def run_() -> int:
        raise ZeroDivisionError("x")

    assert cli.guarded(run_, as_json=True) == Exit.BUG
    *lines, last = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert json.loads(last)["exit"] == Exit.BUG


def test_what_must_not_be_seen_is_taken_out_of_json_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "_filters", [lambda text: text.replace("geheim", "***")])

    def run_() -> int:
        raise BadInput("no key geheim", where="geheim.toml", mend="not geheim")

    cli.guarded(run_, as_json=True)
    assert "geheim" not in capsys.readouterr().err


def test_an_option_of_freqtrade_with_this_name_is_freqtrades(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["macro", "--json"]) == Exit.BAD_INPUT
    assert capsys.readouterr().err.startswith("Usage: ")


# --- in a folder --------------------------------------------------------------------------------

IN_A_FOLDER: Final = {
    "keys make": ["keys"],
    "keys show": ["keys"],
    "keys allow": ["keys", "board", "theirs/recorder.public"],
    "keys revoke": ["keys", "board"],
    "keys rotate": ["keys", "recorder"],
    "keys check": ["keys"],
    "tape info": ["a.tape"],
    "tape verify": ["a.tape"],
    "tape cut": ["a.tape", "--out", "part.tape"],
    "tape merge": ["a.tape", "b.tape", "--out", "both.tape"],
    "replay": ["run/journal-00000001.ctape", "--verify"],
    "risk explain": ["takes-0", "--run-dir", "many"],
    "risk what-if": ["limits.toml", "many/journal-00000001.ctape"],
    "tca": ["many"],
    "export": ["many", "--format", "jsonl"],
    "algos": [],
    "cache show": [],
    "cache clear": [],
    "paper fit-latency": ["many"],
    "live make-key": ["key.toml", "--venue", "binance-spot", "--account", "me"],
    "live lift-cap": ["--config", "micro.toml", "--reason", "seen", "--early"],
    "incident pack": ["--run-dir", "run", "--tape", "a.tape", "--out", "case.tar.zst"],
    "incident replay": ["case.tar.zst"],
    "journal tidy": ["run", "--keep-days", "1"],
    "alerts test": ["--urls", "urls/alerts.txt"],
}
"""Arguments, in the order in which they are run."""
INDENTED: Final = {"algos", "tca"}
"""Their document has lines."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the commands read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("a.tape", "b.tape"):
        with TapeWriter.create(tmp_path / name, TapeHeader(created_ns=1)) as writer:
            writer.append(MARKET, 1, b"risk\0x")
    for name in ("run", "many"):
        (tmp_path / name).mkdir()
    lived(tmp_path / "run" / "journal-00000001.ctape")
    rig = Journaled(tmp_path / "many" / "journal-00000001.ctape")
    for number in range(20):
        side = "sell" if number % 2 else "buy"
        taking: dict[str, Any] = {"algo": "marketable_limit", "side": side}
        rig.send(order(f"takes-{number}", quantity=Decimal("0.01"), seq=number + 1, **taking))
        rig.run(60 * MS)  # while its book is fresh
        rig.journal.sync()
    rig.journal.close()
    live_file(tmp_path)
    (tmp_path / "limits.toml").write_text("[risk]\nmax_order_notional = 1\n")
    return tmp_path


def read(name: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> Any:  # noqa: ANN401
    """What a command prints with ``--json``."""
    code = cli.main([*name.split(), *words, "--json"])
    shown = capsys.readouterr()
    assert code == Exit.OK, f"{name}: {code}\n{shown.out}{shown.err}"
    assert len(shown.out.splitlines()) == 1 or name in INDENTED, shown.out
    return json.loads(shown.out)


def test_what_is_printed_in_a_folder_is_one_document(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    KeyStore(folder / "theirs").make(["recorder"])
    with receiver() as (url, taken):
        urls_file(folder / "urls", url)
        found = {}
        for name, words in IN_A_FOLDER.items():
            found[name] = read(name, words, capsys)
    assert len(taken) == 1
    assert found["keys make"]["made"] == ["macro", "micro", "cli", "recorder"]
    assert {each["name"] for each in found["keys show"]["keys"]} >= {"macro", "micro"}
    assert found["keys check"]["problems"] == []
    assert found["tape info"]["records"] == 1
    assert found["tape verify"] == {"records": 1, "blocks": 1, "tail": None}
    assert found["tape merge"]["records"] == 2
    assert found["replay"]["difference"] is None
    assert found["replay"]["events"] > 0
    assert found["paper fit-latency"]["orders"] >= 20
    assert found["live make-key"]["public_key"].startswith("-----BEGIN PUBLIC KEY")
    assert found["risk explain"]["order"] == "takes-0"
    assert found["risk what-if"]["denials_instead"] == {"MAX_ORDER_NOTIONAL": 40}
    assert found["tca"][0]["orders"] == 20
    assert found["export"]["rows"]["fills"] == 20
    assert found["incident pack"]["holds"][0]["what"] == "journal"
    assert found["incident replay"]["tapes"] == {"a.tape": 1}
    assert found["incident replay"]["journals"]["journal-00000001.ctape"] == found["replay"]
    assert found["alerts test"] == {"services": 1, "missed": []}


def test_a_journal_that_differs_is_said_in_json_and_by_the_exit_code(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "many" / "journal-00000001.ctape"
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)
    words = ["replay", str(path), "--verify", "--json"]
    assert cli.main(words) == Exit.DIFFERENCE
    found = json.loads(capsys.readouterr().out)
    assert found["damaged"]
    assert found["events"] > 0


def test_what_a_capture_logs_is_not_in_its_document(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*BESIDE_MICRO["capture"][:4], "--out", str(folder / "c.jsonl.gz")]
    nobody = f"127.0.0.1:{free_port()}"
    there = ["--rest-url", f"http://{nobody}", "--ws-url", f"ws://{nobody}"]
    assert cli.main(["capture", *words, *there, "--duration", "1s", "--json"]) == Exit.UNAVAILABLE
    shown = capsys.readouterr()
    assert json.loads(shown.out)["frames"] == 0
    assert nobody in shown.err


# --- beside a micro that runs -------------------------------------------------------------------

BESIDE_MICRO: Final = {
    "status": [],
    "top": ["--count", "2", "--every", "0.1"],
    "page": [],
    "operator": ["pause", "--reason", "lunch"],
    "risk show": [],
    "risk reload": ["--reason", "a calm day"],
    "feeds": ["--market", "MARKET", "--duration", "1s"],
    "record": ["--market", "MARKET", "--out", "OUT", "--duration", "200ms"],
    "capture": [
        *("--venue", "binance-spot", "--symbols", SYMBOL, "--out", "OUT.jsonl.gz"),
        *("--duration", "1s", "--rest-url", "REST", "--ws-url", "WS"),
    ],
}
"""Arguments; capitals are addresses and files of the test."""
LINES: Final = {"status": 1, "top": 2, "page": 1}
"""Commands that print JSON lines, and how many here."""


def told(bench: Bench, name: str, numbers: Iterator[int]) -> list[dict[str, Any]]:
    """The objects that a command prints; none when it came too early for what it listens to."""
    here = {
        "MARKET": bench.market,
        "REST": bench.exchange["rest"],
        "WS": bench.exchange["ws"],
        "OUT": str(bench.folder / f"{name}-{next(numbers)}"),
    }
    words = BESIDE_MICRO[name]
    for capitals, value in here.items():
        words = [word.replace(capitals, value) for word in words]
    where = [] if {"--market", "--venue"} & set(words) else ["--run-dir", str(bench.run_dir)]
    done = run(*name.split(), *words, *where, "--json")
    if done.returncode == Exit.UNAVAILABLE:
        return []
    # 3 of status: on a busy machine it may be unhealthy for a moment.
    assert done.returncode in {Exit.OK, Exit.REFUSED if name == "status" else Exit.OK}, (name, done)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.campaign
def test_what_is_printed_beside_a_micro_is_one_document_or_json_lines(bench: Bench) -> None:
    bench.up()
    found = {}
    for name in BESIDE_MICRO:
        found[name] = until(partial(told, bench, name, count(0)))
        assert len(found[name]) == LINES.get(name, 1), name
    assert found["status"][0]["run"] == found["top"][1]["run"] == found["page"][0]["run"]
    assert found["operator"][0]["trips"][0]["code"] == "OPERATOR_PAUSE"
    assert found["capture"][0]["frames"] > 0
    assert found["record"][0]["files"] == [str(bench.folder / "record-0")]
    bench.micro.close()
    gone = run("top", "--count", "1", "--run-dir", str(bench.run_dir), "--json")
    assert "error" in json.loads(gone.stdout)
