"""A watched exchange behaves as the stock one: what goes in, what comes out, what is raised."""

from __future__ import annotations

from typing import Any

import pytest
from freqtrade.exceptions import InvalidOrderException

from citadel_macro.shadow import observer
from citadel_macro.shadow.observer import (
    Canceling,
    Failed,
    Observer,
    Placed,
    Placing,
    PlacingStop,
    Seen,
    Trades,
)

ORDER = {
    "pair": "BTC/USDT",
    "ordertype": "limit",
    "side": "buy",
    "amount": 1.0,
    "rate": 100.0,
    "leverage": 1.0,
    "time_in_force": "GTC",
    "reduceOnly": False,
    "initial_order": True,
}
STOP = {
    "pair": "BTC/USDT",
    "amount": 1.0,
    "stop_price": 90.0,
    "order_types": {},
    "side": "sell",
    "leverage": 1.0,
}


class Stock:
    """An exchange that writes down how it was called, and answers with what it is told to."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.answer: Any = {"id": "7", "status": "open"}

    def _called(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - anything
        self.calls.append((name, args, kwargs))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def create_order(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the others
        return self._called("create_order", args, kwargs)

    def create_stoploss(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self._called("create_stoploss", args, kwargs)

    def cancel_order(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self._called("cancel_order", args, kwargs)

    def fetch_order(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self._called("fetch_order", args, kwargs)

    def fetch_stoploss_order(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self._called("fetch_stoploss_order", args, kwargs)

    def get_trades_for_order(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self._called("get_trades_for_order", args, kwargs)

    def get_rate(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        return self._called("get_rate", args, kwargs)


CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("create_order", (), ORDER),
    ("create_stoploss", (), STOP),
    ("cancel_order", ("7", "BTC/USDT"), {"params": {"a": 1}}),
    ("fetch_order", ("7", "BTC/USDT", {"a": 1}), {}),
    ("fetch_stoploss_order", ("7", "BTC/USDT"), {}),
    ("get_trades_for_order", ("7", "BTC/USDT", 5), {}),
    ("get_rate", ("BTC/USDT",), {"side": "entry", "is_short": False, "refresh": True}),
]


def watched(*, spot: bool = True) -> tuple[Any, Observer]:
    stock: Any = Stock()
    found = Observer(5, spot=spot)
    found.watch(stock)
    return stock, found


def notes(found: Observer) -> list[Any]:
    return [found.notes.get_nowait() for _ in range(found.notes.qsize())]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("name", "args", "kwargs"), CALLS)
def test_calls_and_answers_pass_unchanged(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    full: bool,
) -> None:
    if full:  # nobody takes the notes any more
        monkeypatch.setattr(observer, "MOST_NOTES", 1)
    exchange, found = watched()
    for _ in range(3):
        assert getattr(exchange, name)(*args, **kwargs) is exchange.answer
    assert exchange.calls == [(name, args, kwargs)] * 3
    assert type(exchange) is Stock
    assert (found.lost > 0) is (full and name != "get_rate")
    error = InvalidOrderException("no")
    exchange.answer = error
    with pytest.raises(InvalidOrderException) as raised:
        getattr(exchange, name)(*args, **kwargs)
    assert raised.value is error


def test_what_is_noted_of_an_order() -> None:
    exchange, found = watched()
    exchange.answer = 99.5
    exchange.get_rate("BTC/USDT", side="entry", is_short=False, refresh=True)
    exchange.answer = answer = {"id": "7", "status": "open"}
    exchange.create_order(**ORDER)
    exchange.fetch_order("7", "BTC/USDT")
    exchange.cancel_order("7", "BTC/USDT")
    exchange.get_trades_for_order("7", "BTC/USDT", 5)
    placing, placed, seen, canceling, gone, trades = notes(found)
    assert isinstance(placing, Placing)
    assert (placing.number, placing.pair, placing.amount) == (5, "BTC/USDT", 1.0)
    assert (placing.quoted, placing.entry) == (99.5, True)
    assert placed == Placed(5, answer)
    assert seen == gone == Seen(answer)
    assert isinstance(canceling, Canceling)
    assert canceling.order_id == "7"
    assert trades == Trades("7", answer)


def test_a_failure_is_noted_with_its_order() -> None:
    exchange, found = watched()
    exchange.answer = InvalidOrderException("too small")
    with pytest.raises(InvalidOrderException):
        exchange.create_order(**ORDER)
    with pytest.raises(InvalidOrderException):
        exchange.create_stoploss(**STOP)
    placing, failed, stop, stop_failed = notes(found)
    assert failed == Failed(placing.number, "InvalidOrderException: too small")
    assert isinstance(stop, PlacingStop)
    assert stop_failed.number == stop.number == placing.number + 1


@pytest.mark.parametrize(
    ("spot", "side", "reduces", "entry"),
    [
        (True, "buy", False, True),
        (True, "sell", False, False),
        (False, "sell", False, True),
        (False, "buy", True, False),
    ],
)
def test_entries_and_exits_are_distinguished(
    spot: bool, side: str, reduces: bool, entry: bool
) -> None:
    exchange, found = watched(spot=spot)
    exchange.create_order(**ORDER | {"side": side, "reduceOnly": reduces})
    assert notes(found)[0].entry is entry
