from __future__ import annotations

import asyncio
import gzip
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from citadel_micro.adapters.binance.instruments import binance_instruments
from citadel_micro.shell.instruments.capture import infer_instruments, instruments_for_capture
from citadel_micro.shell.instruments.file import read_instruments
from citadel_micro.shell.instruments.load import load_instruments
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from pathlib import Path

SPOT: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000", "minPrice": "0.01"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000", "minQty": "0.00002000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
    ],
}
USDM: dict[str, Any] = {
    **SPOT,
    "contractType": "PERPETUAL",
    "marginAsset": "USDT",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ],
}
COINM: dict[str, Any] = {
    "symbol": "BTCUSD_PERP",
    "contractStatus": "TRADING",
    "contractType": "PERPETUAL",
    "baseAsset": "BTC",
    "quoteAsset": "USD",
    "marginAsset": "BTC",
    "contractSize": 100,
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "stepSize": "1", "minQty": "1"},
    ],
}


def info(*symbols: dict[str, Any]) -> bytes:
    return json.dumps({"timezone": "UTC", "symbols": symbols}).encode()


def test_spot_rules_are_read_exactly() -> None:
    (btc,) = binance_instruments("binance-spot", info(SPOT))
    assert (btc.symbol, btc.venue_symbol, btc.kind, btc.fee_side) == (
        "BTC/USDT", "BTCUSDT", "spot", "received",
    )  # fmt: skip
    assert (str(btc.tick), str(btc.lot), btc.min_lots) == ("0.01", "0.00001", 2)
    assert btc.min_notional == Decimal(5)


def test_futures_rules_are_read_exactly() -> None:
    quarter = {**USDM, "symbol": "BTCUSDT_261225", "contractType": "CURRENT_QUARTER"}
    perpetual, delivery = binance_instruments("binance-usdm", info(USDM, quarter))
    assert (perpetual.symbol, perpetual.kind, perpetual.settle) == (
        "BTC/USDT:USDT",
        "linear",
        "USDT",
    )
    assert (str(perpetual.tick), perpetual.min_notional) == ("0.1", Decimal(100))
    assert perpetual.fee_side == "quote"
    assert delivery.symbol == "BTC/USDT:USDT-261225"
    (inverse,) = binance_instruments("binance-coinm", info(COINM))
    assert (inverse.symbol, inverse.kind) == ("BTC/USD:BTC", "inverse")
    assert inverse.contract_size == 100


def test_what_is_not_trading_is_left_out() -> None:
    assert binance_instruments("binance-spot", info({**SPOT, "status": "BREAK"})) == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"symbols":[{"symbol":5}]}'])
def test_another_answer_is_a_violation(body: bytes) -> None:
    with pytest.raises(VenueViolation, match="exchangeInfo"):
        binance_instruments("binance-spot", body)


def test_missing_filters_are_a_violation() -> None:
    with pytest.raises(VenueViolation, match="LOT_SIZE"):
        binance_instruments("binance-spot", info({**SPOT, "filters": SPOT["filters"][:1]}))


