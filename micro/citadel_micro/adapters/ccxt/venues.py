"""Which of ccxt's lists holds the rules of a venue, and the corrections it needs.

Corrections are made where ccxt's field is not the number that orders and books of that venue use;
each gives its source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.ccxt.instruments import (
    Fix,
    Raw,
    Terms,
    Unusable,
    exact,
    near,
    no_fix,
)
from citadel_micro.shell.instruments.rules import FeeSide, Kind
from citadel_micro.shell.marketdata.generic import is_generic
from citadel_micro.shell.marketdata.spec import PREFIX, venue_spec
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping


Name = Callable[[str, Raw], str]
"""(venue, market) -> the symbol in the venue's streams; Unusable where they have none."""

_ALL: Final[tuple[Kind, ...]] = ("spot", "linear", "inverse")


def by_id(_venue: str, market: Raw) -> str:
    """Ccxt's ``id`` is the name in the streams as well."""
    return str(market["id"])


def by_rule(venue: str, market: Raw) -> str:
    """The name that the venue's own spec makes of the symbol, if it converts back to the symbol."""
    spec, symbol = venue_spec(venue), str(market["symbol"])
    name = spec.native(symbol)
    if spec.unify(name) != symbol:
        raise Unusable(f"the streams of {venue} have no such symbol")
    return name


def _upper_id(_venue: str, market: Raw) -> str:
    return str(market["id"]).upper()


def _hyperliquid_name(_venue: str, market: Raw) -> str:
    # Perpetuals are numbered in orders and named in streams.
    return str(market["id"] if market.get("spot") else market["baseName"])


# --- corrections --------------------------------------------------------------------------------


def _kraken(info: Raw, terms: Terms) -> None:
    # AssetPairs: ``tick_size``, "minimum increment between valid price levels", may be coarser
    # than ``pair_decimals``, which is all that ccxt reads.
    terms.tick = exact(info.get("tick_size"), "tick_size") or terms.tick


def _deribit(_info: Raw, terms: Terms) -> None:
    # "amount: for perpetual and inverse futures the amount is in USD units, for options and linear
    # futures it is the underlying base currency coin", in orders and books alike. ccxt's contracts
    # are not used as a unit anywhere.
    terms.contract_size = Decimal(1)


def _bybit(info: Raw, terms: Terms) -> None:
    # Inverse contracts are worth one dollar, in orders (``qty``) and books. ccxt gives the minimum
    # order as the size of a contract.
    if str(info.get("contractType", "")).startswith("Inverse"):
        terms.contract_size = Decimal(1)


def _okx(info: Raw, terms: Terms) -> None:
    # The value of a contract is ctVal x ctMult; ccxt takes the first alone.
    terms.contract_size *= exact(info.get("ctMult"), "ctMult") or Decimal(1)


def _kucoin(info: Raw, terms: Terms) -> None:
    # ``minFunds``: minimum value of any order; ``quoteMinSize``, which ccxt uses, is for market ones.
    least = near(info.get("minFunds"), "minFunds")
    terms.min_notional = max(terms.min_notional, least or Decimal(0))


def _coinbase(info: Raw, terms: Terms) -> None:
    # ccxt looks at ``trading_disabled`` (Advanced) or ``status`` (Exchange) alone.
    closed = ("trading_disabled", "is_disabled", "view_only", "cancel_only")
    if any(info.get(word) for word in closed) or info.get("status") not in ("online", "", None):
        terms.active = False
    least = near(info.get("base_min_size"), "base_min_size")
    terms.min_quantity = max(terms.min_quantity, least or Decimal(0))


def _gate(info: Raw, terms: Terms) -> None:
    # ccxt marks a pair active that is for borrowing only, and a contract being delisted.
    if info.get("trade_status", "tradable") != "tradable" or info.get("in_delisting"):
        terms.active = False


