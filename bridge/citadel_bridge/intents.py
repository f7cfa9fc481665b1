"""The intent log: what macro has decided to send, before it is sent.

One SQLite file, and beside it the newest records, which are not in the database yet. A signal
is recorded before it is published, so a crash in between loses nothing: the next run publishes it,
unless it has expired. Micro deduplicates by ``signal_id``, so a crash after publishing executes
nothing twice.

States of an intent::

    pending ──► acknowledged ──► done
       │                          ▲
       ├──► withdrawn ────────────┤   canceled before any report came
       └──────────────────────────┘   expired, and micro confirmed that it never received it

A recorded signal survives ``kill -9`` at once and a power failure after ``sync``. The reports on it
survive a power failure from the next ``checkpoint`` on; micro sends them again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import secrets
import sqlite3
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from citadel_bridge.errors import IntentsUnwritable, PortTaken
from citadel_bridge.file_locks import lock
from citadel_bridge.intent_wal import RecentIntents
from citadel_proto.codec import decode_signal, encode
from citadel_proto.disk import sync_data
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.messages import TERMINAL_STATUSES, Signal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

log = logging.getLogger(__name__)

IntentState = Literal["pending", "withdrawn", "acknowledged", "done"]

_OWNER: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_US: Final = 1_000
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
    """How an orphan was resolved, empty if it was not."""


class IntentLog:
    """The log, open in this process only. Every method may be called from any thread.

    Args:
        path: the file; None keeps the log in memory, for a process that is never restarted.
        owner: id that a new log uses instead of creating one: that of a log that was lost.

    Raises:
        PortTaken: another process has the file open.
        BadInput: the file is not such a log, is another owner's, or cannot be written.
    """

    def __init__(self, path: Path | None, owner: str = "") -> None:
        self.path = path
        self._lock = threading.Lock()
        self._guard = -1
        self._wal = -1
        self.owner = ""
        """Permanent id of this log, created once: the owner of its orders."""
        self._recent: RecentIntents | None = None
        self._untaken: dict[str, Signal] = {}
        """Recorded, and not in the database yet."""
        self._dirty = False
        self._closed = False
        if path is not None:
            self._guard = _lock_file(path)
        try:
            self._db = _open(path)
            if path is not None:
                self._wal = os.open(f"{path}-wal", os.O_RDWR)
                self._recent = _open_recent(path)
                self._take_up(self._recent)
            self.owner = self._named(owner)
        except BaseException:
            self._release()
            raise

    def next_epoch(self, wall_ns: int) -> int:
        """Epoch of this run: the time, or more if an earlier run already had that.

        Two differ by a microsecond at least: by that the ids of their signals do (``signal_ids``).
        """
        with self._lock:
            row = self._db.execute("SELECT value FROM meta WHERE key='epoch'").fetchone()
            epoch = max(wall_ns, row[0] + _US if row else 0)
            self._db.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (epoch,))
            self._sync_database()
        return epoch

    def _named(self, wanted: str) -> str:
        """The owner's id, created and on disk before anything is sent under it."""
        # It starts with a letter, else a column of numbers would read some ids as numbers.
        if wanted and _OWNER.fullmatch(wanted) is None:
            raise BadInput(
                f"owner {wanted!r}", allowed="a letter, then up to 63 letters, digits, - and _"
            )
        row = self._db.execute("SELECT value FROM meta WHERE key='owner'").fetchone()
        if row is None:
            row = (wanted or f"o{secrets.token_hex(12)}",)
            self._db.execute("INSERT INTO meta VALUES ('owner', ?)", row)
            self._sync_database()
        elif wanted not in ("", row[0]):
            raise BadInput(
                f"the intent log is that of owner {row[0]}, not of {wanted}",
                where=str(self.path),
                mend="remove the setting: it is for a log that was lost; or name another file",
            )
        return str(row[0])

    def record(self, signal: Signal, *, new_id: bool = False) -> None:
        """Record a signal that is about to be published.

        Args:
            signal: the order.
            new_id: its id was made for this run and never given to anything, so that it need not be
                looked up in the database, which takes as long as everything else here.

        Raises:
            BadInput: the ``signal_id`` exists already, or the signal is invalid.
            IntentsUnwritable: it could not be written.
        """
        name = signal.signal_id
        body = _body(signal)
        try:
            with self._lock:
                self._require_open()
                if name in self._untaken or not (new_id or self._is_new(name)):
                    raise BadInput(f"signal_id {name!r} was used before")
                if self._recent is not None:
                    self._recent.append(body)
                self._untaken[name] = signal
                self._dirty = True
        except (OSError, sqlite3.Error) as error:
            raise IntentsUnwritable(
                f"nothing was sent, because the intent log {self.path} cannot be written: {error}"
            ) from error

    def _require_open(self) -> None:
        if self._closed:
            raise OSError("it is closed")

    def _is_new(self, name: str) -> bool:
        found = self._db.execute("SELECT 1 FROM intent WHERE signal_id=?", (name,))
        return found.fetchone() is None

    def acknowledge(self, signal_id: str, status: str = "accepted", revision: int = 0) -> None:
        """Record a report on a signal; an older one changes nothing."""
        self.acknowledge_many([(signal_id, status, revision)])

    def acknowledge_many(self, rows: Iterable[tuple[str, str, int]]) -> None:
        """Record several reports, (signal_id, status, revision) each, in one transaction."""
        values = [
            ("done" if status in TERMINAL_STATUSES else "acknowledged", status, revision, id_)
            for id_, status, revision in rows
        ]
        with self._changing() as db:
            db.executemany(
                "UPDATE intent SET state=?1, status=?2, revision=?3 "
                "WHERE signal_id=?4 AND revision<=?3 AND state!='done'",
                values,
            )

    def withdraw(self, signal_id: str) -> None:
        """Stop publishing a pending signal: it was canceled before any report."""
        with self._changing() as db:
            db.execute(
                "UPDATE intent SET state='withdrawn' WHERE signal_id=? AND state='pending'",
                (signal_id,),
            )

    def resolve(self, signal_id: str, how: str) -> None:
        """Record how an orphan was resolved (``adopted``, ``flattened`` …): it is none any more."""
        with self._changing() as db:
            db.execute("UPDATE intent SET resolution=? WHERE signal_id=?", (how, signal_id))

    def get(self, signal_id: str) -> Intent | None:
        """One intent, or None."""
        found = self._select("signal_id=?", (signal_id,))
        return found[0] if found else None

    def pending(self) -> list[Intent]:
        """Signals without a report, oldest first."""
        return self._select("state='pending'")

    def unfinished(self) -> list[Intent]:
        """Signals that are not known to be terminal, oldest first."""
        return self._select("state!='done'")

    def orphans(self, known: Collection[str], since_ns: int = 0) -> list[Intent]:
        """Intents that are missing in the trade database after a crash, oldest first.

        Args:
            known: ``signal_id`` of every order in the trade database.
            since_ns: look at intents created from then on.

        Returns:
            Those neither known nor resolved, whatever their state at micro.
        """
        found = self._select("resolution='' AND created_ns>=?", (since_ns,))
        names = frozenset(known)
        return [intent for intent in found if intent.signal.signal_id not in names]

    def sync(self) -> None:
        """Make every signal recorded so far survive a power failure; 0.5 to 4 ms on a plain disk."""
        self._dirty = False
        if self._recent is not None:
            self._recent.sync()

    def sync_if_dirty(self) -> None:
        """``sync`` if a signal was recorded since the last."""
        if self._dirty:
            self.sync()

    def checkpoint(self) -> None:
        """Move everything into the database's own file, so that the other files stay small."""
        with self._changing():
            pass
        with self._lock:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            if self._recent is not None and not self._untaken:
                self._sync_database()
                self._recent.empty()

    def close(self) -> None:
        """Close the file. Harmless when repeated."""
        if self._recent is not None:
            try:
                self.checkpoint()
            except (OSError, sqlite3.Error) as error:
                # Nothing is lost: the next run reads what is beside the database.
                log.warning("the intent log %s could not be tidied up: %s", self.path, error)
        with self._lock:
            self._closed = True
            self._db.close()
            self._release()

    @contextlib.contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which also stores what was recorded before it."""
        with self._lock:
            self._db.execute("BEGIN")
            try:
                self._take_in(self._untaken.values())
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
            self._untaken.clear()

    def _take_in(self, signals: Iterable[Signal]) -> None:
        """Put records into the database; existing ones stay as they are."""
        self._db.executemany(
            "INSERT OR IGNORE INTO intent (signal_id, body, state, created_ns) VALUES (?,?,?,?)",
            [(each.signal_id, encode(each), "pending", each.created_ns) for each in signals],
        )

    def _take_up(self, recent: RecentIntents) -> None:
        """After a crash: store the records that the database lacks."""
        signals = [self._signal(body) for body in recent.read()]
        if signals:
            self._take_in(signals)
            self._sync_database()
        recent.empty()

    def _sync_database(self) -> None:
        if self._wal >= 0:
            sync_data(self._wal)

    def _select(self, where: str, values: tuple[object, ...] = ()) -> list[Intent]:
        if self._untaken:
            with self._changing():
                pass
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
        # After the database: SQLite's own locks must be released before these descriptors close.
        if self._recent is not None:
            self._recent.close()
            self._recent = None
        for name in ("_wal", "_guard"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self, name, -1)


def _body(signal: Signal) -> bytes:
    """A signal as it is recorded; an unreadable one would keep the log from opening."""
    try:
        body = encode(signal)
        decode_signal(body)
    except (DecodeError, OverflowError, TypeError, UnicodeEncodeError) as error:
        raise BadInput(f"not a signal that can be sent: {error}") from error
    return body


def _open(path: Path | None) -> sqlite3.Connection:
    try:
        if path is not None:
            path.touch(mode=0o600)  # SQLite gives the files beside it the same mode
        db = sqlite3.connect(path or ":memory:", check_same_thread=False, isolation_level=None)
    except (sqlite3.Error, OSError) as error:
        raise BadInput(f"cannot open the intent log: {error}", where=str(path)) from error
    try:
        # WAL with NORMAL: a commit is one write into the page cache. ``sync`` makes it durable, so
        # that the caller decides what has to wait for the disk. No automatic checkpoint, because
        # that would add the disk's wait to some commit: the caller requests it.
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


def _open_recent(path: Path) -> RecentIntents:
    try:
        # It is locked beside the lock file, which somebody may have removed.
        return RecentIntents(path.with_name(f"{path.name}-recent"))
    except BlockingIOError as error:
        raise _taken(path) from error
    except OSError as error:
        raise BadInput(f"cannot write the intent log: {error.strerror}", where=str(path)) from error


def _lock_file(path: Path) -> int:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        guard = os.open(f"{path}.lock", flags, 0o600)
    except OSError as error:
        raise BadInput(f"cannot write the intent log: {error.strerror}", where=str(path)) from error
    try:
        lock(guard)
    except BlockingIOError as error:
        os.close(guard)
        raise _taken(path) from error
    return guard


def _taken(path: Path) -> PortTaken:
    return PortTaken(
        f"the intent log {path} belongs to a running process; stop it, or give this one another "
        "state folder"
    )
