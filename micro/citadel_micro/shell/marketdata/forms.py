"""Learns the form of a stream's frames from one of them, for the compiled reader of forms.

A venue's decoder gives a frame, the event that it is, and which values of it are which fields of the event. The
form is the frame's own text around these values. A later frame that differs from that
text, in its keys, their order or its blanks, is decoded as every frame was before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.decode import DECODE_ERRORS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from citadel_micro.core.marketdata._forms import Form, Part, Row
    from citadel_micro.core.marketdata.sequencing import ConnectionSequence
    from citadel_micro.shell.marketdata.decode import FeedEvent, MarketEvent

Hole = tuple[str, int] | tuple[str, int, int, "Row"]
"""A kind of value of ``core.marketdata._forms``, and its field of the event; -1: it is checked only."""
NO_FIELD: Final = -1
MOST_FORMS: Final = 5_000
"""Forms that one connection learns: Binance allows 1,024 streams; the rest would be garbage."""

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What is known of a kind of frame before one has come.

    Args:
        event: the named tuple that it becomes.
        fields: its fields; those that the frame gives are replaced.
        recv: the number of the field with the time of receipt.
        holes: by key, what the frame's values are.
        same: by key, values that must be these, as JSON; others make it another kind of frame.
        inside: keys whose value is an object, or a list of one, that has values too.
        flags: what true and false stand for.
        rising: two fields of which the first must be below the second.
        copies: pairs of a field and another, whose value it has too.
        texts: (field of the digits of levels, of bids, of asks), where the event has them.
    """

    event: type[tuple[Any, ...]]
    fields: tuple[object, ...]
    recv: int
    holes: Mapping[str, Hole]
    same: Mapping[str, bytes]
    inside: frozenset[str] = frozenset()
    flags: tuple[object, object] = (True, False)
    rising: tuple[int, int] | None = None
    copies: tuple[tuple[int, int], ...] = ()
    texts: tuple[int, int, int] | None = None


def learn(shape: Shape, frame: bytes, event: MarketEvent) -> Form | None:
    """A reader of all frames like this one; None where they cannot be read at once.

    Args:
        shape: what kind of frame it is.
        frame: one of them.
        event: what the decoder of all frames made of it; the form must make the same.
    """
    if kernel.FORM is None:
        return None
    try:
        parts = _joined(shape, frame)
    except DECODE_ERRORS:
        return None
    if len(parts) > MOST_PARTS:
        return None
    form = _form(kernel.FORM, shape, parts)
    # A key that is repeated or escaped, or a blank, is not in what was put together here.
    return form if form.read(frame, event.recv_ns) == (event,) else None


MOST_PARTS: Final = 40
"""Texts and values of a form."""


class Example:
    """A frame as a venue documents it, of which forms for all streams of its channel are made before one has come.

    So the first frame of a stream, and its snapshot, are read at once too. Where a venue writes another frame than this,
    it is of no such form, and forms are learned from those that come.

    Args:
        frame: with ``NAME`` where a stream's frames have the venue's symbol.
        shape: of its event.
        text: what tells its stream, as ``FormDecoder.name`` has it.
    """

    NAME: Final = b"NAME"

    def __init__(self, frame: bytes, shape: Shape, text: bytes) -> None:
        self._frame = frame
        self._shape = shape
        self._parts = _named(_joined(shape, frame))
        self._form: Form | None = None
        self.before, _, self.after = text.partition(self.NAME)
        self.snapshot = bool(shape.fields[_SNAPSHOT])
        # What comes behind the levels tells soon whether a long frame is of this form.
        last = max((at for at, each in enumerate(self._parts) if _lists(each)), default=0)
        self._ends = [each for each in self._parts[last:] if isinstance(each, bytes)]

    def native(self, text: bytes) -> str:
        """The venue's symbol, where this text tells a stream of this channel; else nothing."""
        if not (text.startswith(self.before) and text.endswith(self.after)):
            return ""
        native = text[len(self.before) : len(text) - len(self.after)]
        # One that is escaped is not what it looks like.
        plain = native.isascii() and b'"' not in native and b"\\" not in native
        return native.decode() if plain and native.decode().isprintable() else ""

    def named(self, native: str) -> bytes:
        """The example as a frame of this symbol of the venue."""
        return self._frame.replace(self.NAME, native.encode())

    def fits(self, frame: bytes) -> bool:
        """Whether a frame ends as the example does. Without reading it whole, so it may still be another."""
        end, at = frame[-_END:], 0
        for text in self._ends:
            at = end.find(text, at)
            if at < 0:
                return False
        return True

    def form(self, kind: type[Form], native: str, symbol: str) -> Form:
        """The reader of all frames like it of one symbol."""
        if self._form is None:
            # Those of all streams are made of it, and share what they have in common.
            self._form = _form(kind, self._shape, self._parts, named=_SYMBOL)
        return self._form.renamed(native.encode(), symbol)


