"""Real ccxt objects against a local server that lists markets as the exchanges do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from markets_kit import Exchange

from citadel_micro.adapters.ccxt.fetch import fetch_by_ccxt
from citadel_micro.adapters.ccxt.venues import SOURCES, source_of
from citadel_micro.shell.instruments.rules import plain
from citadel_micro.shell.instruments.sources import RULES
from citadel_micro.shell.marketdata import spec as specs
from citadel_micro.shell.marketdata.spec import venue_ids, venue_spec
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_micro.shell.instruments.markets import MarketList

Row = tuple[str, str, str, str, str, str, str, str]
"""Name in the streams, kind, tick, lot, least quantity, least notional, contract size, taker fee."""

EXPECTED: dict[str, dict[str, Row]] = {
    "binance-spot": {
        "BTC/USDT": ("BTCUSDT", "spot", "0.01", "0.00001", "0.00001", "5", "1", "0.001"),
        "ETH/BTC": ("ETHBTC", "spot", "0.00001", "0.0001", "0.0001", "0.0001", "1", "0.001"),
    },
    "binance-usdm": {
        "BTC/USDT:USDT": ("BTCUSDT", "linear", "0.1", "0.001", "0.001", "100", "1", "0.0005"),
        "BTC/USDT:USDT-261225": (
            "BTCUSDT_261225", "linear", "0.1", "0.001", "0.001", "100", "1", "0.0005",
        ),
    },
    "binance-coinm": {
        "BTC/USD:BTC": ("BTCUSD_PERP", "inverse", "0.1", "1", "1", "0", "100", "0.0005"),
    },
    "okx": {
        "BTC/USDT": ("BTC-USDT", "spot", "0.1", "0.00000001", "0.00001", "0", "1", "0.0015"),
        "SHIB/USDT": ("SHIB-USDT", "spot", "0.000000001", "1", "100000", "0", "1", "0.0015"),
        "BTC/USDT:USDT": ("BTC-USDT-SWAP", "linear", "0.1", "0.01", "0.01", "0", "0.01", "0.0005"),
        "BTC/USD:BTC": ("BTC-USD-SWAP", "inverse", "0.1", "1", "1", "0", "100", "0.0005"),
        "PEPE/USDT:USDT": (
            "PEPE-USDT-SWAP", "linear", "0.000000001", "0.1", "0.1", "0", "10000000", "0.0005",
        ),
        "BTC/USDT:USDT-261225": (
            "BTC-USDT-261225", "linear", "0.1", "0.01", "0.01", "0", "0.01", "0.0005",
        ),
    },
    "bybit-spot": {
        "BTC/USDT": ("BTCUSDT", "spot", "0.1", "0.000001", "0.000011", "5", "1", "0.001"),
    },
    "bybit-linear": {
        "BTC/USDT:USDT": ("BTCUSDT", "linear", "0.1", "0.001", "0.001", "5", "1", "0.0006"),
        "BTC/USDC:USDC": ("BTCPERP", "linear", "0.1", "0.001", "0.001", "5", "1", "0.0006"),
    },
    # One contract is one dollar, whatever the least order is.
    "bybit-inverse": {
        "BTC/USD:BTC": ("BTCUSD", "inverse", "0.5", "1", "10", "0", "1", "0.0006"),
    },
    # BTC/EUR has a tick coarser than its decimals; DOGE a lot no finer than the asset.
    "kraken-spot": {
        "BTC/USD": ("BTC/USD", "spot", "0.1", "0.00000001", "0.00005", "0.5", "1", "0.004"),
        "BTC/EUR": ("BTC/EUR", "spot", "0.5", "0.00000001", "0.00005", "0.5", "1", "0.004"),
        "DOGE/USD": ("DOGE/USD", "spot", "0.0000001", "0.000001", "13", "0.5", "1", "0.004"),
    },
    "kraken-v1": {
        "BTC/USD": ("XBT/USD", "spot", "0.1", "0.00000001", "0.00005", "0.5", "1", "0.004"),
        "BTC/EUR": ("XBT/EUR", "spot", "0.5", "0.00000001", "0.00005", "0.5", "1", "0.004"),
        "DOGE/USD": ("XDG/USD", "spot", "0.0000001", "0.000001", "13", "0.5", "1", "0.004"),
    },
    "kraken-futures": {
        "BTC/USD:USD": ("PF_XBTUSD", "linear", "1", "0.0001", "0.0001", "0", "1", "0.0005"),
        "BTC/USD:BTC": ("PI_XBTUSD", "inverse", "0.5", "1", "1", "0", "1", "0.0005"),
        "PEPE/USD:USD": ("PF_PEPEUSD", "linear", "0.00000001", "1000", "1000", "0", "1", "0.0005"),
    },
    "coinbase-advanced": {
        "BTC/USD": ("BTC-USD", "spot", "0.01", "0.00000001", "0.00000001", "1", "1", "0.012"),
        "TONE/USD": ("TONE-USD", "spot", "0.0001", "1", "27", "1", "1", "0.012"),
    },
    "coinbase-exchange": {
        "BTC/USD": ("BTC-USD", "spot", "0.01", "0.00000001", "0.000016", "1", "1", "0.006"),
    },
    "kucoin-spot": {
        "BTC/USDT": ("BTC-USDT", "spot", "0.1", "0.00000001", "0.00001", "0.5", "1", "0.001"),
    },
    "bitget-spot": {
        "BTC/USDT": ("BTCUSDT", "spot", "0.01", "0.000001", "0.000001", "1", "1", "0.002"),
        "SHIB/USDT": ("SHIBUSDT", "spot", "0.0000000001", "1", "1", "1", "1", "0.002"),
    },
    "gate-spot": {
        "BTC/USDT": ("BTC_USDT", "spot", "0.1", "0.000001", "0.000001", "3", "1", "0.002"),
    },
    "gate-usdm": {
        "BTC/USDT:USDT": ("BTC_USDT", "linear", "0.1", "1", "1", "0", "0.0001", "0.0005"),
        "ETH/USDT:USDT": ("ETH_USDT", "linear", "0.01", "0.1", "0.1", "0", "0.01", "0.0005"),
    },
    # Amounts are dollars (inverse) or coins (linear) already.
    "deribit": {
        "BTC/USD:BTC": ("BTC-PERPETUAL", "inverse", "0.5", "10", "10", "0", "1", "0.0005"),
        "BTC/USDC:USDC": (
            "BTC_USDC-PERPETUAL", "linear", "0.1", "0.0001", "0.0001", "0", "1", "0.0005",
        ),
        "BTC/USD:BTC-261225": ("BTC-25DEC26", "inverse", "2.5", "10", "10", "0", "1", "0.0005"),
        "ETH/BTC": ("ETH_BTC", "spot", "0.0001", "0.0001", "0.0001", "0", "1", "0.0005"),
    },
    # At most five significant digits, and 6 (spot: 8) decimals less those of the size.
    "hyperliquid": {
        "BTC/USDC:USDC": ("BTC", "linear", "1", "0.00001", "0.00001", "10", "1", "0.00045"),
        "KPEPE/USDC:USDC": ("kPEPE", "linear", "0.000001", "1", "1", "10", "1", "0.00045"),
        "PURR/USDC": ("PURR/USDC", "spot", "0.00001", "1", "1", "10", "1", "0.0007"),
        "HYPE/USDC": ("@107", "spot", "0.001", "0.01", "0.01", "10", "1", "0.0007"),
    },
}  # fmt: skip
EXPECTED["bitget-v1"] = EXPECTED["bitget-spot"]

CLOSED = {
    "binance-spot": ["LUNA/USDT"],
    "okx": ["OLD/USDT"],
    "kraken-spot": ["RARE/USD"],
    "coinbase-advanced": ["GONE/USD"],
    "coinbase-exchange": ["OLD/USD"],
    "kucoin-spot": ["KCS/USDT"],
    "gate-spot": ["LEND/USDT"],
    "gate-usdm": ["OLD/USDT:USDT"],
    "hyperliquid": ["MATIC/USDC:USDC"],
    "kraken-v1": ["RARE/USD"],
}
QUOTE_FEES = ("kraken-spot", "kraken-v1", "coinbase-advanced", "coinbase-exchange", "kucoin-spot")


def ask(
    venue: str, change: Callable[[Exchange], object] = lambda _exchange: None
) -> tuple[MarketList, Exchange]:
    async def main() -> tuple[MarketList, Exchange]:
        async with Exchange() as exchange:
            change(exchange)
            return await fetch_by_ccxt(venue, exchange.url, 1), exchange

    return asyncio.run(main())


@pytest.mark.parametrize("venue", venue_ids())
def test_every_venues_rules_are_read_exactly(venue: str) -> None:
    found, exchange = ask(venue)
    assert exchange.unknown == []  # the server knows all that was asked of it
    rows = {
        symbol: (
            each.rules.venue_symbol,
            each.rules.kind,
            *(
                format(plain(number), "f")
                for number in (
                    each.rules.tick,
                    each.rules.lot,
                    each.rules.quantity(each.rules.min_lots),
                    each.rules.min_notional,
                    each.rules.contract_size,
                    each.rules.taker_fee,
                )
            ),
        )
        for symbol, each in found.markets.items()
        if each.active
    }
    assert rows == EXPECTED[venue]
    assert [s for s, each in found.markets.items() if not each.active] == CLOSED.get(venue, [])
    fee_sides = {
        each.rules.fee_side for each in found.markets.values() if each.rules.kind == "spot"
    }
    assert fee_sides <= {"quote" if venue in QUOTE_FEES else "received"}
    assert {each.rules.venue for each in found.markets.values()} == {venue}
    spec = venue_spec(venue)
    for symbol, each in found.markets.items():
        # Hyperliquid's numbered spot pairs and its small k mean nothing by rule: the feed is told.
        if each.rules.venue_symbol[0] not in "@k":
            assert spec.unify(each.rules.venue_symbol) == symbol


def test_what_is_left_out_says_why() -> None:
    found, _ = ask("okx")
    assert found.left_out == {"NEW/USDT": "no tick is given"}
    with pytest.raises(BadInput, match="NEW/USDT cannot be traded: no tick is given"):
        found.instrument("NEW/USDT", 1)
    with pytest.raises(BadInput, match="OLD/USDT cannot be traded: it is listed, but not open"):
        found.instrument("OLD/USDT", 1)
    with pytest.raises(BadInput, match="did you mean BTC/USDT"):
        found.instrument("BTC/USDC", 1)
    deribit, _ = ask("deribit")
    assert deribit.left_out == {"BTC/USD:BTC-261225-100000-C": "options are not supported"}
    gate, _ = ask("gate-usdm")
    assert gate.left_out == {"BTC/USD:BTC": "it is inverse, which is another venue id"}


@pytest.mark.parametrize("venue", ["binance-spot", "binance-usdm", "binance-coinm"])
def test_both_readers_of_binance_agree(venue: str) -> None:
    async def main() -> tuple[MarketList, MarketList]:
        async with Exchange() as exchange:
            own = await RULES.get().fetch(venue, exchange.url)
            return own, await fetch_by_ccxt(venue, exchange.url, own.fetched_ns)

    own, ccxts = asyncio.run(main())
    assert (own.reader, ccxts.reader.split()[0]) == ("exchangeInfo", "ccxt")
    assert own.markets == ccxts.markets


def test_a_generic_venue_has_the_same_corrections() -> None:
    generic, _ = ask("ccxt-kraken")
    own, _ = ask("kraken-spot")
    assert generic.markets["BTC/EUR"].rules.tick == Decimal("0.5")
    for symbol, each in own.markets.items():
        theirs = generic.markets[symbol].rules
        assert replace(theirs, venue="kraken-spot", venue_symbol=each.rules.venue_symbol) == (
            each.rules
        )


def test_significant_digits_take_a_price_from_the_tickers() -> None:
    def bitfinex(exchange: Exchange) -> None:
        pair = [None, None, None, "0.00004", "2000.0", None, None, None, 0.2, 0.1]
        exchange.answers = {
            "/v2/conf/pub:list:currency": [["BTC", "USD"], [], [], [], [], [], [], [], [], [], []],
            "/v2/conf/pub:info:pair": [[["BTCUSD", pair], ["DOGE:USD", pair]]],
            "/v2/conf/pub:info:pair:futures": [[]],
            "/v2/conf/pub:list:pair:margin": [["BTCUSD"]],
            "/v2/tickers": [
                ["tBTCUSD", 64120, 1, 64121, 1, 10, 0.01, 64120.5, 100, 65000, 63000],
                ["tDOGE:USD", 0.21, 1, 0.22, 1, 0, 0.01, 0.21345, 100, 0.3, 0.2],
            ],
        }

    found, exchange = ask("ccxt-bitfinex", bitfinex)
    assert exchange.unknown == []
    btc, doge = (found.markets[symbol].rules for symbol in ("BTC/USD", "DOGE/USD"))
    assert (btc.tick, btc.lot) == (Decimal(1), Decimal("0.00000001"))
    assert (doge.tick, doge.min_lots) == (Decimal("0.00001"), 4000)


def test_a_venue_that_is_down_and_one_that_talks_nonsense() -> None:
    def down(exchange: Exchange) -> None:
        exchange.status = 503

    def html(exchange: Exchange) -> None:
        exchange.answers["instType="] = "<html>"
        for key in list(exchange.answers):
            if key.startswith("instType=") and key != "instType=":
                del exchange.answers[key]

    def empty(exchange: Exchange) -> None:
        for key in exchange.answers:
            if key.startswith("instType="):
                exchange.answers[key] = {"code": "0", "msg": "", "data": []}

    def odd(exchange: Exchange) -> None:
        for key in exchange.answers:
            if key.startswith("instType="):
                exchange.answers[key] = {"code": "0", "msg": "", "data": [5, {"instId": {}}]}

    with pytest.raises(PeerUnavailable, match=r"okx: no list of markets: .*503"):
        ask("okx", down)
    for change in (html, empty, odd):
        with pytest.raises((VenueViolation, PeerUnavailable), match="okx: no "):
            ask("okx", change)
    with pytest.raises(PeerUnavailable, match="no list of markets"):
        asyncio.run(fetch_by_ccxt("okx", "http://127.0.0.1:9", 1))


def test_every_venue_has_a_source_and_unknown_ones_the_nearest_names() -> None:
    assert sorted(SOURCES) == venue_ids()
    with pytest.raises(BadInput, match="did you mean okx"):
        source_of("okex")
    with pytest.raises(BadInput, match="did you mean ccxt-mexc"):
        asyncio.run(fetch_by_ccxt("ccxt-mexx", "http://127.0.0.1:9", 1))


def test_a_venue_that_a_spec_file_added(monkeypatch: pytest.MonkeyPatch) -> None:
    added = replace(venue_spec("okx"), venue="toy", ccxt="okx")
    silent = replace(added, venue="silent", ccxt="")
    known = {**specs._specs(), "toy": added, "silent": silent}
    monkeypatch.setattr(specs, "_specs", lambda: known)

    def all_kinds(exchange: Exchange) -> None:
        exchange.answers["instType=OPTION"] = {"code": "0", "msg": "", "data": []}

    found, _ = ask("toy", all_kinds)
    assert found.markets["BTC/USDT:USDT"].rules.venue_symbol == "BTC-USDT-SWAP"
    with pytest.raises(BadInput, match="instruments file"):
        source_of("silent")
