"""The connections that carry the books, and when each was last proven alive.

A quiet pair sends nothing, so its book's last change says little about whether the book is
current. The stream does: any later message of the same connection, a pong as much as another
symbol's update, follows in order everything that the venue had sent before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citadel_micro.core.model.events import StreamProof

WHOLE_VENUE: Final = -1
"""Stream number of books whose connection is not known."""


class Stream:
    """One connection, shared by all books that it carries: a proof costs the same for one or 1,000."""

    __slots__ = ("proof_ns",)

    def __init__(self) -> None:
        self.proof_ns = 0
        """When it was last proven alive; 0 when never."""


class Streams:
    """The streams of one engine, by venue and number. Grows with the connections of the feeds."""

    def __init__(self) -> None:
        self._streams: dict[tuple[str, int], Stream] = {}

    def of(self, venue: str, number: int) -> Stream:
        """The stream of this number, created at its first use."""
        return self._streams.setdefault((venue, number), Stream())

    def on_proof(self, proof: StreamProof, now_ns: int) -> None:
        """The connection received something. A stream that no book uses proves nothing."""
        stream = self._streams.get((proof.venue, proof.stream))
        if stream is not None:
            # Never from the future, or a clock that is set back would leave every book proven.
            stream.proof_ns = max(stream.proof_ns, min(proof.recv_ns, now_ns))
