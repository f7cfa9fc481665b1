"""Where a replay differs from its journal, in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from citadel_micro.shell.journal import records
from citadel_proto.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SHOWN: Final = 2_000
"""Characters of one command that are printed; a longer one is cut."""
_MOST: Final = 20
"""Places of one command that are listed."""
_NOTHING: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The first place where the replay differs from the journal."""

    record: int
    """Number of the record in the file, from 1 (the header is 0)."""
    event: str
    """The event being handled."""
    expected: str
    """What the journal holds there."""
    got: str
    """What was computed."""
    places: tuple[str, ...] = ()
    """Of two commands of one kind: each field that differs, ``name: journal's -> computed``."""


def places_of(expected: bytes, got: bytes) -> tuple[str, ...]:
    """The fields in which two commands differ; empty for commands of different kinds."""
    try:
        one, other = records.decode_plain(expected), records.decode_plain(got)
    except DecodeError:
        return ()
    match one, other:
        case [str() as kind, before], [str() as name, after] if kind == name:
            found = list(_walk("", before, after))
        case _:
            return ()
    more = len(found) - _MOST
    return (*found[:_MOST], *([f"and {more} more"] if more > 0 else []))


def shown(data: bytes) -> str:
    """A record as text, cut to what a person reads."""
    text = repr(records.decode_plain(data))
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _walk(path: str, one: object, other: object) -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in dict.fromkeys((*one, *other)):
            inner = f"{path}.{name}" if path else str(name)
            yield from _walk(inner, one.get(name, _NOTHING), other.get(name, _NOTHING))
    elif isinstance(one, list) and isinstance(other, list):
        for place in range(max(len(one), len(other))):
            left = one[place] if place < len(one) else _NOTHING
            right = other[place] if place < len(other) else _NOTHING
            yield from _walk(f"{path}[{place}]", left, right)
    elif type(one) is not type(other) or one != other:
        yield f"{path or 'value'}: {_value(one)} -> {_value(other)}"


def _value(value: object) -> str:
    text = "nothing" if value is _NOTHING else repr(value)
    return text if len(text) <= 200 else text[:199] + "…"  # noqa: PLR2004 - what fits a line or two
