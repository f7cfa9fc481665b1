"""Configuration files and trade databases that are none: said in words, and no traceback."""

from __future__ import annotations

import contextlib
import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import freqtrade.freqtradebot
import pytest
from freqtrade.configuration.load_config import load_from_files
from freqtrade.exceptions import OperationalException
from freqtrade.persistence import Trade
from freqtrade.worker import Worker
from sqlalchemy.exc import DBAPIError, OperationalError

from citadel_bridge.exit_codes import Exit
from citadel_macro import freqtrade_files
from citadel_macro.launcher import run
from citadel_proto.errors import BadInput, CitadelError, PeerUnavailable

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "a folder": (None, "cannot be read: Is a directory"),
    "bytes": (b"\xff\xfe\x00", "it is not UTF-8 text"),
    "a list": (b"[1]", "holds a list and no settings"),
    "a number": (b"7", "holds a int and no settings"),
    "nothing": (b"", "verify your configuration file"),
    "half": (b'{"exchange":', "Parse error"),
}


def made(folder: Path, what: str) -> tuple[Path, str]:
    path = folder / "config.json"
    content, said = FILES[what]
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    return path, said


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_holds_no_settings_is_bad_input(tmp_path: Path, what: str) -> None:
    path, said = made(tmp_path, what)
    with pytest.raises(BadInput, match=said) as refused:
        freqtrade_files.read([str(path)])
    assert str(path) in str(refused.value)
    assert freqtrade_files.CONFIG in str(refused.value)


@pytest.mark.parametrize("what", ["a folder", "bytes", "a list"])
def test_freqtrade_ends_with_the_exit_code_of_bad_input(tmp_path: Path, what: str) -> None:
    path, said = made(tmp_path, what)
    with pytest.raises(BadInput, match=said):
        run(["trade", "-c", str(path)])
    shown = tmp_path / "more.json"
    shown.write_text(f'{{"add_config_files": ["{path}"]}}')
    with pytest.raises(BadInput, match=said):
        run(["show-config", "-c", str(shown)])


def test_a_right_one_is_read_as_freqtrade_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('// mine\n{"max_open_trades": 3,}')
    assert freqtrade_files.read([str(path)]) == load_from_files([str(path)])
    assert run(["show-config", "--help"]) == Exit.OK


def opened(db_url: str) -> list[CitadelError]:
    """What is said as Freqtrade opens a database; nothing if it can."""
    errors: list[CitadelError] = []
    before = getattr(Trade, "session", None)
    with freqtrade_files.said(errors.append):
        with contextlib.suppress(OperationalException):
            freqtrade.freqtradebot.init_db(db_url)
        session: Any = getattr(Trade, "session", None)
        if session is not before:
            session.remove()
            session.get_bind().dispose()
    return errors


def database(path: Path, *, columns: str = "") -> None:
    db = sqlite3.connect(path)
    if columns:
        db.execute(f"CREATE TABLE trades({columns})")
    db.commit()
    db.close()


def test_a_database_that_cannot_be_one(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database at all, and long enough for a header of one")
    database(tmp_path / "other", columns="id INTEGER PRIMARY KEY, foo TEXT")
    for name, said in (
        ("text", "file is not a database; name another file"),
        ("other", "no such column"),
        (".", "unable to open database file; name a file in a folder"),
        ("none/t.sqlite", "unable to open database file; name a file in a folder"),
    ):
        (error,) = opened(f"sqlite:///{tmp_path / name}")
        assert isinstance(error, BadInput)
        assert said in str(error)
        assert str(tmp_path) in str(error)
        assert "(db_url)" in str(error)
    (error,) = opened("nonsense")
    assert "'nonsense' is no address of a database; allowed: sqlite:///" in str(error)


def test_a_driver_that_is_missing_is_named_and_the_password_is_not() -> None:
    (error,) = opened("mysql://me:hunter2@localhost/trades")
    assert "MySQLdb" in str(error)
    assert "hunter2" not in str(error)


def test_a_database_that_another_program_has_locked(tmp_path: Path) -> None:
    path = tmp_path / "trades.sqlite"
    assert opened(f"sqlite:///{path}") == []
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    try:
        (error,) = opened(f"sqlite:///{path}?timeout=0")
    finally:
        other.close()
    assert isinstance(error, PeerUnavailable)
    assert "database is locked; end what else has it open" in str(error)


@pytest.mark.parametrize(
    ("reason", "kind", "said"),
    [
        ("database or disk is full", PeerUnavailable, "make room on its disk"),
        ("attempt to write a readonly database", BadInput, "let this user write the file"),
        ("disk I/O error", PeerUnavailable, "check its disk"),
        ("syntax error", BadInput, "name another one"),
    ],
)
def test_a_database_that_fails_while_the_bot_runs(
    monkeypatch: pytest.MonkeyPatch, reason: str, kind: type[CitadelError], said: str
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OperationalError("UPDATE trades", {}, sqlite3.OperationalError(reason))

    monkeypatch.setattr(Worker, "_worker", fails)
    worker: Any = object.__new__(Worker)
    worker.freqtrade = SimpleNamespace(config={"db_url": "sqlite:///trades.sqlite"})
    errors: list[CitadelError] = []
    with freqtrade_files.said(errors.append), pytest.raises(OperationalException, match=reason):
        worker.run()
    (error,) = errors
    assert type(error) is kind
    assert said in str(error)
    with pytest.raises(DBAPIError):
        worker.run()  # as it was before