def _named(parts: Sequence[Part]) -> list[Part]:
    """The same parts, with the name that is in their text as parts of their own."""
    found: list[Part] = []
    for each in parts:
        if isinstance(each, bytes):
            first, *more = each.split(Example.NAME)
            found.append(first)
            for text in more:
                found += [("name", NO_FIELD), text]
        else:
            found.append(each)
    return found


def _lists(part: Part) -> bool:
    return isinstance(part, tuple) and part[0] in {"pairs", "long pairs", "rows"}


_END: Final = 256
"""What follows the levels in a frame is shorter."""
_SNAPSHOT: Final = DepthUpdate._fields.index("snapshot")
_SYMBOL: Final = DepthUpdate._fields.index("symbol")


def _form(kind: type[Form], shape: Shape, parts: Sequence[Part], named: int = NO_FIELD) -> Form:
    return kind(
        shape.event,
        shape.fields,
        recv=shape.recv,
        parts=parts,
        flags=shape.flags,
        rising=shape.rising,
        copies=shape.copies,
        texts=shape.texts,
        named=named,
    )


def _joined(shape: Shape, frame: bytes) -> list[Part]:
    """The parts of a frame, text that follows text being one. Raises as ``_parts``."""
    parts: list[Part] = []
    text = b""
    for each in _parts(shape, frame):
        if isinstance(each, bytes):
            text += each
        else:
            parts += [text, each]
            text = b""
    return [*parts, text]


def _parts(shape: Shape, members: bytes) -> Iterator[bytes | Hole]:
    """An object's text and the values in it. Raises ValueError where it is another kind of frame."""
    text = b"{"
    for key, raw in _members(members).items():
        yield text + b'"%s":' % key.encode()
        value = bytes(raw)
        if key in shape.same:
            if value != shape.same[key]:
                raise ValueError(f"{key} is another")
            yield value
        elif key in shape.inside:
            listed = value.startswith(b"[")
            yield b"[" if listed else b""
            yield from _parts(shape, value[1:-1] if listed else value)
            yield b"]" if listed else b""
        else:
            yield shape.holes.get(key, ("skip", NO_FIELD))
        text = b","
    yield b"}" if text == b"," else b"{}"


