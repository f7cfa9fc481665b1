"""Binance's own list, ``exchangeInfo``, read without ccxt.

It is one request whose answer is checked field by field: a missing filter is a violation
here, and silently no limit elsewhere. Nothing of ccxt (100 MB, half a second) has to be loaded for
the venue that most runs use. A test checks that both readers give the same rules.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell.http.public import fetch
from citadel_micro.shell.instruments.markets import Market, MarketList
from citadel_micro.shell.instruments.rules import Kind, make_instrument
from citadel_proto.errors import BadInput, VenueViolation

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument

REQUEST_TIMEOUT_S: Final = 20.0

INFO_PATHS: Final = {
    "binance-spot": "/api/v3/exchangeInfo",
    "binance-usdm": "/fapi/v1/exchangeInfo",
    "binance-coinm": "/dapi/v1/exchangeInfo",
}


class _Filter(msgspec.Struct):
    filterType: str  # noqa: N815 - the venue's names
    tickSize: Decimal = Decimal(0)  # noqa: N815
    stepSize: Decimal = Decimal(0)  # noqa: N815
    minQty: Decimal = Decimal(0)  # noqa: N815
    minNotional: Decimal = Decimal(0)  # noqa: N815
    notional: Decimal = Decimal(0)


class _Symbol(msgspec.Struct):
    symbol: str
    baseAsset: str  # noqa: N815
    quoteAsset: str  # noqa: N815
    filters: list[_Filter]
    status: str = ""
    contractStatus: str = ""  # noqa: N815
    contractType: str = ""  # noqa: N815
    marginAsset: str = ""  # noqa: N815
    contractSize: Decimal = Decimal(1)  # noqa: N815


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


_exchange_info: Final = msgspec.json.Decoder(_ExchangeInfo)


def binance_instruments(venue: str, body: bytes) -> list[Instrument]:
    """Instruments of a Binance ``exchangeInfo`` answer that are open for trading.

    Raises VenueViolation for anything that is not one.
    """
    return [each.rules for each in binance_markets(venue, body)[0].values() if each.active]


def binance_markets(venue: str, body: bytes) -> tuple[dict[str, Market], dict[str, str]]:
    """(markets by unified symbol, why others are left out) of an ``exchangeInfo`` answer.

    Raises VenueViolation for anything that is not one, and for a market open for trading
    without a price or a lot filter.
    """
    try:
        symbols = _exchange_info.decode(body).symbols
    except (msgspec.MsgspecError, ValueError) as error:
        raise VenueViolation(f"{venue}: exchangeInfo is not as documented: {error}") from None
    markets: dict[str, Market] = {}
    left_out: dict[str, str] = {}
    for each in symbols:
        active = "TRADING" in (each.status, each.contractStatus)
        try:
            rules = _binance_instrument(venue, each)
        except BadInput as error:  # invalid steps
            left_out[each.symbol] = str(error)
        except VenueViolation as error:
            if active:
                raise
            left_out[each.symbol] = str(error)
        else:
            if active or not markets.get(rules.symbol):
                markets[rules.symbol] = Market(rules=rules, active=active)
    return markets, left_out


async def fetch_exchange_info(venue: str, root: str, source: str, now_ns: int) -> MarketList:
    """The list of a Binance venue.

    Args:
        venue: venue id.
        root: REST root to fetch from.
        source: the same where it is not the venue's own, else empty.
        now_ns: wall clock, ns since the epoch.

    Raises PeerUnavailable when it does not answer, VenueViolation for an invalid answer.
    """
    body = await get(root.rstrip("/") + INFO_PATHS[venue])
    markets, left_out = binance_markets(venue, body)
    return MarketList(
        venue=venue,
        source=source,
        reader="exchangeInfo",
        fetched_ns=now_ns,
        markets=markets,
        left_out=left_out,
    )


def _binance_instrument(venue: str, each: _Symbol) -> Instrument:
    filters = {entry.filterType: entry for entry in each.filters}
    try:
        tick, lot = filters["PRICE_FILTER"].tickSize, filters["LOT_SIZE"]
    except KeyError as error:
        raise VenueViolation(f"{venue}: {each.symbol} has no {error.args[0]} filter") from None
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL")
    kind: Kind = "spot"
    symbol, settle = f"{each.baseAsset}/{each.quoteAsset}", each.quoteAsset
    if venue != "binance-spot":
        settle = each.marginAsset or each.quoteAsset
        kind = "inverse" if settle == each.baseAsset else "linear"
        expiry = each.symbol.partition("_")[2]
        symbol += f":{settle}" + (f"-{expiry}" if expiry not in ("", "PERP") else "")
    return make_instrument(
        venue=venue,
        symbol=symbol,
        native=each.symbol,
        kind=kind,
        tick=tick,
        lot=lot.stepSize,
        min_quantity=lot.minQty,
        min_notional=max(notional.minNotional, notional.notional) if notional else Decimal(0),
        contract_size=each.contractSize if kind == "inverse" else Decimal(1),
    )


async def get(url: str) -> bytes:
    """The body of an answer. Raises PeerUnavailable when there is none, or an error instead."""
    return await fetch(url, timeout_s=REQUEST_TIMEOUT_S)
