"""What a change of a book of Kraken's is made of, for frames that are read at once (``shell.marketdata.forms``)."""

from __future__ import annotations

from typing import Final

from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.forms import Shape

_ROW: Final = (b'{"price":', "price", b',"qty":', "size", b"}")


def shape_of(venue: str, name: str, symbol: str, covers: int) -> Shape:
    """The shape of the changes of one book, ``name`` at the venue."""
    fields = (
        venue,
        symbol,
        False,
        -1,
        -1,
        -1,
        None,
        (),
        (),
        0,
        0,
        None,
        covers,
    )
    return Shape(
        event=DepthUpdate,
        fields=fields,
        recv=10,
        holes={
            "bids": ("rows", 7, -1, _ROW),
            "asks": ("rows", 8, -1, _ROW),
            "checksum": ("whole", 6),
            "timestamp": ("time", 9),
        },
        same={"channel": b'"book"', "type": b'"update"', "symbol": b'"%s"' % name.encode()},
        inside=frozenset({"data"}),
        texts=(11, 7, 8),
    )
