"""What a change of a book of Kraken's is made of, for frames that are read at once (``shell.marketdata.forms``).

Source of the examples: the venue's page "Book (Level 2)" of its websocket API v2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.forms import Example, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROW: Final = (b'{"price":', "price", b',"qty":', "size", b"}")


_EXAMPLE: Final = (
    b'{"channel":"book","type":"%s","data":[{"symbol":"NAME","bids":[{"price":0.5666,"qty":4831.75496356}],'
    b'"asks":[{"price":0.5668,"qty":4410.79769741}],"checksum":2439117997%s}]}'
)
_TIME: Final = b',"timestamp":"2023-10-06T17:35:55.440295Z"'


def shape_of(venue: str, name: str, symbol: str, covers: int, *, snapshot: bool = False) -> Shape:
    """The shape of the changes of one book, ``name`` at the venue, or of its snapshots."""
    return Shape(
        event=DepthUpdate,
        fields=(venue, symbol, snapshot, -1, -1, -1, None, (), (), 0, 0, None, covers),
        recv=10,
        holes={
            "bids": ("rows", 7, -1, _ROW),
            "asks": ("rows", 8, -1, _ROW),
            "checksum": ("whole", 6),
            "timestamp": ("time", 9),
        },
        same={
            "channel": b'"book"',
            "type": b'"snapshot"' if snapshot else b'"update"',
            "symbol": b'"%s"' % name.encode(),
        },
        inside=frozenset({"data"}),
        texts=(11, 7, 8),
    )


def examples(venue: str, covers: int) -> Iterator[tuple[bytes, Shape]]:
    """Frames as the venue documents them; a snapshot may have no time."""
    name = Example.NAME.decode()
    for kind, time in ((b"snapshot", b""), (b"snapshot", _TIME), (b"update", _TIME)):
        shape = shape_of(venue, name, "", covers, snapshot=kind == b"snapshot")
        yield _EXAMPLE % (kind, time), shape
