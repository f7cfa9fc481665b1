"""An incident as one file: everything in it, no secret, and nothing unpacked that it does not name."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zstandard
from journal_kit import lived
from key_kit import KEY_SECRET, write_key

from citadel_bridge.cli import main
from citadel_micro.shell.journal import incident
from citadel_proto.errors import DecodeError
from citadel_proto.tape import MARKET, TapeHeader, TapeWriter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder with two journals, its list, and its own secret."""
    run = tmp_path / "run"
    run.mkdir()
    lived(run / "journal-00000001.ctape")
    lived(run / "journal-00000002.ctape")
    (run / "journals.index").write_text("00000001\n00000002\n")
    (run / "mark").write_text("0123456789abcdef" * 2)
    return run


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    tape = tmp_path / "monday.tape"
    with TapeWriter.create(tape, TapeHeader(created_ns=1)) as writer:
        writer.append(MARKET, 1, b"risk\0x")
    log = tmp_path / "micro.log"
    log.write_text('{"event": "a"}\n{"event": "sent", "signature": "abcdef0123456789"}\n')
    out = tmp_path / "incident.tar.zst"
    words = ["incident", "pack", "--run-dir", str(folder), "--out", str(out)]
    assert main([*words, "--tape", str(tape), "--log", str(log)]) == 0
    return out


def contents(path: Path) -> dict[str, bytes]:
    with (
        path.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        return {each.name: opened.read() for each in tar if (opened := tar.extractfile(each))}


def test_what_is_packed_and_what_is_not(packed: Path, folder: Path) -> None:
    found = contents(packed)
    assert list(found) == [
        "manifest.json",
        "journal-00000002.ctape",
        "monday.tape",
        "configuration.toml",
        "journals.index",
        "micro.log",
    ]
    assert found["journal-00000002.ctape"] == (folder / "journal-00000002.ctape").read_bytes()
    assert b"abcdef0123456789" not in found["micro.log"]
    assert b'{"event": "a"}' in found["micro.log"]
    assert (folder / "mark").read_bytes() not in b"".join(found.values())
    assert stat.S_IMODE(packed.stat().st_mode) == 0o600
    manifest = json.loads(found["manifest.json"])
    assert manifest["versions"]["stoic-citadel"]
    assert {each["name"] for each in manifest["files"]} == set(found) - {"manifest.json"}


def test_it_replays_anywhere(
    packed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["incident", "replay", str(packed), "--to", str(tmp_path / "there")]) == 0
    printed = capsys.readouterr().out
    assert "commands agreed" in printed
    assert "monday.tape: 1 frames" in printed
    assert main(["incident", "replay", str(packed), "--until", "SignalReceived:2"]) == 0
    shown = capsys.readouterr().out
    state: dict[str, Any] = json.loads(shown[shown.index("\n{") :])
    assert [each["id"] for each in state["state"]["orders"]] == ["rests"]
    assert (packed.parent / "incident" / "journal-00000002.ctape").is_file()
    assert main(["incident", "replay", str(packed)]) == 2  # the folder exists


def test_several_runs(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.tar.zst"
    words = ["incident", "pack", "--run-dir", str(folder), "--out", str(out)]
    assert main([*words, "--runs", "5"]) == 0
    assert sum(name.startswith("journal-") for name in contents(out)) == 2
    assert main(words) == 2  # it exists
    assert main([*words[:3], str(tmp_path), "--out", str(tmp_path / "none")]) == 2  # no journal


def test_a_configured_key_is_taken_out_of_logs_by_its_value(folder: Path, tmp_path: Path) -> None:
    key = write_key(tmp_path / "keys")
    settings = tmp_path / "micro.toml"
    settings.write_text(f'[venues.binance-spot]\nkey_file = "{key}"\n')
    log = tmp_path / "micro.log"
    log.write_text(f"somewhere {KEY_SECRET} in the middle\n")
    out = tmp_path / "key.tar.zst"
    words = ["incident", "pack", "--config", str(settings), "--run-dir", str(folder)]
    assert main([*words, "--log", str(log), "--out", str(out)]) == 0
    found = contents(out)
    assert found["micro.log"].decode() == "somewhere *** in the middle\n"
    assert KEY_SECRET.encode() not in b"".join(found.values())


def repacked(path: Path, out: Path, change: dict[str, bytes], *, link: bool = False) -> Path:
    """The same with other contents, the manifest's entries as they were."""
    with (
        out.open("wb") as file,
        zstandard.ZstdCompressor().stream_writer(file) as packed,
        tarfile.open(fileobj=packed, mode="w|") as tar,
    ):
        for name, data in (contents(path) | change).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
        if link:
            entry = tarfile.TarInfo("link")
            entry.type, entry.linkname = tarfile.SYMTYPE, "../outside"
            tar.addfile(entry)
    return out


def test_what_is_not_as_it_was_packed_is_refused(packed: Path, tmp_path: Path) -> None:
    log = contents(packed)["micro.log"]
    manifest = json.loads(contents(packed)["manifest.json"])
    manifest["files"].append({"name": "../x", "what": "log", "size": 1, "sha256": "0"})
    later = json.dumps(manifest | {"incident": 2, "files": []}).encode()
    bad = [
        repacked(packed, tmp_path / "1", {"micro.log": b"x" * len(log)}),
        repacked(packed, tmp_path / "2", {"micro.log": log + b"more"}),
        repacked(packed, tmp_path / "3", {"stranger": b""}),
        repacked(packed, tmp_path / "4", {}, link=True),
        repacked(
            packed, tmp_path / "5", {"manifest.json": json.dumps(manifest).encode(), "../x": b"1"}
        ),
        repacked(packed, tmp_path / "6", {"manifest.json": later}),
        repacked(packed, tmp_path / "7", {"manifest.json": b"{}"}),
    ]
    for path in bad:
        with pytest.raises(DecodeError, match=path.name):
            incident.unpack(path, tmp_path / "to")
        assert not (tmp_path / "to").exists()
    assert not (tmp_path / "x").exists()


def test_every_cut_of_it_is_reported(packed: Path, tmp_path: Path) -> None:
    whole = packed.read_bytes()
    for part in range(0, len(whole) - 1, max(len(whole) // 23, 1)):
        cut = tmp_path / "cut"
        cut.write_bytes(whole[:part])
        with pytest.raises(DecodeError):
            incident.unpack(cut, tmp_path / "to")
        assert not (tmp_path / "to").exists()


def test_the_manifest_is_plain_json() -> None:
    manifest = incident.Manifest(created_ns=1, versions={}, files=())
    assert msgspec.json.encode(manifest).startswith(b'{"incident":1')