if TYPE_CHECKING:

    class FormDecoder:
        """A decoder of one connection that reads frames of known forms at once.

        What a subclass has in ``decode`` is for all other frames, and adds forms. A form is found
        by the text between two of a frame's quotes, which must tell its stream.

        Args:
            first: the number of one of the quotes, counted from 1.
            last: that of the other.
            sequence: of the messages of a connection, where these are numbered: the next one is noted in it,
                what else is read at once goes to ``unexpected``.
            number: the field of an event that is its message's number.
        """

        def __init__(
            self,
            first: int,
            last: int,
            sequence: ConnectionSequence | None = None,
            number: int = -1,
        ) -> None: ...

        @property
        def forms(self) -> int:
            """How many forms are known."""

        def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
            """Events of one websocket message. Raises VenueViolation only."""

        def quick(self, data: bytes, recv_ns: int) -> tuple[Any] | None:
            """The event of a frame of a known form; None for any other frame. No sequence is looked at."""

        def name(self, data: bytes) -> bytes | None:
            """What tells a frame's stream: the text from the first of the two quotes to the other; None without."""

        def add(self, frame: bytes, form: Form, used: bool = True) -> None:  # noqa: FBT001, FBT002 - compiled
            """Read frames like this one by a form, unless one is known by which one was read.

            Args:
                frame: one of them.
                form: of them.
                used: it has read one; else another takes its place when it is of none that come.
            """

        def decode(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
            """Events of a frame of no known form. Raises VenueViolation only."""

        def unexpected(self, known: tuple[Any]) -> Sequence[FeedEvent]:
            """What to emit for a frame of a known form that is not the next of its connection."""

elif kernel.FORM_DECODER is not None:
    FormDecoder = kernel.FORM_DECODER
else:

    class FormDecoder:
        """The Python twin: no form is ever known."""

        __slots__ = ()
        forms = 0

        def __init__(
            self,
            first: int,
            last: int,
            sequence: ConnectionSequence | None = None,
            number: int = -1,
        ) -> None:
            """Nothing is looked for."""

        def frame(self, data: bytes, recv_ns: int) -> Sequence[FeedEvent]:
            """Events of one websocket message. Raises VenueViolation only."""
            return self.decode(data, recv_ns)

        def quick(self, data: bytes, recv_ns: int) -> None:
            """Never at once."""


class LearningDecoder(FormDecoder):
    """One that tries to learn the form of each stream once. A subclass says its ``shape``.

    Args:
        first, last, sequence, number: see ``FormDecoder``.
        examples: frames of this venue's books.
    """

    __slots__ = ("_examples", "_met", "_tried")

    def __init__(
        self,
        first: int,
        last: int,
        sequence: ConnectionSequence | None = None,
        number: int = NO_FIELD,
        *,
        examples: Iterable[tuple[bytes, Shape]] = (),
    ) -> None:
        super().__init__(first, last, sequence, number)
        self._tried: set[str] = set()
        self._met: set[bytes] = set()
        self._examples: list[Example] = []
        if kernel.FORM is not None:
            self._examples = [
                Example(frame, shape, self.name(frame) or b"") for frame, shape in examples
            ]

    def learn(self, name: str, frame: bytes, event: DepthUpdate) -> None:
        """Learn the form of a stream from a change of its book, at the first one."""
        if name in self._tried or len(self._tried) >= MOST_FORMS:
            return
        self._tried.add(name)
        form = learn(self.shape(name, event), frame, event)
        if form is not None:
            self.add(frame, form)

    def prepare(self, natives: Iterable[str], symbol_of: Callable[[str], str | None]) -> None:
        """Know the forms of these streams before their first frames come, as the first example of their kind has them.

        Frames of streams that are not named, or are written as in another example, are met by ``introduce``.

        Args:
            natives: symbols of the venue.
            symbol_of: as of ``introduce``.
        """
        if kernel.FORM is None:
            return
        first: dict[tuple[bytes, bytes], Example] = {}
        for example in self._examples:
            first.setdefault((example.before, example.after), example)
        for native in tuple(natives)[: MOST_FORMS // 2]:
            for (before, after), example in first.items():
                frame = example.named(native)
                text = before + native.encode() + after
                symbol = symbol_of(native)
                if symbol is None or self.name(frame) != text or example.native(text) != native:
                    continue
                self.add(frame, example.form(kernel.FORM, native, symbol), False)  # noqa: FBT003 - compiled

    def introduce(
        self, frame: bytes, recv_ns: int, symbol_of: Callable[[str], str | None]
    ) -> tuple[Any] | None:
        """The event of a stream's first frame, if it is one as in an example; later ones are read at once then.

        Args:
            frame: of a book.
            recv_ns: its time of receipt.
            symbol_of: gives a venue's symbol ours; None where a frame is not one event.
        """
        if not self._examples or kernel.FORM is None or len(self._met) >= MOST_FORMS:
            return None
        text = self.name(frame)
        if text is None or text in self._met:
            return None
        self._met.add(text)
        for example in self._examples:
            native = example.native(text)
            symbol = symbol_of(native) if native else None
            if symbol is None or not example.fits(frame):
                continue
            form = example.form(kernel.FORM, native, symbol)
            known: tuple[Any] | None = form.read(frame, recv_ns)
            if known is not None:
                self.add(frame, form)
                if not example.snapshot:
                    self._tried.add(native)
                # Of several ways in which a frame may be written the venue has one, most likely.
                if example is not self._examples[0]:
                    self._examples = [
                        example,
                        *(each for each in self._examples if each is not example),
                    ]
                return known
        return None

    def shape(self, name: str, event: DepthUpdate) -> Shape:
        """What the changes of this book are made of."""
        raise NotImplementedError
