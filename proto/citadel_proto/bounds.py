"""How large the numbers and names of a message may be: checked wherever a message is decoded.

A field that decodes but is out of range must not get any farther: times are subtracted and stored,
names are kept, journaled and published again. Every field of every message has one of these types;
a value beyond its bound is a ``DecodeError``, and the frame is counted and dropped.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta

LONGEST_NAME: Final = 128
LONGEST_NUMBER: Final = 128
"""Twice ``codec.MAX_DECIMAL_TEXT``: a signal whose number is merely too long is rejected with a
report, not dropped."""
LONGEST_TEXT: Final = 65_536
"""A setting can be a list of a thousand symbols; micro itself cuts its reasons at 1,000."""
LATEST_NS: Final = 2**63 - 1
"""The largest signed 64-bit number; as a time it is in the year 2262."""
MOST_LEVELS: Final = 1_000

Name = Annotated[str, Meta(max_length=LONGEST_NAME)]
"""An id, a venue, a symbol, a code."""
Scope = Annotated[str, Meta(max_length=2 * LONGEST_NAME)]
"""Several names in one."""
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
"""A reason, for people."""
RawNumber = Annotated[str, Meta(max_length=LONGEST_NUMBER)]
"""Decimal text that the reader checks itself, and answers."""
Number = Annotated[str, Meta(max_length=LONGEST_NUMBER)]
"""Decimal text. The codec checks that it is a finite number with a small exponent, all of a
message's together, since a pattern for each would cost four times as much."""
Time = Annotated[int, Meta(ge=0, le=LATEST_NS)]
"""Nanoseconds since the epoch, or of a monotonic clock."""
Count = Annotated[int, Meta(ge=0, le=LATEST_NS)]
"""A sequence, a revision, a number of things."""
Integer = Annotated[int, Meta(ge=-(2**63), le=LATEST_NS)]
"""A venue's own number, or a difference: either sign, 64 bits."""
Levels = Annotated[bytes, Meta(max_length=16 * MOST_LEVELS)]

LONGEST_PRINTED: Final = 80
"""Bytes of a name that a macro may give: three of them and their separators fit a topic."""


def is_name(text: str) -> bool:
    """Whether micro accepts this as a name: at most 80 bytes of printable text, empty allowed."""
    return len(text.encode("utf-8", "replace")) <= LONGEST_PRINTED and text.isprintable()


def is_symbol(text: str) -> bool:
    """Whether micro accepts this as a symbol: a name without blanks. Coins are not all ASCII."""
    return bool(text) and is_name(text) and not any(map(str.isspace, text))


def cut_name(text: str) -> str:
    """A text cut to the length of a name: for text that only people read, such as a tag."""
    plain = "".join(each if each.isprintable() else "?" for each in text)
    return plain.encode("utf-8", "replace")[:LONGEST_PRINTED].decode(errors="ignore")
