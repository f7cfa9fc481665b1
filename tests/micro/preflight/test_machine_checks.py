"""``citadel doctor`` on this machine, and on one that is not fit."""

from __future__ import annotations

import json
import shutil
import socket
from collections import namedtuple
from typing import TYPE_CHECKING

from ports import free_port

from citadel_bridge.cli import main
from citadel_micro.preflight import machine_checks

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

Usage = namedtuple("Usage", "total used free")  # noqa: PYI024 - as shutil's


def config(folder: Path, venue_port: int, http_port: int) -> str:
    path = folder / "micro.toml"
    path.write_text(
        f"run_dir = '{folder / 'run'}'\n"
        "[bridge]\nmarket = 'ipc:///tmp/nowhere-at-all'\n"
        f"[http]\nport = {http_port}\n"
        "[venues.binance-spot]\nsymbols = ['BTC/USDT']\n"
        f"rest_url = 'http://127.0.0.1:{venue_port}'\nws_url = 'ws://127.0.0.1:{venue_port}/stream'\n"
    )
    return str(path)


def verdicts(out: str) -> dict[str, tuple[str, str]]:
    rows = [json.loads(line) for line in out.splitlines()]
    return {row["name"]: (row["verdict"], row["text"]) for row in rows}


def test_a_fit_machine_is_all_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as venue:
        path = config(tmp_path, venue.getsockname()[1], free_port())
        assert main(["doctor", "--config", path, "--json"]) == 0
        found = verdicts(capsys.readouterr().out)
        assert {name: verdict for name, (verdict, _) in found.items() if verdict == "refused"} == {}
        assert "stoic-citadel" in found["versions"][1]
        assert "a write reaches the disk in" in found["journal"][1]
        assert found["binance-spot"][0] == "ok"
        assert main(["doctor", "--config", path]) == 0
        assert "http address" in capsys.readouterr().out
    assert not list(tmp_path.glob(".doctor*")), "what it wrote is gone"


def test_what_is_wrong_is_said_with_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1, 1, 5e8))
    monkeypatch.setattr(machine_checks, "_sync_s", lambda _folder: 0.05)
    with socket.create_server(("127.0.0.1", 0)) as other:
        path = config(tmp_path, free_port(), other.getsockname()[1])
        assert main(["doctor", "--config", path, "--json"]) == 3
    found = verdicts(capsys.readouterr().out)
    assert found["disk"] == ("refused", f"0.5 GB free at {tmp_path / 'run'}")
    assert found["journal"][0] == "warn"
    assert found["http address"][0] == "refused"
    assert found["binance-spot"][0] == "refused"
    assert "cannot be reached" in found["binance-spot"][1]


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_folder: Path) -> float:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(machine_checks, "_sync_s", refused)
    assert main(["doctor", "--config", config(tmp_path, free_port(), 0)]) == 3
    assert "cannot be written: Permission denied" in capsys.readouterr().out
