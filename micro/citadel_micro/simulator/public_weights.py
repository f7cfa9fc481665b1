"""Weights of public requests, by REST path below ``/api/v3``, as Binance spot documents them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DEPTH: Final = ((100, 5), (500, 25), (1000, 50))
_DEEPEST: Final = 250
_SOME, _MANY = 20, 100
_EACH, _EACH_MOST = 4, 200


def _depth(params: Mapping[str, str]) -> int:
    text = params.get("limit", "100")
    levels = int(text) if re.fullmatch("[0-9]{1,9}", text) else 0
    return next((weight for most, weight in _DEPTH if levels <= most), _DEEPEST)


def _day(params: Mapping[str, str]) -> int:
    if params.get("symbol"):
        return 2
    symbols = params.get("symbols")
    count = _MANY + 1 if not symbols else symbols.count(",") + 1
    if count <= _SOME:
        return 2
    return 40 if count <= _MANY else 80


def _last(params: Mapping[str, str]) -> int:
    return 2 if params.get("symbol") else 4


def _each(params: Mapping[str, str]) -> int:
    symbols = params.get("symbols")
    return min(_EACH * (symbols.count(",") + 1 if symbols else 1), _EACH_MOST)


def _flat(weight: int) -> Callable[[Mapping[str, str]], int]:
    return lambda _params: weight


WEIGHTS: Final[dict[str, Callable[[Mapping[str, str]], int]]] = {
    "ping": _flat(1),
    "time": _flat(1),
    "exchangeInfo": _flat(20),
    "depth": _depth,
    "trades": _flat(25),
    "historicalTrades": _flat(25),
    "aggTrades": _flat(4),
    "klines": _flat(2),
    "uiKlines": _flat(2),
    "avgPrice": _flat(2),
    "ticker": _each,
    "ticker/tradingDay": _each,
    "ticker/24hr": _day,
    "ticker/price": _last,
    "ticker/bookTicker": _last,
}
WEBSOCKET_NAMES: Final = {
    "ping": "ping",
    "time": "time",
    "exchangeInfo": "exchangeInfo",
    "depth": "depth",
    "trades.recent": "trades",
    "trades.historical": "historicalTrades",
    "trades.aggregate": "aggTrades",
    "klines": "klines",
    "uiKlines": "uiKlines",
    "avgPrice": "avgPrice",
    "ticker": "ticker",
    "ticker.tradingDay": "ticker/tradingDay",
    "ticker.24hr": "ticker/24hr",
    "ticker.price": "ticker/price",
    "ticker.book": "ticker/bookTicker",
}
"""The websocket API's name of a method: the REST path that answers the same."""
