"""What a change of a book of Coinbase Advanced is made of, for frames that are read at once (``shell.marketdata.forms``)."""

from __future__ import annotations

from typing import Final

from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.forms import Shape

_ROW: Final = (
    b'{"side":"',
    ("side", b'bid"', b'offer"'),
    b',"event_time":',
    "skip",
    b',"price_level":',
    "quoted price",
    b',"new_quantity":',
    "quoted size",
    b"}",
)


def shape_of(venue: str, name: str, symbol: str) -> Shape:
    """The shape of the changes of one book, ``name`` at the venue."""
    return Shape(
        event=DepthUpdate,
        fields=(venue, symbol, False, 0, 0, -1, None, (), (), 0, 0, None, 0),
        recv=10,
        holes={
            "timestamp": ("time", 9),
            "sequence_num": ("whole", 3),
            "updates": ("rows", 7, 8, _ROW),
        },
        same={
            "channel": b'"l2_data"',
            "type": b'"update"',
            "product_id": b'"%s"' % name.encode(),
        },
        inside=frozenset({"events"}),
        copies=((4, 3),),
    )
