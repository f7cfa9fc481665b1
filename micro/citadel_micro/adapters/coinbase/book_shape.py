"""What a change of a book of Coinbase Advanced is made of, for frames that are read at once (``shell.marketdata.forms``).

Source of the examples: the venue's page "Advanced Trade WebSocket Channels", channel level2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.forms import Example, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

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


_EXAMPLE: Final = (
    b'{"channel":"l2_data","client_id":"","timestamp":"2023-02-09T20:32:50.714964855Z","sequence_num":0,'
    b'"events":[{"type":"%s","product_id":"NAME","updates":['
    b'{"side":"bid","event_time":"1970-01-01T00:00:00Z","price_level":"21921.73","new_quantity":"0.06317902"},'
    b'{"side":"offer","event_time":"1970-01-01T00:00:00Z","price_level":"21921.74","new_quantity":"0.02"}]}]}'
)


def shape_of(venue: str, name: str, symbol: str, *, snapshot: bool = False) -> Shape:
    """The shape of the changes of one book, ``name`` at the venue, or of its snapshots."""
    return Shape(
        event=DepthUpdate,
        fields=(venue, symbol, snapshot, 0, 0, -1, None, (), (), 0, 0, None, 0),
        recv=10,
        holes={
            "timestamp": ("time", 9),
            "sequence_num": ("whole", 3),
            "updates": ("rows", 7, 8, _ROW),
        },
        same={
            "channel": b'"l2_data"',
            "type": b'"snapshot"' if snapshot else b'"update"',
            "product_id": b'"%s"' % name.encode(),
        },
        inside=frozenset({"events"}),
        copies=((4, 3),),
    )


def examples(venue: str) -> Iterator[tuple[bytes, Shape]]:
    """Frames as the venue documents them."""
    for kind in (b"snapshot", b"update"):
        shape = shape_of(venue, Example.NAME.decode(), "", snapshot=kind == b"snapshot")
        yield _EXAMPLE % kind, shape
