"""Conversion of Binance's symbols and ours, in both directions."""

from __future__ import annotations

import re
from typing import Final

from citadel_micro.shell.marketdata.naming import split_name


def unify_spot(name: str) -> str:
    """Unified symbol of a name on spot; the name itself where it is no pair."""
    pair = split_name(name)
    return name if pair is None else f"{pair[0]}/{pair[1]}"


def unify_usdm(name: str) -> str:
    """The same of a USD-M contract."""
    main, _, expiry = name.partition("_")
    pair = split_name(main)
    if pair is None:
        return name
    return f"{pair[0]}/{pair[1]}:{pair[1]}" + (f"-{expiry}" if expiry else "")


def unify_coinm(name: str) -> str:
    """The same of a COIN-M contract."""
    main, _, expiry = name.partition("_")
    base = main.removesuffix("USD")
    if not expiry or base == main:
        return name  # BTCUSDT and BTCUSD are no contracts of this market
    return f"{base}/USD:{base}" + (f"-{expiry}" if expiry not in ("", "PERP") else "")


def native(symbol: str) -> str:
    """The venue's name of a unified symbol, on spot and USD-M."""
    main, _, rest = symbol.partition(":")
    expiry = rest.partition("-")[2]
    return main.replace("/", "") + (f"_{expiry}" if expiry else "")


def native_coinm(symbol: str) -> str:
    """The same on COIN-M."""
    name = native(symbol)
    return name if "_" in name else f"{name}_PERP"


_REST_SYMBOL: Final = re.compile(r"[?&]symbol=([^&]+)")


def snapshot_symbol(url: str) -> str | None:
    """Symbol in the address of a depth snapshot; None for any other address."""
    found = _REST_SYMBOL.search(url)
    return found.group(1) if found and "/depth" in url else None
