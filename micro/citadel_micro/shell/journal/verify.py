"""Feeding a journal back must give the same commands, byte for byte."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from citadel_bridge.exit_codes import Exit
from citadel_micro.core.engine.engine import Engine
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.journal import FAULT, JournalReader
from citadel_proto.tape import COMMAND, EVENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from citadel_proto.tape import Record

_SHOWN: int = 2_000
"""Characters of one command that are printed; a longer one is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first place where the recomputed run departs from what was written."""

    record: int
    """Number of the record in the file, from 1 (the header is 0)."""
    event: str
    """What was being handled."""
    expected: str
    """What the journal holds there."""
    got: str
    """What was computed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What came of recomputing a journal."""

    run_id: str
    events: int
    commands: int
    """Commands that agreed."""
    difference: Difference | None
    notes: tuple[str, ...]
    """How the file ends, where that is worth knowing."""
    damaged: str
    """Where the file is damaged, so that nobody knows what came after; empty if it is not."""


@dataclass(slots=True)
class _Group:
    """One event and what the journal says came of it."""

    record: int
    data: bytes
    now_ns: int
    commands: list[bytes] = field(default_factory=list)
    fault: str = ""
    last: bool = False


def verify(path: Path) -> Verification:
    """Recompute every command of a journal, up to the first difference.

    A run that was killed may end within the commands of its last event; what is there must agree.

    Raises:
        BadInput, DecodeError: the file cannot be read, or is no journal.
    """
    reader = JournalReader(path)
    try:
        engine = Engine(reader.header.config, reader.header.instruments)
        events = commands = bare = 0
        notes: list[str] = []
        difference = None
        for group in _groups(reader.records()):
            events += 1
            got, fault, earlier = _recompute(engine, group)
            bare += earlier
            agreed = _agreed(group.commands, got)
            commands += agreed
            complete = agreed == len(got) == len(group.commands)
            if fault or group.fault:
                if not (fault and group.fault and agreed == len(group.commands)):
                    difference = _difference(group, got, agreed, fault)
                else:
                    notes.append(f"the run ended with a fault, and so does this: {fault}")
                break
            if complete:
                continue
            if group.last and agreed == len(group.commands):
                notes.append("it ends within the commands of its last event")
                break
            difference = _difference(group, got, agreed, fault)
            break
        if bare:
            notes.append(f"{bare} books were written without features, by a version before them")
        torn, damaged = ("", "") if difference is not None else reader.ending()
        if torn:
            notes.append(torn)
    finally:
        reader.close()
    return Verification(
        run_id=reader.header.run_id,
        events=events,
        commands=commands,
        difference=difference,
        notes=tuple(notes),
        damaged=damaged,
    )


def verify_journal(path: Path, say: Callable[[str], object] = print) -> int:
    """Verify a journal and say what came of it; the body of ``citadel replay JOURNAL --verify``.

    Returns:
        0 when every command agreed, 1 at the first difference and for a damaged file.

    Raises:
        BadInput, DecodeError: as ``verify``.
    """
    found = verify(path)
    for note in found.notes:
        say(f"note: {note}")
    if found.difference is None:
        say(f"{found.events} events, {found.commands} commands agreed")
        if found.damaged:
            say(f"damaged: {found.damaged}; what comes after it is not known")
            return Exit.DIFFERENCE
        return Exit.OK
    say(f"record {found.difference.record} differs, after {found.commands} commands that agreed")
    say(f"  event:    {found.difference.event}")
    say(f"  expected: {found.difference.expected}")
    say(f"  got:      {found.difference.got}")
    return Exit.DIFFERENCE


def _groups(rows: Iterable[Record]) -> Iterator[_Group]:
    group: _Group | None = None
    for number, record in enumerate(rows, start=1):
        if record.direction == EVENT:
            if group is not None:
                yield group
            group = _Group(number, record.frame, record.recv_ns)
        elif group is not None and record.direction == COMMAND:
            group.commands.append(record.frame)
        elif group is not None and record.direction == FAULT:
            group.fault = _fault_of(record)
    if group is not None:
        group.last = True
        yield group


def _fault_of(record: Record) -> str:
    """Text of a fault that the engine raised; empty for one of the shell, which is not replayed."""
    row = records.decode_plain(record.frame)
    return str(row["text"]) if isinstance(row, dict) and row.get("in_engine") else ""


def _recompute(engine: Engine, group: _Group) -> tuple[list[bytes], str, int]:
    """Commands of one event or the fault that it ends in, and how many have an earlier form there."""
    try:
        commands = engine.handle(records.decode_event(group.data), group.now_ns)
    except Exception as error:  # noqa: BLE001 - a fault is a result here: it is compared and told
        return [], f"{type(error).__name__}: {error}", 0
    got = [records.encode(command) for command in commands]
    earlier = 0
    for number, expected in enumerate(group.commands[: len(got)]):
        if expected != got[number] and expected == records.encode_earlier(commands[number]):
            got[number] = expected
            earlier += 1
    return got, "", earlier


def _agreed(expected: list[bytes], got: list[bytes]) -> int:
    """How many commands agree before the first that does not."""
    for number, (one, other) in enumerate(zip(expected, got, strict=False)):
        if one != other:
            return number
    return min(len(expected), len(got))


def _difference(group: _Group, got: list[bytes], agreed: int, fault: str) -> Difference:
    nothing = "nothing more of this event"
    expected = group.commands[agreed] if agreed < len(group.commands) else None
    computed = got[agreed] if agreed < len(got) else None
    return Difference(
        record=group.record + 1 + agreed,
        event=_shown(group.data),
        expected=_shown(expected) if expected is not None else group.fault or nothing,
        got=_shown(computed) if computed is not None else fault or nothing,
    )


def _shown(data: bytes) -> str:
    text = repr(records.decode_plain(data))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
