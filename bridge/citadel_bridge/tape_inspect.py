"""Looking into a tape without knowing its messages: counts, a dump, a check of its checksums.

Bodies are read with the msgpack package, not with our schema, so a tape of any version can be seen.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgpack  # type: ignore[import-untyped]
import msgspec

from citadel_proto import tape, topics
from citadel_proto.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES: Final = {
    tape.SIGNALS: "signals",
    tape.MARKET: "market",
    tape.EVENT: "event",
    tape.COMMAND: "command",
}


def info(reader: tape.TapeReader) -> dict[str, Any]:
    """Header, counts per direction and kind, time span, and the state of the end."""
    counts: Counter[str] = Counter()
    first = last = size = 0
    for record in reader.records():
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
    """One plain object per record, fit for JSON: bytes as hex, NaN and infinities as text."""
    for record in reader.records():
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


def tail_of(reader: tape.TapeReader) -> dict[str, Any] | None:
    """The torn tail as plain data, None for a tape that ends properly."""
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
