"""Freqtrade's names of exchanges, mapped to venues of micro."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_VENUES: Final[dict[str, tuple[str, str]]] = {
    "binance": ("binance-spot", "binance-usdm"),
    "binanceusdm": ("binance-usdm", "binance-usdm"),
    "bitget": ("bitget-spot", ""),
    "bybit": ("bybit-spot", "bybit-linear"),
    "coinbase": ("coinbase-advanced", ""),
    "coinbaseadvanced": ("coinbase-advanced", ""),
    "coinbaseexchange": ("coinbase-exchange", ""),
    "deribit": ("deribit", "deribit"),
    "gate": ("gate-spot", "gate-usdm"),
    "gateio": ("gate-spot", "gate-usdm"),
    "hyperliquid": ("hyperliquid", "hyperliquid"),
    "kraken": ("kraken-spot", "kraken-futures"),
    "krakenfutures": ("kraken-futures", "kraken-futures"),
    "kucoin": ("kucoin-spot", ""),
    "okx": ("okx", "okx"),
}
"""Venue id of spot and of futures. Empty or missing: micro has no feed of its own."""

FREQTRADE_NAMES: Final = {"huboi": "htx", "huobi": "htx"}
"""Names that Freqtrade accepts under another name than ccxt's."""


def venue_of(config: Mapping[str, Any]) -> str:
    """Venue id for the exchange and trading mode of a configuration (``binance-spot``).

    An exchange without a feed of micro's own has the id ``ccxt-<name>``. An entity for
    some countries (``myokx``, ``bybiteu``, ``binanceus``) is such an exchange: its books are not
    those of the one it is named after.
    """
    name = str(config.get("exchange", {}).get("name", "")).lower()
    mode = config.get("trading_mode", "spot")
    futures = str(getattr(mode, "value", mode)) == "futures"
    return _VENUES.get(name, ("", ""))[futures] or f"ccxt-{FREQTRADE_NAMES.get(name, name)}"


def why_not_served(venue: str, served: Collection[str]) -> str:
    """The error when micro is connected but lacks ``venue``."""
    if not served:
        return f"it has reported no venue yet, waiting for {venue!r}"
    listed = ", ".join(sorted(served))
    near = difflib.get_close_matches(venue, sorted(served), n=1, cutoff=0.4) or sorted(served)[:1]
    return (
        f"it has no venue {venue!r}, only {listed}. Add it to micro's configuration "
        f"([venues.{venue}]), or set citadel.venue = {near[0]!r} if that is the exchange meant"
    )
