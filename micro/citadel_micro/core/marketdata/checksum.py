"""A venue's checksum of its best levels: CRC32 over the digits as the venue wrote them.

Floats cannot reproduce trailing zeros, so the book keeps the text of each level for the sum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, get_args

from citadel_micro.core.marketdata.book import Style
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.marketdata.book import Book
    from citadel_micro.core.model.events import DepthUpdate

FORMATS: Final[tuple[Style, ...]] = get_args(Style)
_MASK: Final = 0xFFFFFFFF


class Checksum:
    """Verifier of one book.

    Args:
        style: ``kraken`` or ``colon``, as ``Book.checksum`` describes them.
        count: levels of each side that are covered.
    """

    __slots__ = ("_count", "_style", "failed", "passed", "reason")

    def __init__(self, style: Style, count: int) -> None:
        self._style: Final = style
        self._count: Final = count
        self.passed = 0
        self.failed = 0
        self.reason = ""

    def verify(self, update: DepthUpdate, book: Book) -> bool:
        """Whether the book, with the update applied, matches the venue's sum; True without one."""
        expected = update.checksum
        if expected is None:
            return True
        actual = book.checksum(self._style, self._count)
        if actual == expected & _MASK:
            self.passed += 1
            return True
        self.failed += 1
        found = "unknown, because an update came without its text" if actual is None else actual
        self.reason = f"checksum is {found}, the venue says {expected & _MASK}"
        return False


def make_checksum(argument: str) -> Checksum:
    """A verifier from ``FORMAT:LEVELS``. Raises BadInput for anything else."""
    style, _, count = argument.partition(":")
    if style not in FORMATS or not count.isdigit() or int(count) < 1:
        raise BadInput(
            f"{argument!r} is not a checksum",
            where="integrity strategy",
            allowed=", ".join(f"crc:{each}:LEVELS" for each in FORMATS),
        )
    return Checksum(style, int(count))
