"""Unified symbols derived from venues' names: ``BTC/USDT``, ``BTC/USDT:USDT-261225``."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

QUOTES: Final = (
    *("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USD1", "RLUSD", "USDE", "USD", "DAI"),
    *("AEUR", "EURI", "XUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "GBP", "JPY", "AUD"),
    *("ARS", "MXN", "ZAR", "PLN", "RON", "UAH", "IDR", "NGN", "RUB", "COP", "CZK", "CHF", "CAD"),
    *("TRX", "XRP", "DOGE", "SOL", "MNT", "BGB", "U"),
)
"""Quote currencies, for splitting names that are written without a separator."""
_LONGEST_FIRST: Final = tuple(sorted(QUOTES, key=len, reverse=True))

MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


def split_name(name: str) -> tuple[str, str] | None:
    """(base, quote) of a name written without a separator; None when no quote is known."""
    for quote in _LONGEST_FIRST:
        if name.endswith(quote) and len(name) > len(quote):
            return name[: -len(quote)], quote
    return None


def nearest(symbol: str, known: Collection[str], count: int = 3) -> list[str]:
    """The known unified symbols closest to a mistyped one: of the same coin, if there are any.

    Letters alone would put BTG/USDT before BTC/USDC.
    """
    base, _, rest = symbol.upper().partition("/")
    own = [name for name in known if name.partition("/")[0].upper() == base]
    if own:
        return sorted(own, key=lambda name: (-_alike(rest, name.partition("/")[2]), name))[:count]
    joint = symbol.upper().replace("/", "").replace("-", "").replace("_", "")
    same = [name for name in known if joined(name) == joint.partition(":")[0]]
    return same[:count] or difflib.get_close_matches(symbol, known, n=count, cutoff=0.75)


def _alike(one: str, other: str) -> float:
    """Similarity of two names after the slash; the same quote currency counts most."""
    same = one.partition(":")[0] == other.upper().partition(":")[0]
    return same + difflib.SequenceMatcher(None, one, other.upper()).ratio()


def joined(symbol: str, separator: str = "") -> str:
    """Base and quote of a unified symbol, written together."""
    return symbol.partition(":")[0].replace("/", separator)


def settle_of(symbol: str) -> tuple[str, str]:
    """(settle currency, expiry) of a unified symbol; both empty for spot."""
    settle, _, expiry = symbol.partition(":")[2].partition("-")
    return settle, expiry


def month_expiry(text: str) -> str | None:
    """``25DEC26`` or ``3JAN27`` as ``261225``, ``270103``; None for anything else."""
    day, month, year = text[:-5], text[-5:-2], text[-2:]
    if month not in MONTHS or not (day + year).isdigit():
        return None
    return f"{year}{MONTHS.index(month) + 1:02d}{int(day):02d}"


def expiry_month(expiry: str) -> str:
    """``261225`` as ``25DEC26``, the day without a leading zero."""
    return f"{int(expiry[4:6])}{MONTHS[int(expiry[2:4]) - 1]}{expiry[:2]}"
