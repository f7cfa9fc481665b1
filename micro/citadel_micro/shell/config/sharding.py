"""One of several micros for the same macros: which pairs of the configuration are its own."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

OWN: Final = "own"
"""All pairs of this configuration, and no others."""
_SHARE: Final = re.compile(r"([1-9]\d?)/([1-9]\d?)")


def is_shard(text: str) -> bool:
    """Whether a text says which share a micro takes: nothing, ``own``, or ``K/N`` with K up to N."""
    if text in {"", OWN}:
        return True
    found = share(text)
    return found is not None and found[0] <= found[1]


def share(shard: str) -> tuple[int, int] | None:
    """Which share, and of how many; None for ``own`` or nothing."""
    found = _SHARE.fullmatch(shard)
    return None if found is None else (int(found[1]), int(found[2]))


def share_of(symbol: str, shares: int) -> int:
    """The share, from 1, that a symbol falls to.

    It depends on the symbol alone, so that a list that grows moves none of the others, and one share more
    moves only what falls to it (rendezvous hashing).
    """
    return max(range(1, shares + 1), key=lambda share: _weight(symbol, share))


def takes(shard: str, symbol: str) -> bool:
    """Whether a symbol of the configuration is this micro's own."""
    found = share(shard)
    return found is None or share_of(symbol, found[1]) == found[0]


def taken(shard: str, symbols: Iterable[str]) -> list[str]:
    """The symbols that are this micro's own."""
    return [symbol for symbol in symbols if takes(shard, symbol)]


def _weight(symbol: str, share: int) -> bytes:
    return hashlib.blake2b(f"{share} {symbol}".encode(), digest_size=8).digest()
