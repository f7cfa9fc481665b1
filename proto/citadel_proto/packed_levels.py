"""Levels of a book as messages carry them: little-endian float64 pairs of price and size, 16 bytes a level."""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING, Final

from citadel_proto.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterable

_LEVEL_BYTES: Final = 16
_BIG_ENDIAN: Final = array("H", [1]).tobytes() == b"\x00\x01"


def pack_levels(levels: Iterable[tuple[float, float]]) -> bytes:
    """Pack (price, size) pairs."""
    flat = array("d", chain.from_iterable(levels))
    if _BIG_ENDIAN:
        flat.byteswap()
    return flat.tobytes()


def unpack_levels(packed: bytes) -> list[tuple[float, float]]:
    """Undo ``pack_levels``; for readers without numpy.

    Raises:
        DecodeError: when the bytes are not whole levels.
    """
    flat = _floats(packed)
    return list(zip(flat[0::2], flat[1::2], strict=True))


def sum_of_levels(bids: bytes, asks: bytes) -> float:
    """All prices and sizes of both sides added: finite only if every one is.

    Raises:
        DecodeError: when the bytes are not whole levels.
    """
    if _BIG_ENDIAN or len(bids) % _LEVEL_BYTES or len(asks) % _LEVEL_BYTES:
        return sum(_floats(bids)) + sum(_floats(asks))
    return sum(memoryview(bids + asks).cast("d"))


def _floats(packed: bytes) -> array[float]:
    if len(packed) % _LEVEL_BYTES:
        raise DecodeError(f"levels of {len(packed)} bytes are not pairs of float64")
    flat = array("d")
    flat.frombytes(packed)
    if _BIG_ENDIAN:
        flat.byteswap()
    return flat
