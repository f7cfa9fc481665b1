"""Inspecting a tape without its schema: counts, a dump, a check of its checksums.

Bodies are read with the msgpack package, not with our schema, so a tape of any version is readable.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgpack  # type: ignore[import-untyped]
import msgspec

from citadel_proto import tape, topics
from citadel_proto.errors import DecodeError
from citadel_proto.market_deltas import GROUP, KINDS
from citadel_proto.market_deltas_read import read_deltas

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAMES: Final = {
    tape.SIGNALS: "signals",
    tape.MARKET: "market",
    tape.EVENT: "event",
    tape.COMMAND: "command",
    tape.MARKET_EVENTS: "market-events",
}


def info(reader: tape.TapeReader, records: Iterable[tape.Record] | None = None) -> dict[str, Any]:
    """Header, counts per direction and kind, time span, and the state of the end.

    Args:
        reader: the tape.
        records: its records, where somebody watches how they are read.
    """
    counts: Counter[str] = Counter()
    first = last = size = 0
    for record in reader.records() if records is None else records:
        first = first or record.recv_ns
        last = record.recv_ns
        size += len(record.frame)
        counts[f"{name_of(record.direction)} {_kind(record)}".rstrip()] += 1
    return {
        "header": msgspec.to_builtins(reader.header),
        "records": sum(counts.values()),
        "blocks": reader.blocks,
        "frame_bytes": size,
        "first_ns": first,
        "last_ns": last,
        "seconds": round((last - first) / 1e9, 3),
        "counts": dict(sorted(counts.items())),
        "tail": tail_of(reader),
    }


def dump(reader: tape.TapeReader) -> Iterator[dict[str, Any]]:
    """One plain object per record, fit for JSON: bytes as hex, NaN and infinities as text.

    Market events of a journal, which share a record, are one each.
    """
    for record in reader.records():
        if record.direction == tape.MARKET_EVENTS:
            yield from _market_events(record)
            continue
        row: dict[str, Any] = {
            "direction": name_of(record.direction),
            "recv_ns": record.recv_ns,
        }
        body = record.frame
        if record.direction in {tape.SIGNALS, tape.MARKET}:
            try:
                topic, body = topics.split(record.frame)
            except DecodeError:
                yield row | {"undecodable": record.frame.hex()}
                continue
            row["topic"] = topic.decode("utf-8", "replace")
        try:
            message = msgpack.unpackb(body, strict_map_key=False)
        # The package raises nearly anything for broken bytes; its own documentation says to catch
        # ValueError for unpackb, and its C code also lets these three out.
        except (ValueError, TypeError, RecursionError, msgpack.UnpackException):
            yield row | {"undecodable": body.hex()}
        else:
            yield row | {"message": _plain(message)}


def _market_events(record: tape.Record) -> Iterator[dict[str, Any]]:
    row = {"direction": name_of(tape.EVENT)}
    try:
        for now_ns, kind, fields in read_deltas(record.frame):
            what = ["frame", *fields] if kind == GROUP else [KINDS[kind], _plain(fields)]
            yield row | {"recv_ns": now_ns, "message": what}
    except DecodeError:
        broken = {"recv_ns": record.recv_ns, "undecodable": record.frame.hex()}
        yield {"direction": name_of(record.direction)} | broken


def tail_of(reader: tape.TapeReader) -> dict[str, Any] | None:
    """The truncated end as plain data, None for a tape that ends properly."""
    tail = reader.tail
    if tail is None:
        return None
    return {
        "offset": tail.offset,
        "lost_bytes": tail.lost,
        "reason": tail.reason,
        "damaged": tail.damaged,
    }


def name_of(direction: int) -> str:
    """Direction as a word; a journal's further kinds are letters."""
    letter = chr(direction) if chr(direction).isalpha() else f"direction-{direction}"
    return _NAMES.get(direction, letter)


def _kind(record: tape.Record) -> str:
    if record.direction not in {tape.SIGNALS, tape.MARKET}:
        return ""
    topic, separator, _ = record.frame[: topics.MAX_TOPIC + 1].partition(b"\0")
    return topic.partition(b"/")[0].decode("utf-8", "replace") if separator else "(no topic)"


def _plain(value: Any) -> Any:  # noqa: ANN401 - anything that msgpack can hold
    match value:
        case bytes():
            return value.hex()
        case float() if not math.isfinite(value):
            return str(value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {str(_plain(key)): _plain(item) for key, item in value.items()}
        case None | bool() | int() | float() | str():
            return value
        case _:  # extension and timestamp types, which our messages do not use
            return repr(value)
