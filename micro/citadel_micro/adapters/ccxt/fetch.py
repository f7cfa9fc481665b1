"""Fetches a venue's list of markets through ccxt.

ccxt returns numbers as binary floats. ``instruments.exact`` converts them to the exact decimals that
the venue sent; ccxt's own switch to text is not used, because its comparisons then compare text.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from citadel_micro.adapters.ccxt.generic_feed import exchange_class
from citadel_micro.adapters.ccxt.instruments import (
    SIGNIFICANT_DIGITS,
    Unusable,
    exact,
    market_of,
)
from citadel_micro.adapters.ccxt.venues import Source, source_of
from citadel_micro.shell.instruments.markets import Market, MarketList
from citadel_micro.shell.marketdata.generic import is_generic
from citadel_proto.errors import PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REQUEST_TIMEOUT_S: Final = 20.0

Exchange = Any
"""An object of ccxt, which has no useful types."""


async def fetch_by_ccxt(venue: str, rest_url: str, now_ns: int) -> MarketList:
    """All markets of a venue.

    Args:
        venue: venue id, or ``ccxt-<exchange>``.
        rest_url: REST root instead of the venue's own hosts; empty for those.
        now_ns: wall clock, ns since the epoch.

    Raises:
        BadInput: unknown venue, or one without a list.
        PeerUnavailable: it does not answer.
        VenueViolation: it answers with invalid data.
    """
    import ccxt  # noqa: PLC0415 - half a second and 100 MB that most runs need not pay

    source = source_of(venue)
    plain = exchange_class(venue) if is_generic(venue) else _async_class(source.exchange)
    try:
        markets, prices, mode = await _load(plain, source, rest_url.rstrip("/"))
    except Exception as error:  # noqa: BLE001 - somebody else's code: it is told whose fault it is
        raise _told(venue, error) from None
    return _list(
        MarketList(
            venue=venue,
            source=rest_url,
            reader=f"ccxt {ccxt.__version__}",
            fetched_ns=now_ns,
            markets={},
        ),
        source,
        markets,
        prices,
        mode,
    )


def _told(venue: str, error: Exception) -> PeerUnavailable | VenueViolation:
    import ccxt  # noqa: PLC0415 - is there, or we would not be

    words = f"{venue}: no list of markets: {type(error).__name__}: {error}"[:500]
    if isinstance(error, ccxt.NetworkError | OSError | TimeoutError):
        return PeerUnavailable(words)
    return VenueViolation(words)


def _async_class(name: str) -> Callable[..., Exchange]:
    import ccxt.async_support  # noqa: PLC0415 - as above

    made: Callable[..., Exchange] = getattr(ccxt.async_support, name)
    return made


async def _load(
    plain: Any,  # noqa: ANN401 - a class of ccxt
    source: Source,
    root: str,
) -> tuple[list[dict[str, Any]], dict[str, Decimal], int]:
    """(markets, current prices where the tick depends on them, precision mode)."""

    class Moved(plain):  # type: ignore[misc]  # untyped
        async def fetch(self, url: str, *rest: Any, **more: Any) -> Any:  # noqa: ANN401 - ccxt's own
            return await super().fetch(_moved(url, root) if root else url, *rest, **more)

    settings: dict[str, Any] = {"enableRateLimit": True, "timeout": int(REQUEST_TIMEOUT_S * 1000)}
    exchange: Exchange = Moved(settings)
    try:
        if source.types:
            given = exchange.options.get("fetchMarkets")
            kept = given if isinstance(given, dict) else {}
            exchange.options["fetchMarkets"] = {**kept, "types": list(source.types)}
        if not source.currencies:
            exchange.has["fetchCurrencies"] = False
        await exchange.load_markets()
        mode = int(exchange.precisionMode)
        prices: dict[str, Decimal] = {}
        if mode == SIGNIFICANT_DIGITS:
            tickers = await exchange.fetch_tickers()
            prices = {symbol: _price(ticker) for symbol, ticker in tickers.items()}
        return list(exchange.markets.values()), prices, mode
    finally:
        await exchange.close()


def _price(ticker: Mapping[str, Any]) -> Decimal:
    for name in ("last", "bid", "ask"):
        try:
            price = exact(ticker.get(name), name)
        except Unusable:
            continue
        if price:
            return price
    return Decimal(0)


def _moved(url: str, root: str) -> str:
    """The same path on another host."""
    host, parts = urlsplit(root), urlsplit(url)
    return urlunsplit((host.scheme, host.netloc, host.path + parts.path, parts.query, ""))


def _list(
    empty: MarketList,
    source: Source,
    raw: list[dict[str, Any]],
    prices: Mapping[str, Decimal],
    mode: int,
) -> MarketList:
    markets: dict[str, Market] = {}
    left_out: dict[str, str] = {}
    for each in raw:
        symbol = str(each.get("symbol"))
        try:
            market = market_of(
                empty.venue,
                each,
                mode=mode,
                name=source.name(empty.venue, each),
                fix=source.fix,
                fee_side=source.fee_side,
                price=prices.get(symbol),
            )
        except Unusable as why:
            left_out[symbol] = str(why)
            continue
        except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            left_out[symbol] = f"ccxt describes it in an unknown way: {error!r}"
            continue
        if market.rules.kind in source.kinds:
            markets[symbol] = market
        else:
            left_out[symbol] = f"it is {market.rules.kind}, which is another venue id"
    if not markets:
        first = next(iter(left_out.values()), "the list is empty")
        raise VenueViolation(f"{empty.venue}: no market that could be traded on: {first}")
    return MarketList(
        venue=empty.venue,
        source=empty.source,
        reader=empty.reader,
        fetched_ns=empty.fetched_ns,
        markets=markets,
        left_out=left_out,
    )