FIXES: Final[Mapping[str, Fix]] = {
    "bybit": _bybit,
    "coinbase": _coinbase,
    "coinbaseexchange": _coinbase,
    "deribit": _deribit,
    "gate": _gate,
    "kraken": _kraken,
    "kucoin": _kucoin,
    "okx": _okx,
}
"""By ccxt's id of the exchange."""

QUOTE_FEES: Final = ("coinbase", "coinbaseexchange", "kraken", "kucoin")
"""Exchanges that take spot fees in quote currency on both sides, unless configured otherwise."""


# --- the table ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One of ccxt's lists.

    Args:
        exchange: ccxt's id.
        kinds: which of its markets are of this venue.
        types: which parts of the list to fetch, in ccxt's terms; empty for ccxt's default.
        name: the symbol in the streams.
        currencies: its list needs that of its currencies.
    """

    exchange: str
    kinds: tuple[Kind, ...] = _ALL
    types: tuple[str, ...] = ()
    name: Name = by_id
    currencies: bool = False

    @property
    def fix(self) -> Fix:
        """Corrections of this exchange."""
        return FIXES.get(self.exchange, no_fix)

    @property
    def fee_side(self) -> FeeSide | None:
        """For spot fees, where not in the received currency."""
        return "quote" if self.exchange in QUOTE_FEES else None


# Kraken's amounts are no finer than its assets' own decimals, hence its currencies.
_KRAKEN: Final = Source(exchange="kraken", kinds=("spot",), name=by_rule, currencies=True)
_BITGET: Final = Source(exchange="bitget", kinds=("spot",), types=("spot",))
_PERPETUALS: Final[tuple[Kind, ...]] = ("linear", "inverse")

SOURCES: Final[Mapping[str, Source]] = {
    "binance-spot": Source(exchange="binance", kinds=("spot",), types=("spot",)),
    "binance-usdm": Source(exchange="binance", kinds=("linear",), types=("linear",)),
    "binance-coinm": Source(exchange="binance", kinds=("inverse",), types=("inverse",)),
    "okx": Source(exchange="okx", types=("spot", "swap", "future")),
    "bybit-spot": Source(exchange="bybit", kinds=("spot",), types=("spot",)),
    "bybit-linear": Source(exchange="bybit", kinds=("linear",), types=("linear",)),
    "bybit-inverse": Source(exchange="bybit", kinds=("inverse",), types=("inverse",)),
    "kraken-spot": _KRAKEN,
    "kraken-v1": _KRAKEN,
    "kraken-futures": Source(exchange="krakenfutures", kinds=_PERPETUALS, name=_upper_id),
    "coinbase-advanced": Source(exchange="coinbase", kinds=("spot",)),
    "coinbase-exchange": Source(exchange="coinbaseexchange", kinds=("spot",)),
    "kucoin-spot": Source(exchange="kucoin", kinds=("spot",), types=("spot",)),
    "bitget-spot": _BITGET,
    "bitget-v1": _BITGET,
    "gate-spot": Source(exchange="gate", kinds=("spot",), types=("spot",)),
    "gate-usdm": Source(exchange="gate", kinds=("linear",), types=("swap", "future")),
    "deribit": Source(exchange="deribit"),
    "hyperliquid": Source(
        exchange="hyperliquid",
        kinds=("spot", "linear"),
        types=("spot", "swap"),
        name=_hyperliquid_name,
    ),
}


def source_of(venue: str) -> Source:
    """Where the rules of a venue are listed.

    Raises BadInput, with the nearest names, for an unknown venue, and for one without a known
    list.
    """
    if is_generic(venue):
        return Source(exchange=venue.removeprefix(PREFIX), currencies=True)
    found = SOURCES.get(venue)
    if found is not None:
        return found
    exchange = venue_spec(venue).ccxt
    if not exchange:
        raise BadInput(
            f"no list of trading rules is known for {venue}",
            where=f"venue {venue}",
            mend="give an instruments file that has them, or name ccxt's exchange in its spec",
        )
    return Source(exchange=exchange, name=by_rule)
