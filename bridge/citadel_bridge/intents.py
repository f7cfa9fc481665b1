"""The intent log: what macro has decided to send, before it is sent.

One SQLite file. A signal is recorded before it is published, so a crash in between loses nothing:
the next run publishes it, unless it has expired. Micro deduplicates by ``signal_id``, so a crash
after publishing repeats nothing.

States of an intent::

    pending ──► acknowledged ──► done
       │                          ▲
       ├──► withdrawn ────────────┤   cancelled before any report came
       └──────────────────────────┘   expired, and micro is sure that it never had it

``recorded`` writes survive ``kill -9`` at once and a power failure after ``sync``.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from citadel_bridge.errors import IntentsUnwritable, PortTaken
from citadel_proto.codec import decode_signal, encode
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.messages import TERMINAL_STATUSES, Signal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

IntentState = Literal["pending", "withdrawn", "acknowledged", "done"]

_VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS intent (
    signal_id  TEXT PRIMARY KEY,
    body       BLOB NOT NULL,
    state      TEXT NOT NULL,
    status     TEXT NOT NULL DEFAULT '',
    revision   INTEGER NOT NULL DEFAULT -1,
    resolution TEXT NOT NULL DEFAULT '',
    created_ns INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS intent_open ON intent (created_ns) WHERE state != 'done';
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Intent:
    """One row of the log."""

    signal: Signal
    state: IntentState
    status: str
    """Status of the latest report, empty before the first."""
    resolution: str
    """What was done about an orphan, empty if nothing."""


class IntentLog:
    """The log, open in this process only. Every method may be called from any thread.

    Args:
        path: the file; None keeps the log in memory, for a process that nobody restarts.

    Raises:
        PortTaken: another process has the file open.
        BadInput: the file is not such a log, or cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._guard = -1
        self._wal = -1
        self._dirty = False
        if path is not None:
            self._guard = _lock_file(path)
        try:
            self._db = _open(path)
            if path is not None:
                self._wal = os.open(f"{path}-wal", os.O_RDWR)
        except BaseException:
            self._release()
            raise

    def next_epoch(self, wall_ns: int) -> int:
        """Epoch of this run: the time, or more if an earlier run already had that."""
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE key='epoch'").fetchone()
            epoch = max(wall_ns, row[0] + 1 if row else 0)
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (epoch,))
        self.sync()
        return epoch

    def record(self, signal: Signal) -> None:
        """Note a signal that is about to be published.

        Raises:
            BadInput: the ``signal_id`` is there already.
        """
        try:
            with self._lock:
                self._db.execute(
                    "INSERT INTO intent (signal_id, body, state, created_ns) VALUES (?,?,?,?)",
                    (signal.signal_id, encode(signal), "pending", signal.created_ns),
                )
                self._dirty = True
        except sqlite3.IntegrityError as error:
            raise BadInput(f"signal_id {signal.signal_id!r} was used before") from error
        except sqlite3.Error as error:
            raise IntentsUnwritable(
                f"nothing was sent, because the intent log {self.path} cannot be written: {error}"
            ) from error

    def acknowledge(self, signal_id: str, status: str = "accepted", revision: int = 0) -> None:
        """Note a report on a signal; an older one changes nothing."""
        self.acknowledge_many([(signal_id, status, revision)])

    def acknowledge_many(self, rows: Iterable[tuple[str, str, int]]) -> None:
        """Note several reports, (signal_id, status, revision) each, in one transaction."""
        values = [
            ("done" if status in TERMINAL_STATUSES else "acknowledged", status, revision, id_)
            for id_, status, revision in rows
        ]
        with self._lock:
            self._db.execute("BEGIN")
            self._db.executemany(
                "UPDATE intent SET state=?1, status=?2, revision=?3 "
                "WHERE signal_id=?4 AND revision<=?3 AND state!='done'",
                values,
            )
            self._db.execute("COMMIT")

    def withdraw(self, signal_id: str) -> None:
        """Publish a pending signal no more: its cancel came before any report."""
        with self._lock:
            self._db.execute(
                "UPDATE intent SET state='withdrawn' WHERE signal_id=? AND state='pending'",
                (signal_id,),
            )

    def resolve(self, signal_id: str, how: str) -> None:
        """Note what was done about an orphan (``adopted``, ``flattened`` …): it is none any more."""
        with self._lock:
            self._db.execute("UPDATE intent SET resolution=? WHERE signal_id=?", (how, signal_id))

    def get(self, signal_id: str) -> Intent | None:
        """One intent, or None."""
        found = self._select("signal_id=?", (signal_id,))
        return found[0] if found else None

    def pending(self) -> list[Intent]:
        """Signals without any report, oldest first."""
        return self._select("state='pending'")

    def unfinished(self) -> list[Intent]:
        """Signals that are not known to be terminal, oldest first."""
        return self._select("state!='done'")

    def orphans(self, known: Collection[str], since_ns: int = 0) -> list[Intent]:
        """Intents that a crash has cut off from the trade database, oldest first.

        Args:
            known: ``signal_id`` of every order in the trade database.
            since_ns: look at intents created from then on.

        Returns:
            Those neither known nor resolved, whatever became of them at micro.
        """
        found = self._select("resolution='' AND created_ns>=?", (since_ns,))
        names = frozenset(known)
        return [intent for intent in found if intent.signal.signal_id not in names]

    def sync(self) -> None:
        """Make everything recorded so far survive a power failure; about 4 ms on a plain disk."""
        self._dirty = False
        if self._wal >= 0:
            os.fdatasync(self._wal)

    def sync_if_dirty(self) -> None:
        """``sync`` if a signal was recorded since the last."""
        if self._dirty:
            self.sync()

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, so that it does not grow for ever."""
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Close the file. Harmless when repeated."""
        with self._lock:
            self._db.close()
        self._release()

    def _select(self, where: str, values: tuple[object, ...] = ()) -> list[Intent]:
        with self._lock:
            rows = self._db.execute(
                # The condition is one of the literals above.
                f"SELECT body, state, status, resolution FROM intent WHERE {where} "  # noqa: S608
                "ORDER BY created_ns, signal_id",
                values,
            ).fetchall()
        return [Intent(self._signal(body), *rest) for body, *rest in rows]

    def _signal(self, body: bytes) -> Signal:
        try:
            signal = decode_signal(body)
        except DecodeError as error:
            raise BadInput(f"damaged intent: {error}", where=str(self.path)) from error
        if not isinstance(signal, Signal):
            raise BadInput("an intent that is not a Signal", where=str(self.path))
        return signal

    def _release(self) -> None:
        # After the database: SQLite's own locks must be gone before these descriptors are.
        for name in ("_wal", "_guard"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self, name, -1)


def _open(path: Path | None) -> sqlite3.Connection:
    try:
        db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
    except sqlite3.Error as error:
        raise BadInput(f"cannot open the intent log: {error}", where=str(path)) from error
    try:
        # WAL with NORMAL: a commit is one write into the page cache. ``sync`` makes it durable, so
        # that the caller decides what has to wait for the disk. No automatic checkpoint, because
        # that would put the disk's wait into some commit: the caller asks for it.
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA wal_autocheckpoint=0")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version in {0, _VERSION}:
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA user_version={_VERSION}")
            return db
    except sqlite3.Error as error:
        db.close()
        raise BadInput(
            f"not a usable intent log: {error}", where=str(path), mend="move the file away"
        ) from error
    db.close()
    raise BadInput(
        f"intent log of version {version}",
        where=str(path),
        allowed=str(_VERSION),
        mend="use the release that wrote it, or move the file away",
    )


def _lock_file(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        guard = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise BadInput(f"cannot write the intent log: {error.strerror}", where=str(path)) from error
    try:
        fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(guard)
        raise PortTaken(
            f"the intent log {path} belongs to a running process; stop it, or give this one "
            "another state folder"
        ) from error
    return guard
