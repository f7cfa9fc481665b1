"""Price levels from the venues' JSON, for decoders: compiled, or by msgspec.

A decoder leaves the levels of a frame as they are (``msgspec.Raw``), which checks their JSON at next to
no cost, and parses them here. The result equals a list of (price, size), each
the float nearest to the digits, with a price in (0, 1e18] and a size in [0, 1e18]. Everything else
raises one of ``decode.DECODE_ERRORS``.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from citadel_micro.core.marketdata import kernel
from citadel_micro.shell.marketdata.decode import Level, Price, Size

if TYPE_CHECKING:
    from citadel_micro.core.model.events import Levels, TextLevels

NONE: Final = msgspec.Raw(b"[]")
"""No levels: the default of a field that may be absent."""
MOST_DIGITS: Final = 31
"""Characters that a price or size may have where its digits are kept."""


class _LongLevel(msgspec.Struct, array_like=True, gc=False):
    """More entries may follow."""

    price: Price
    size: Size


class _RawLevel(msgspec.Struct, array_like=True, gc=False):
    price: msgspec.Raw
    size: msgspec.Raw


_pairs: Final = msgspec.json.Decoder(list[Level], strict=False).decode
_long_pairs: Final = msgspec.json.Decoder(list[_LongLevel], strict=False).decode
_raw_pairs: Final = msgspec.json.Decoder(list[_RawLevel]).decode


def _digits(raw: msgspec.Raw) -> str:
    text = str(raw, "ascii").strip('"')
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number has more than {MOST_DIGITS} digits")
    return text


def _python_pairs(raw: msgspec.Raw, *, more: bool = False) -> Levels:
    return [(each.price, each.size) for each in _long_pairs(raw)] if more else _pairs(raw)


def _python_text_pairs(raw: msgspec.Raw, *, more: bool = False) -> tuple[Levels, TextLevels]:
    levels = _python_pairs(raw, more=more)
    return levels, [(_digits(each.price), _digits(each.size)) for each in _raw_pairs(raw)]


@cache
def _objects_decoder(fields: tuple[tuple[str, str], ...], kind: str) -> Any:  # noqa: ANN401
    """Decoder of a list of objects; ``fields`` are (name of ours, name of the venue's)."""
    kinds: dict[str, Any] = {"price": Price, "size": Size, "side": str}
    row = msgspec.defstruct(
        "Row",
        [(name, msgspec.Raw if kind == "raw" else kinds[name]) for name, _ in fields],
        rename=dict(fields),
        gc=False,
    )
    return msgspec.json.Decoder(list[row], strict=kind == "bare").decode  # type: ignore[valid-type]


def _fields(price_key: bytes, size_key: bytes) -> tuple[tuple[str, str], ...]:
    return ("price", price_key.decode()), ("size", size_key.decode())


def _python_objects(raw: msgspec.Raw, price_key: bytes, size_key: bytes) -> Levels:
    rows = _objects_decoder(_fields(price_key, size_key), "lax")(raw)
    return [(each.price, each.size) for each in rows]


def _python_text_objects(
    raw: msgspec.Raw, price_key: bytes, size_key: bytes
) -> tuple[Levels, TextLevels]:
    fields = _fields(price_key, size_key)
    levels = [(each.price, each.size) for each in _objects_decoder(fields, "bare")(raw)]
    rows = _objects_decoder(fields, "raw")(raw)
    return levels, [(_digits(each.price), _digits(each.size)) for each in rows]


def _python_sides(
    raw: msgspec.Raw, price_key: bytes, size_key: bytes, *, side_key: bytes, bid: bytes, ask: bytes
) -> tuple[Levels, Levels]:
    fields = (*_fields(price_key, size_key), ("side", side_key.decode()))
    sides: dict[str, list[tuple[float, float]]] = {bid.decode(): [], ask.decode(): []}
    for each in _objects_decoder(fields, "lax")(raw):
        sides[each.side].append((each.price, each.size))
    return sides[bid.decode()], sides[ask.decode()]


PYTHON: Final = {
    "pairs": _python_pairs,
    "text_pairs": _python_text_pairs,
    "objects": _python_objects,
    "text_objects": _python_text_objects,
    "sides": _python_sides,
}
"""The Python twin of each reader."""

if TYPE_CHECKING:

    def pairs(raw: msgspec.Raw, *, more: bool = False) -> Levels:
        """Levels of a list of [price, size]; with ``more``, other entries may follow these."""

    def text_pairs(raw: msgspec.Raw, *, more: bool = False) -> tuple[Levels, TextLevels]:
        """As ``pairs``, and the digits of the same levels, of at most ``MOST_DIGITS`` each."""

    def objects(raw: msgspec.Raw, price_key: bytes, size_key: bytes) -> Levels:
        """Levels of a list of objects that hold price and size under these keys."""

    def text_objects(
        raw: msgspec.Raw, price_key: bytes, size_key: bytes
    ) -> tuple[Levels, TextLevels]:
        """As ``objects``, with digits; the numbers are not in quotes."""

    def sides(
        raw: msgspec.Raw,
        price_key: bytes,
        size_key: bytes,
        *,
        side_key: bytes,
        bid: bytes,
        ask: bytes,
    ) -> tuple[Levels, Levels]:
        """(bids, asks) of a list of objects that also name their side, as ``bid`` or ``ask``."""

elif kernel.COMPILED:
    from citadel_micro.core.marketdata._levels import (
        objects,
        pairs,
        sides,
        text_objects,
        text_pairs,
    )
else:
    pairs, text_pairs = _python_pairs, _python_text_pairs
    objects, text_objects = _python_objects, _python_text_objects
    sides = _python_sides
