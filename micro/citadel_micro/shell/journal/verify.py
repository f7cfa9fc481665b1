"""Replaying a journal must give the same commands, byte for byte."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import msgspec

from citadel_bridge.exit_codes import Exit
from citadel_micro.core.engine.engine import Engine
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.difference import Difference, places_of, shown
from citadel_micro.shell.journal.journal import FAULT
from citadel_micro.shell.journal.reader import JournalReader, Row, event_of
from citadel_micro.shell.journal.stopping import ALLOWED, read_until, state_of
from citadel_proto.errors import BadInput
from citadel_proto.tape import COMMAND, EVENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from citadel_micro.shell.journal.stopping import Until


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The event that a replay was to stop after, and what the engine knew then."""

    record: int
    """Number of the event's record in the file, from 1."""
    now_ns: int
    """Engine time."""
    event: object
    commands: list[object]
    """What was computed for it."""
    state: dict[str, Any]
    """See ``stopping.state_of``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """Result of replaying a journal."""

    run_id: str
    events: int
    commands: int
    """Commands that agreed."""
    difference: Difference | None
    notes: tuple[str, ...]
    """How the file ends, where that matters."""
    damaged: str
    """Where the file is damaged, so that what follows is unknown; empty if it is not."""
    stopped: Stopped | None = None
    """Where it was stopped, if that was asked for, and the place came before any difference."""

    @property
    def exit(self) -> Exit:
        """DIFFERENCE at a command that is computed differently, and for a damaged file."""
        return Exit.DIFFERENCE if self.difference or self.damaged else Exit.OK


@dataclass(slots=True)
class _Group:
    """One event and its commands in the journal."""

    record: int
    row: Row
    now_ns: int
    commands: list[bytes] = field(default_factory=list)
    fault: str = ""
    last: bool = False


def verify(path: Path, until: Until | None = None) -> Verification:
    """Recompute every command of a journal, up to the first difference.

    A run that was killed may end within the commands of its last event; what is there must agree.

    Args:
        path: the journal.
        until: stop after this event.

    Raises:
        BadInput, DecodeError: the file cannot be read, or is no journal.
    """
    reader = JournalReader(path)
    try:
        engine = Engine(reader.header.config, reader.header.instruments)
        events = commands = bare = 0
        notes: list[str] = []
        difference = stopped = None
        for group in _groups(reader.records()):
            events += 1
            got, fault, earlier = _recompute(engine, group)
            if not got and not fault and until is None and not group.commands and not group.fault:
                continue  # as most of them
            bare += earlier
            agreed = _agreed(group.commands, got)
            commands += agreed
            complete = agreed == len(got) == len(group.commands)
            if fault or group.fault:
                if not (fault and group.fault and agreed == len(group.commands)):
                    difference = _difference(group, got, agreed, fault)
                else:
                    notes.append(f"the run ended with a fault, and so does the replay: {fault}")
                break
            if complete:
                if until is not None and until.reached(
                    group.now_ns, group.row.frame, group.record + len(group.commands)
                ):
                    stopped = _stopped(engine, group)
                    break
                continue
            if group.last and agreed == len(group.commands):
                notes.append("it ends within the commands of its last event")
                break
            difference = _difference(group, got, agreed, fault)
            break
        if bare:
            notes.append(
                f"{bare} commands have the form of an earlier version: books without features, "
                "positions without funding"
            )
        torn, damaged = ("", "") if difference or stopped else reader.ending()
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
        stopped=stopped,
    )


def verify_journal(
    path: Path, say: Callable[[str], object] = print, *, until: str = "", as_json: bool = False
) -> int:
    """Verify a journal and print the result; the body of ``citadel replay JOURNAL --verify``.

    Args:
        path: the journal.
        say: prints a line.
        until: stop there, and print the event, its commands and the engine's state as JSON.
        as_json: print one JSON object instead, see ``as_plain``.

    Returns:
        0 when every command agreed, 1 at the first difference and for a damaged file.

    Raises:
        BadInput, DecodeError: as ``verify``; BadInput when there is no such place to stop at.
    """
    found = verify_until(path, until)
    if as_json:
        say(msgspec.json.encode(as_plain(found)).decode())
        return found.exit
    for note in found.notes:
        say(f"note: {note}")
    if found.stopped is not None:
        say(msgspec.json.format(msgspec.json.encode(_plain(found.stopped)), indent=2).decode())
        return found.exit
    if found.difference is None:
        say(f"{found.events} events, {found.commands} commands agreed")
        if found.damaged:
            say(f"damaged: {found.damaged}; what follows is unknown")
        return found.exit
    say(f"record {found.difference.record} differs, after {found.commands} commands that agreed")
    say(f"  event:    {found.difference.event}")
    say(f"  expected: {found.difference.expected}")
    say(f"  got:      {found.difference.got}")
    for place in found.difference.places:
        say(f"  differs:  {place}")
    return found.exit


def verify_until(path: Path, until: str = "") -> Verification:
    """As ``verify``, with the place to stop at as it is typed.

    Raises:
        BadInput, DecodeError: as ``verify``; BadInput when there is no such place to stop at.
    """
    found = verify(path, read_until(until) if until else None)
    nowhere = found.stopped is None and found.difference is None and not found.damaged
    if until and nowhere:
        raise BadInput(
            f"the journal has no such event: {until}",
            where="--until",
            allowed=f"its {found.events} events; {ALLOWED}",
        )
    return found


def as_plain(found: Verification) -> dict[str, Any]:
    """A result fit for JSON; its exit code is not in it."""
    return {each.name: _plain(getattr(found, each.name)) for each in fields(found)}


def _groups(rows: Iterable[Row]) -> Iterator[_Group]:
    group: _Group | None = None
    for number, record in enumerate(rows, start=1):
        if record.direction == EVENT:
            if group is not None:
                yield group
            group = _Group(number, record, record.recv_ns)
        elif group is not None and record.direction == COMMAND:
            group.commands.append(record.frame)
        elif group is not None and record.direction == FAULT:
            group.fault = _fault_of(record)
    if group is not None:
        group.last = True
        yield group


def _fault_of(record: Row) -> str:
    """Text of a fault that the engine raised; empty for one of the shell, which is not replayed."""
    row = records.decode_plain(record.frame)
    return str(row["text"]) if isinstance(row, dict) and row.get("in_engine") else ""


def _recompute(engine: Engine, group: _Group) -> tuple[list[bytes], str, int]:
    """Commands of one event or the fault that it ends in, and how many have an earlier form there."""
    try:
        commands = engine.handle(event_of(group.row), group.now_ns)
    except Exception as error:  # noqa: BLE001 - a fault is a result here: it is compared and told
        return [], f"{type(error).__name__}: {error}", 0
    if not commands:
        return [], "", 0
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
    nothing = "no further command of this event"
    expected = group.commands[agreed] if agreed < len(group.commands) else None
    computed = got[agreed] if agreed < len(got) else None
    return Difference(
        record=group.record + 1 + agreed,
        event=shown(group.row.frame),
        expected=shown(expected) if expected is not None else group.fault or nothing,
        got=shown(computed) if computed is not None else fault or nothing,
        places=places_of(expected or b"", computed or b""),
    )


def _stopped(engine: Engine, group: _Group) -> Stopped:
    return Stopped(
        record=group.record,
        now_ns=group.now_ns,
        event=records.decode_plain(group.row.frame),
        commands=[records.decode_plain(data) for data in group.commands],
        state=state_of(engine),
    )


def _plain(value: object) -> object:
    """Fit for JSON: NaN, which says that there is no value, as null."""
    match value:
        case Stopped() | Difference():
            return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case bytes():
            return value.hex()
        case float() if not math.isfinite(value):
            return None
        case _:
            return value