def test_loading_from_a_venue_over_http(tmp_path: Path) -> None:
    async def main() -> None:
        async def answer(_request: web.Request) -> web.Response:
            return web.Response(body=info(SPOT))

        app = web.Application()
        app.router.add_get("/api/v3/exchangeInfo", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        root = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            found = await load_instruments("binance-spot", ["BTC/USDT"], rest_url=root)
            assert list(found) == [("binance-spot", "BTC/USDT")]
            with pytest.raises(BadInput, match="did you mean BTC/USDT"):
                await load_instruments("binance-spot", ["BTC/USDC"], rest_url=root)
            with pytest.raises(PeerUnavailable, match="404"):
                await load_instruments("binance-usdm", ["BTC/USDT:USDT"], rest_url=root)
            own = tmp_path / "own.toml"
            own.write_text(
                '[[instrument]]\nvenue = "binance-spot"\nsymbol = "BTC/USDT"\n'
                'tick = "0.5"\nlot = "1"\n'
            )
            found = await load_instruments("binance-spot", ["BTC/USDT"], rest_url=root, file=own)
            assert found["binance-spot", "BTC/USDT"].tick == Decimal("0.5")
        finally:
            await runner.cleanup()
        with pytest.raises(PeerUnavailable, match="cannot fetch"):
            await load_instruments("binance-spot", ["BTC/USDT"], rest_url=root)

    asyncio.run(main())


def test_a_file_of_instruments(tmp_path: Path) -> None:
    path = tmp_path / "instruments.json"
    entry = {
        "venue": "binance-usdm",
        "symbol": "BTC/USDT:USDT",
        "tick": "0.1",
        "lot": "0.001",
        "min_quantity": "0.002",
        "min_notional": "100",
        "taker_fee": "0.0004",
    }
    path.write_text(json.dumps({"instrument": [entry]}))
    btc = read_instruments(path)["binance-usdm", "BTC/USDT:USDT"]
    assert (btc.kind, btc.venue_symbol, btc.min_lots) == ("linear", "BTCUSDT", 2)
    assert (btc.maker_fee, btc.taker_fee) == (Decimal("0.0002"), Decimal("0.0004"))


def test_who_takes_reduce_only_orders_below_the_minimum_notional(tmp_path: Path) -> None:
    path = tmp_path / "instruments.toml"
    text = ""
    for venue, symbol, more in (
        ("binance-usdm", "BTC/USDT:USDT", ""),
        ("binance-usdm", "ETH/USDT:USDT", "reduce_only_exempt_min_notional = false"),
        ("binance-spot", "BTC/USDT", ""),
        ("bybit-linear", "BTC/USDT:USDT", ""),
        ("bybit-linear", "ETH/USDT:USDT", "reduce_only_exempt_min_notional = true"),
    ):
        text += f'[[instrument]]\nvenue = "{venue}"\nsymbol = "{symbol}"\n'
        text += f'tick = "0.1"\nlot = "0.001"\nmin_notional = "100"\n{more}\n'
    path.write_text(text)
    found = read_instruments(path)
    assert [each.reduce_only_exempt_min_notional for each in found.values()] == [
        *(True, False, False),
        *(False, True),
    ]
    btc = found["binance-usdm", "BTC/USDT:USDT"]
    assert (btc.min_lots_at(500_000), btc.min_lots_at(500_000, reduce_only=True)) == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            (
                '[[instrument]]\nvenue = "binance-spot"\nsymbol = "A/B"\ntick = "1"\nlot = "1"\n'
                'reduce_only_exempt_min_notional = "yes"\n'
            ),
            "allowed: true or false",
        ),
        ("instrument = 5", "no list of instruments"),
        ("[[instruments]]\n", "no list of instruments"),
        ("[[instrument]]\nvenue =", "not a TOML file"),
        ('[[instrument]]\nvenue = "binance-spot"\n', "instrument 1: symbol is missing"),
        ("[[instrument]]\ntik = 1\n", "unknown key 'tik'.*did you mean tick"),
        (
            '[[instrument]]\nvenue = "binance-spot"\nsymbol = "A/B"\ntick = 0.01\nlot = "1"\n',
            "tick: 0.01 is not exact",
        ),
        (
            '[[instrument]]\nvenue = "binance-spot"\nsymbol = "A/B"\ntick = "nan"\nlot = "1"\n',
            "tick: nan is not finite",
        ),
        (
            '[[instrument]]\nvenue = "binance-spot"\nsymbol = "A/B"\ntick = "-1"\nlot = "1"\n',
            "tick is -1",
        ),
        (
            '[[instrument]]\nvenue = "binance-spot"\nsymbol = "A/B"\ntick = "x"\nlot = "1"\n',
            "'x' is not a number",
        ),
        ('[[instrument]]\nvenue = "mtgox"\nsymbol = "A/B"\ntick = "1"\nlot = "1"\n', "mtgox"),
        (
            (
                '[[instrument]]\nvenue = "binance-spot"\nsymbol = "A/B"\ntick = "1"\nlot = "1"\n'
                'kind = "future"\n'
            ),
            "kind is 'future'",
        ),
    ],
)
def test_a_wrong_file_says_where_and_what(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "instruments.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=message):
        read_instruments(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot read it"):
        read_instruments(tmp_path / "none.toml")


def capture(path: Path, prices: list[str], sizes: list[str]) -> Path:
    lines = []
    for number, (price, size) in enumerate(zip(prices, sizes, strict=True)):
        data = {"e": "depthUpdate", "E": 1, "s": "ABCUSDT", "U": number, "u": number}
        frame = {"stream": "abcusdt@depth", "data": {**data, "b": [[price, size]], "a": []}}
        text = json.dumps(frame)
        lines.append(json.dumps({"recv_ns": number, "kind": "frame", "conn": 0, "text": text}))
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_the_grid_is_inferred_from_decimals(tmp_path: Path) -> None:
    path = capture(
        tmp_path / "c.jsonl.gz",
        ["10.0500", "10.1000", "10.2500", "11.0000"],
        ["0.300", "0.600", "1.500", "0.000"],
    )
    ((key, found),) = infer_instruments(path, "binance-spot").items()
    assert key == ("binance-spot", "ABC/USDT")
    assert (found.tick, found.lot, found.min_lots) == (Decimal("0.05"), Decimal("0.3"), 1)
    assert (found.min_notional, found.venue_symbol) == (Decimal(0), "ABCUSDT")


def test_a_few_old_sizes_finer_than_the_lot_do_not_count(tmp_path: Path) -> None:
    sizes = ["0.010"] * 400 + ["0.0123456"]
    path = capture(tmp_path / "c.jsonl.gz", ["10.01"] * 401, sizes)
    (found,) = infer_instruments(path, "binance-spot").values()
    assert found.lot == Decimal("0.01")


def test_a_file_goes_before_inference_and_it_is_said(tmp_path: Path) -> None:
    path = capture(tmp_path / "c.jsonl.gz", ["10.01"], ["1.0"])
    own = tmp_path / "own.toml"
    own.write_text(
        '[[instrument]]\nvenue = "binance-spot"\nsymbol = "ABC/USDT"\ntick = "0.5"\nlot = "1"\n'
    )
    found, source = instruments_for_capture(path, "binance-spot", "ABC/USDT", own)
    assert (found.tick, source) == (Decimal("0.5"), "file own.toml")
    _, source = instruments_for_capture(path, "binance-spot", "ABC/USDT")
    assert source == "inferred from the capture's decimals"
    with pytest.raises(BadInput, match="did you mean ABC/USDT"):
        instruments_for_capture(path, "binance-spot", "ABC/USD", own)


def test_rules_of_real_captures(shared_dir: Path) -> None:
    folder = shared_dir / "captures"
    expected = {
        ("binance-usdm-btcusdt-20240808", "binance-usdm", "BTC/USDT:USDT"): ("0.1", "0.001"),
        ("binance-spot-btcusdt-20240808", "binance-spot", "BTC/USDT"): ("0.01", "0.00001"),
    }
    for (name, venue, symbol), (tick, lot) in expected.items():
        found = infer_instruments(folder / f"{name}.jsonl.gz", venue, [symbol])[venue, symbol]
        assert (found.tick, found.lot) == (Decimal(tick), Decimal(lot))
