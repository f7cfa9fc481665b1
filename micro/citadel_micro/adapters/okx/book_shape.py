"""What OKX's frames of a book are made of, for frames that are read at once (``shell.marketdata.forms``).

Source of the examples: the venue's page "Order book channel", which shows the two numbers in either order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.forms import Example, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from citadel_micro.shell.marketdata.forms import Hole

_INSIDE: Final = frozenset({"arg", "data"})
_START: Final = (
    b'{"arg":{"channel":"books","instId":"NAME"},"action":"%s","data":[{"asks":[["8476.98","415","0","13"]],'
    b'"bids":[["8476.97","256","0","12"]],"ts":"1597026383085","checksum":%s,'
)
_ENDS: Final = (b'"prevSeqId":%s,"seqId":123457}]}', b'"seqId":123457,"prevSeqId":%s}]}')


def shape_of(
    venue: str,
    name: str,
    symbol: str,
    *,
    checked: bool,
    numbered: bool = True,
    snapshot: bool = False,
) -> Shape:
    """The shape of the changes of one book, ``name`` at the venue, or of its snapshots.

    Args:
        venue: of its events.
        name: of the book.
        symbol: of its events.
        checked: they have a checksum: today's is always 0, which is none. With one the digits are kept.
        numbered: they have numbers.
        snapshot: it is of snapshots, which have no number before theirs.
    """
    holes: dict[str, Hole] = {
        "bids": ("long pairs", 7),
        "asks": ("long pairs", 8),
        "ts": ("quoted millis", 9),
        "seqId": ("whole", 3),
        "prevSeqId": ("whole", 5),
    }
    same = {
        "channel": b'"books"',
        "instId": b'"%s"' % name.encode(),
        "action": b'"snapshot"' if snapshot else b'"update"',
    }
    if snapshot:
        same["prevSeqId"] = b"-1"
    if checked:
        holes["checksum"] = ("sum", 6)
    else:
        same["checksum"] = b"0"
    return Shape(
        event=DepthUpdate,
        fields=(venue, symbol, snapshot, -1, -1, -1, None, (), (), 0, 0, None, 0),
        recv=10,
        holes=holes,
        same=same,
        inside=_INSIDE,
        copies=((4, 3),) if numbered else (),
        texts=(11, 7, 8) if checked else None,
    )


def examples(venue: str) -> Iterator[tuple[bytes, Shape]]:
    """Frames as the venue documents them."""
    name = Example.NAME.decode()
    for checked, checksum in ((False, b"0"), (True, b"-855196043")):
        for snapshot in (True, False):
            start = _START % (b"snapshot" if snapshot else b"update", checksum)
            shape = shape_of(venue, name, "", checked=checked, snapshot=snapshot)
            for end in _ENDS:
                yield start + end % (b"-1" if snapshot else b"123456"), shape
