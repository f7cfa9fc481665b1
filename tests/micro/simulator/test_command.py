"""``citadel sim`` as a process: says where it is, stops cleanly, names what is wrong."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import quick_start
from effort import campaign

from citadel_micro.simulator.command import parse_faults
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "citadel_bridge.cli", "sim"]
SMALL = ["--symbols", "BTC/USDT", "--history-days", "1", "--no-futures"]
QUICK = ["--port", "0", *SMALL]


def launch(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def run(*options: str) -> subprocess.CompletedProcess[str]:
    return quick_start.run("sim", *options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_is_and_stops_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    process = launch(*QUICK, "--ready-file", str(ready))
    try:
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        assert json.loads(ready.read_text()) == said
        assert said["symbols"] == ["BTC/USDT"]
        assert said["ws"] == said["rest"].replace("http", "ws")
        with urllib.request.urlopen(said["rest"] + "/api/v3/ping") as answer:  # noqa: S310 - http
            assert json.load(answer) == {}
        process.send_signal(number)
        rest, errors = process.communicate(timeout=60)
        assert (process.returncode, rest, errors) == (0, "", "")
        assert not ready.exists()
    finally:
        process.kill()
        process.wait()


def test_a_replay_that_plays_once_ends_by_itself(tmp_path: Path) -> None:
    data = {
        "e": "depthUpdate",
        "E": 1,
        "s": "AUSDT",
        "U": 11,
        "u": 12,
        "b": [["1.5", "2"]],
        "a": [],
    }
    snapshot = {"lastUpdateId": 10, "bids": [["1.0", "1"]], "asks": [["2.0", "1"]]}
    url = "https://host/api/v3/depth?symbol=AUSDT"
    lines: list[dict[str, Any]] = [
        {"recv_ns": 1, "kind": "rest", "conn": 0, "url": url, "text": json.dumps(snapshot)},
        {"recv_ns": 2, "kind": "frame", "conn": 0, "text": json.dumps({"data": data})},
    ]
    capture = tmp_path / "small.jsonl.gz"
    capture.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    done = run("--port", "0", "--replay", str(capture), "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["source"] == str(capture)


def test_a_taken_port_is_exit_4_and_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run("--port", str(port), "--symbols", "BTC/USDT")
    assert done.returncode == 4
    assert f"port {port} on 127.0.0.1 is in use" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--symbols", "NOPE/USDT"], "allowed: BTC/USDT"),
        campaign(["--symbols", ","], "no symbol given"),
        (["--host", "0.0.0.0"], "--allow-remote"),  # noqa: S104 - refused
        campaign(["--once"], "--once needs --replay"),
        campaign(["--replay", "absent.jsonl.gz"], "absent.jsonl.gz"),
        (["--replay", "x", "--symbols", "BTC/USDT"], "exclude each other"),
        (["--fault", "flood=1"], "drop-depth=SHARE"),
        campaign(["--fault", "flood=1"], "answer-lost"),
        ([*SMALL, "--fault", "demo:answer-lost=often"], "WHEN one of once, always"),
        campaign(["--account", "=USDT:1"], "NAME[=ASSET:AMOUNT"),
        ([*SMALL, "--account", "a", "--account", "a"], "account 'a' is there twice"),
        campaign(["--accounts", "absent.toml"], "absent.toml"),
        campaign(["--order-limit", "0"], "a limit of 0"),
        (["--weight-limit", "-1"], "a limit of -1"),
        ([*SMALL, "--ready-file", "/nonexistent/ready"], "--ready-file /nonexistent/ready"),
    ],
)
def test_bad_input_is_exit_2_with_the_way_out(options: list[str], text: str) -> None:
    done = run("--port", "0", *options)
    assert done.returncode == 2, done.stderr
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_accounts_keys_and_faults_of_the_command_line_are_reported(tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text('[[account]]\nname = "two"\n[[account.keys]]\nid = "k2"\nsecret = "s2"\n')
    options = ["--account", "one=USDT:5", "--accounts", str(file), "--fault", "one:mute=nth:3"]
    options += ["--order-limit", "7", "--weight-limit", "99"]
    process = launch(*QUICK, *options, "--fault", "drop-depth=0.5")
    try:
        assert process.stdout is not None
        said: dict[str, Any] = json.loads(process.stdout.readline())
        assert list(said["accounts"]) == ["one", "two"]
        assert [key["kind"] for key in said["accounts"]["one"]] == ["hmac", "ed25519"]
        assert said["accounts"]["two"] == [{"kind": "hmac", "key": "k2", "secret": "s2"}]
        control = said["control"]
        request = urllib.request.Request(  # noqa: S310 - http
            f"{control['url']}/faults", headers={"X-Sim-Token": control["token"]}
        )
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - http
            (rule,) = json.load(answer)["rules"]
        assert (rule["name"], rule["key"], rule["when"]) == ("mute", "one", "nth:3")
        info_url = said["rest"] + "/api/v3/exchangeInfo"
        with urllib.request.urlopen(info_url) as answer:  # noqa: S310 - http
            limits = json.load(answer)["rateLimits"]
        assert [limit["limit"] for limit in limits][:2] == [99, 7]
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_faults_are_read_with_and_without_a_unit() -> None:
    faults = parse_faults(["drop-depth=0.25", "disconnect-every=30s"])
    assert (faults.drop_depth, faults.disconnect_every_s) == (0.25, 30.0)
    assert parse_faults(["disconnect-every=4"]).disconnect_every_s == 4.0
    for bad in ("drop-depth", "drop-depth=much", "drop-depth=2", "disconnect-every=nan"):
        with pytest.raises(BadInput, match="fault"):
            parse_faults([bad])
