"""Messages of every venue's market data as documented, and what they decode to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from citadel_micro.shell.marketdata.spec import venue_spec

if TYPE_CHECKING:
    from citadel_micro.shell.marketdata.decode import FeedEvent


AT = 17


def decode(venue: str, *messages: dict[str, Any] | list[Any] | str) -> list[FeedEvent]:
    """Events of messages on one connection."""
    spec = venue_spec(venue)
    decoder = spec.decoder(spec.symbols())
    events: list[FeedEvent] = []
    for message in messages:
        text = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))
        events += decoder.frame(text.encode(), AT)
    return events


OKX_BOOK = {
    "arg": {"channel": "books", "instId": "BTC-USDT"},
    "action": "update",
    "data": [
        {"asks": [["8476.98", "415", "0", "13"]], "bids": [["8476.97", "256", "0", "12"]],
         "ts": "1597026383085", "checksum": 0, "prevSeqId": 10, "seqId": 15},
    ],
}  # fmt: skip


BYBIT_BOOK = {
    "topic": "orderbook.50.BTCUSDT", "type": "delta", "ts": 1672304484978, "cts": 1672304484976,
    "data": {"s": "BTCUSDT", "b": [["30247.20", "30.028"]], "a": [["30248.70", "0"]],
             "u": 177400507, "seq": 66544703342},
}  # fmt: skip


KRAKEN_BOOK = (
    '{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":'
    '[{"price":45283.5,"qty":0.10000000}],"asks":[{"price":45285.2,"qty":0.00000000}],'
    '"checksum":3310070434,"timestamp":"2023-10-06T17:35:55.440295Z"}]}'
)


KRAKEN_FUTURES_BOOK = {
    "feed": "book", "product_id": "PI_XBTUSD", "side": "sell", "seq": 326094134,
    "price": 34981.0, "qty": 0.0, "timestamp": 1612269953629,
}  # fmt: skip


COINBASE_BOOK = {
    "channel": "l2_data", "client_id": "", "timestamp": "2023-02-09T20:32:50.714964855Z",
    "sequence_num": 7,
    "events": [{"type": "update", "product_id": "BTC-USD", "updates": [
        {"side": "bid", "event_time": "2023-02-09T20:32:50Z", "price_level": "21921.73",
         "new_quantity": "0.06317902"},
        {"side": "offer", "event_time": "2023-02-09T20:32:50Z", "price_level": "21921.74",
         "new_quantity": "0"},
    ]}],
}  # fmt: skip


COINBASE_OLD_BOOK = {
    "type": "l2update", "product_id": "BTC-USD", "time": "2019-08-14T20:42:27.265Z",
    "changes": [["buy", "10101.80", "0.162567"], ["sell", "10102.00", "0"]],
}  # fmt: skip


KUCOIN_BOOK = {
    "type": "message", "topic": "/market/level2:BTC-USDT", "subject": "trade.l2update",
    "data": {"changes": {"asks": [["18906", "0.00331", "14103845"], ["0", "0", "14103846"]],
                         "bids": [["18891.9", "0", "14103844"]]},
             "sequenceEnd": 14103846, "sequenceStart": 14103844, "symbol": "BTC-USDT",
             "time": 1663747970273},
}  # fmt: skip


BITGET_BOOK = {
    "action": "snapshot", "arg": {"instType": "SPOT", "channel": "books", "instId": "BTCUSDT"},
    "data": [{"asks": [["26274.9", "0.0009"]], "bids": [["26274.8", "0.05"]],
              "checksum": -1367582038, "seq": 123, "ts": "1695710946294"}],
    "ts": 1695710946294,
}  # fmt: skip


GATE_BOOK = {
    "time": 1606294781, "channel": "spot.order_book_update", "event": "update",
    "result": {"t": 1606294781123, "e": "depthUpdate", "E": 1606294781, "s": "BTC_USDT",
               "U": 48776301, "u": 48776306, "b": [["19137.74", "0.0001"]],
               "a": [["19137.75", "0.6135"]]},
}  # fmt: skip


GATE_CONTRACT_BOOK = {
    "time": 1615366381, "channel": "futures.order_book_update", "event": "update",
    "result": {"t": 1615366381417, "s": "BTC_USDT", "U": 2517661101, "u": 2517661113,
               "b": [{"p": "54672.1", "s": 95}], "a": [{"p": "54743.6", "s": 0}]},
}  # fmt: skip


DERIBIT_BOOK = {
    "jsonrpc": "2.0", "method": "subscription",
    "params": {"channel": "book.BTC-PERPETUAL.100ms", "data": {
        "type": "change", "timestamp": 1554373911330, "prev_change_id": 297217,
        "instrument_name": "BTC-PERPETUAL", "change_id": 297218,
        "bids": [["delete", 5041.94, 0.0], ["change", 5042.34, 10.0]],
        "asks": [["new", 5042.64, 40.0]]}},
}  # fmt: skip


HYPERLIQUID_BOOK = {
    "channel": "l2Book",
    "data": {"coin": "BTC", "time": 1718000000123, "levels": [
        [{"px": "69000.0", "sz": "1.5", "n": 3}], [{"px": "69001.0", "sz": "2.5", "n": 1}]]},
}  # fmt: skip


BINANCE_COINM_BOOK = {
    "stream": "btcusd_perp@depth@100ms",
    "data": {"e": "depthUpdate", "E": 1591270260907, "T": 1591270260891, "s": "BTCUSD_PERP",
             "ps": "BTCUSD", "U": 17285681, "u": 17285702, "pu": 17285675,
             "b": [["9517.6", "10"]], "a": [["9518.5", "45"]]},
}  # fmt: skip


# venue -> a book message and what it means: symbol, snapshot, first, last, prev, bids, asks, ms
BOOKS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "okx": (OKX_BOOK, ("BTC/USDT", False, 15, 15, 10, [(8476.97, 256.0)], [(8476.98, 415.0)],
                       1597026383085)),
    "bybit-linear": (BYBIT_BOOK, ("BTC/USDT:USDT", False, 177400507, 177400507, -1,
                                  [(30247.2, 30.028)], [(30248.7, 0.0)], 1672304484976)),
    "kraken-spot": (KRAKEN_BOOK, ("BTC/USD", False, -1, -1, -1, [(45283.5, 0.1)],
                                  [(45285.2, 0.0)], 1696613755440.295)),
    "kraken-futures": (KRAKEN_FUTURES_BOOK, ("BTC/USD:BTC", False, 326094134, 326094134, -1, [],
                                             [(34981.0, 0.0)], 1612269953629)),
    "coinbase-advanced": (COINBASE_BOOK, ("BTC/USD", False, 7, 7, -1, [(21921.73, 0.06317902)],
                                          [(21921.74, 0.0)], 1675974770714.964855)),
    "coinbase-exchange": (COINBASE_OLD_BOOK, ("BTC/USD", False, -1, -1, -1,
                                              [(10101.8, 0.162567)], [(10102.0, 0.0)],
                                              1565815347265)),
    "kucoin-spot": (KUCOIN_BOOK, ("BTC/USDT", False, 14103844, 14103846, -1, [(18891.9, 0.0)],
                                  [(18906.0, 0.00331)], 1663747970273)),
    "bitget-spot": (BITGET_BOOK, ("BTC/USDT", True, -1, -1, -1, [(26274.8, 0.05)],
                                  [(26274.9, 0.0009)], 1695710946294)),
    "gate-spot": (GATE_BOOK, ("BTC/USDT", False, 48776301, 48776306, -1, [(19137.74, 0.0001)],
                              [(19137.75, 0.6135)], 1606294781123)),
    "gate-usdm": (GATE_CONTRACT_BOOK, ("BTC/USDT:USDT", False, 2517661101, 2517661113, -1,
                                       [(54672.1, 95.0)], [(54743.6, 0.0)], 1615366381417)),
    "deribit": (DERIBIT_BOOK, ("BTC/USD:BTC", False, 297218, 297218, 297217,
                               [(5041.94, 0.0), (5042.34, 10.0)], [(5042.64, 40.0)],
                               1554373911330)),
    "hyperliquid": (HYPERLIQUID_BOOK, ("BTC/USDC:USDC", True, 1718000000123, 1718000000123, -1,
                                       [(69000.0, 1.5)], [(69001.0, 2.5)], 1718000000123)),
    "binance-coinm": (BINANCE_COINM_BOOK, ("BTC/USD:BTC", False, 17285681, 17285702, 17285675,
                                           [(9517.6, 10.0)], [(9518.5, 45.0)], 1591270260891)),
}  # fmt: skip


TRADES: dict[str, tuple[Any, tuple[str, str, float, float, str, int]]] = {
    "okx": (
        {"arg": {"channel": "trades", "instId": "BTC-USDT"}, "data": [
            {"instId": "BTC-USDT", "tradeId": "130", "px": "42219.9", "sz": "0.12",
             "side": "buy", "ts": "1630048897897", "count": "3"}]},
        ("BTC/USDT", "130", 42219.9, 0.12, "buy", 1630048897897)),
    "bybit-spot": (
        {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1672304486868, "data": [
            {"T": 1672304486865, "s": "BTCUSDT", "S": "Sell", "v": "0.001", "p": "16578.50",
             "L": "PlusTick", "i": "20f4", "BT": False}]},
        ("BTC/USDT", "20f4", 16578.5, 0.001, "sell", 1672304486865)),
    "kraken-spot": (
        {"channel": "trade", "type": "update", "data": [
            {"symbol": "BTC/USD", "side": "sell", "price": 0.5117, "qty": 40.0,
             "ord_type": "market", "trade_id": 4665906, "timestamp": "2023-09-25T07:49:37.708Z"}]},
        ("BTC/USD", "4665906", 0.5117, 40.0, "sell", 1695628177708)),
    "kraken-v1": (
        [0, [["5541.20000", "0.15850568", "1534614057.321597", "s", "l", ""]], "trade", "XBT/USD"],
        ("BTC/USD", "", 5541.2, 0.15850568, "sell", 1534614057321)),
    "kraken-futures": (
        {"feed": "trade", "product_id": "PF_XBTUSD", "uid": "05af", "side": "sell",
         "type": "fill", "seq": 653355, "time": 1612266317519, "qty": 15000, "price": 34969.5},
        ("BTC/USD:USD", "05af", 34969.5, 15000.0, "sell", 1612266317519)),
    "coinbase-advanced": (
        {"channel": "market_trades", "client_id": "", "timestamp": "2023-02-09T20:19:35.39Z",
         "sequence_num": 0, "events": [{"type": "update", "trades": [
             {"trade_id": "12", "product_id": "ETH-USD", "price": "1260.01", "size": "0.3",
              "side": "BUY", "time": "2019-08-14T20:42:27.265Z"}]}]},
        ("ETH/USD", "12", 1260.01, 0.3, "sell", 1565815347265)),
    "coinbase-exchange": (
        {"type": "match", "trade_id": 10, "sequence": 50, "maker_order_id": "a",
         "taker_order_id": "b", "time": "2019-08-14T20:42:27.265Z", "product_id": "BTC-USD",
         "size": "5.23512", "price": "400.23", "side": "sell"},
        ("BTC/USD", "10", 400.23, 5.23512, "buy", 1565815347265)),
    "kucoin-spot": (
        {"type": "message", "topic": "/market/match:BTC-USDT", "subject": "trade.l3match",
         "data": {"symbol": "BTC-USDT", "sequence": "1", "side": "buy", "size": "0.01",
                  "price": "0.083", "takerOrderId": "t", "time": "1545913818099033203",
                  "type": "match", "makerOrderId": "m", "tradeId": "5c24"}},
        ("BTC/USDT", "5c24", 0.083, 0.01, "buy", 1545913818099)),
    "bitget-spot": (
        {"action": "update", "arg": {"instType": "SPOT", "channel": "trade", "instId": "BTCUSDT"},
         "data": [{"ts": "1695709835822", "price": "26293.4", "size": "0.0013", "side": "buy",
                   "tradeId": "1000000000"}], "ts": 1695711090682},
        ("BTC/USDT", "1000000000", 26293.4, 0.0013, "buy", 1695709835822)),
    "bitget-v1": (
        {"action": "update", "arg": {"instType": "SP", "channel": "trade", "instId": "BTCUSDT"},
         "data": [["1632470889087", "10", "0.5", "sell"]]},
        ("BTC/USDT", "", 10.0, 0.5, "sell", 1632470889087)),
    "gate-spot": (
        {"time": 1606292218, "channel": "spot.trades", "event": "update", "result": {
            "id": 309143071, "create_time": 1606292218, "create_time_ms": "1606292218213.4578",
            "side": "sell", "currency_pair": "GT_USDT", "amount": "16.47", "price": "0.4705"}},
        ("GT/USDT", "309143071", 0.4705, 16.47, "sell", 1606292218213)),
    "gate-usdm": (
        {"channel": "futures.trades", "event": "update", "time": 1541503698, "result": [
            {"size": -108, "id": 27753479, "create_time": 1545136464,
             "create_time_ms": 1545136464123, "price": "96.4", "contract": "BTC_USDT"}]},
        ("BTC/USDT:USDT", "27753479", 96.4, 108.0, "sell", 1545136464123)),
    "deribit": (
        {"jsonrpc": "2.0", "method": "subscription", "params": {
            "channel": "trades.BTC-PERPETUAL.100ms", "data": [
                {"trade_seq": 30289442, "trade_id": "48079269", "timestamp": 1590484512188,
                 "tick_direction": 2, "price": 8950.0, "instrument_name": "BTC-PERPETUAL",
                 "index_price": 8955.88, "direction": "sell", "amount": 10.0}]}},
        ("BTC/USD:BTC", "48079269", 8950.0, 10.0, "sell", 1590484512188)),
    "hyperliquid": (
        {"channel": "trades", "data": [
            {"coin": "ETH", "side": "B", "px": "3500.1", "sz": "0.2", "hash": "0x0",
             "time": 1718000000123, "tid": 877707108085800}]},
        ("ETH/USDC:USDC", "877707108085800", 3500.1, 0.2, "buy", 1718000000123)),
}  # fmt: skip


QUOTES: dict[str, tuple[Any, tuple[str, int, float, float, float, float]]] = {
    "okx": (
        {"arg": {"channel": "bbo-tbt", "instId": "BTC-USDT-SWAP"}, "data": [
            {"asks": [["111.06", "55154", "0", "2"]], "bids": [["111.05", "57745", "0", "2"]],
             "ts": "1670324386802", "seqId": 363996337}]},
        ("BTC/USDT:USDT", -1, 111.05, 57745.0, 111.06, 55154.0)),
    "bybit-linear": (
        {"topic": "orderbook.1.BTCUSDT", "type": "snapshot", "ts": 5, "cts": 4, "data": {
            "s": "BTCUSDT", "b": [["10", "1"]], "a": [["11", "2"]], "u": 7, "seq": 8}},
        ("BTC/USDT:USDT", -1, 10.0, 1.0, 11.0, 2.0)),
    "kraken-spot": (
        {"channel": "ticker", "type": "update", "data": [
            {"symbol": "ALGO/USD", "bid": 0.1, "bid_qty": 740.0, "ask": 0.2, "ask_qty": 1361.4}]},
        ("ALGO/USD", -1, 0.1, 740.0, 0.2, 1361.4)),
    "kraken-futures": (
        {"feed": "ticker", "product_id": "PI_XBTUSD", "time": 5, "bid": 34832.5, "ask": 34847.5,
         "bid_size": 42864.0, "ask_size": 2300.0, "volume": 1.0},
        ("BTC/USD:BTC", -1, 34832.5, 42864.0, 34847.5, 2300.0)),
    "coinbase-advanced": (
        {"channel": "ticker", "client_id": "", "timestamp": "2023-02-09T20:30:37.167359596Z",
         "sequence_num": 0, "events": [{"type": "snapshot", "tickers": [
             {"type": "ticker", "product_id": "BTC-USD", "price": "21932.98",
              "best_bid": "21931.98", "best_bid_quantity": "8000.21", "best_ask": "21933.98",
              "best_ask_quantity": "8038.07"}]}]},
        ("BTC/USD", -1, 21931.98, 8000.21, 21933.98, 8038.07)),
    "kucoin-spot": (
        {"type": "message", "topic": "/market/ticker:BTC-USDT", "subject": "trade.ticker",
         "data": {"sequence": "1545", "price": "0.08", "size": "0.011", "bestAsk": "0.08",
                  "bestAskSize": "0.18", "bestBid": "0.049", "bestBidSize": "0.036",
                  "time": 1704873323416}},
        ("BTC/USDT", -1, 0.049, 0.036, 0.08, 0.18)),
    "bitget-spot": (
        {"action": "snapshot", "arg": {"instType": "SPOT", "channel": "ticker",
                                       "instId": "ETHUSDT"},
         "data": [{"instId": "ETHUSDT", "lastPr": "2200.10", "bidPr": "1792", "askPr": "2200.1",
                   "bidSz": "0.0084", "askSz": "19740.8811", "ts": "1695702438018"}], "ts": 1},
        ("ETH/USDT", -1, 1792.0, 0.0084, 2200.1, 19740.8811)),
    "gate-spot": (
        {"time": 1606293275, "channel": "spot.book_ticker", "event": "update", "result": {
            "t": 1606293275123, "u": 48733182, "s": "BTC_USDT", "b": "19177.79", "B": "0.0003341",
            "a": "19179.38", "A": "0.09"}},
        ("BTC/USDT", 48733182, 19177.79, 0.0003341, 19179.38, 0.09)),
    "gate-usdm": (
        {"time": 1615366379, "channel": "futures.book_ticker", "event": "update", "result": {
            "t": 1615366379123, "u": 2517661076, "s": "BTC_USDT", "b": "54696.6", "B": 37000,
            "a": "54696.7", "A": 47061}},
        ("BTC/USDT:USDT", 2517661076, 54696.6, 37000.0, 54696.7, 47061.0)),
    "deribit": (
        {"jsonrpc": "2.0", "method": "subscription", "params": {
            "channel": "quote.BTC-PERPETUAL", "data": {
                "timestamp": 1550658624149, "instrument_name": "BTC-PERPETUAL",
                "best_bid_price": 3914.97, "best_bid_amount": 40.0, "best_ask_price": 3996.61,
                "best_ask_amount": 50.0}}},
        ("BTC/USD:BTC", -1, 3914.97, 40.0, 3996.61, 50.0)),
    "hyperliquid": (
        {"channel": "bbo", "data": {"coin": "BTC", "time": 5, "bbo": [
            {"px": "10.0", "sz": "1.0", "n": 1}, {"px": "11.0", "sz": "2.0", "n": 1}]}},
        ("BTC/USDC:USDC", -1, 10.0, 1.0, 11.0, 2.0)),
}  # fmt: skip


FRAMES: dict[str, list[bytes]] = {}


for _samples in (BOOKS, TRADES, QUOTES):
    for _venue, (_message, _) in _samples.items():
        _text = _message if isinstance(_message, str) else json.dumps(_message)
        FRAMES.setdefault(_venue, []).append(_text.replace(", ", ",").replace(": ", ":").encode())
