"""Watches the orders of a stock exchange of Freqtrade, and changes nothing about them.

The methods of the one object that the bot uses are wrapped; its class stays Freqtrade's own. Each wrapper
calls the stock method with what it was given and returns, or raises, what that did; beside it a note is
put into a queue. Nothing here waits, asks the exchange, or fails: a full queue loses notes, and counts
them.
"""

from __future__ import annotations

import itertools
import queue
import time
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

from citadel_macro.pricing import Quotes

if TYPE_CHECKING:
    from collections.abc import Callable

    from freqtrade.exchange.exchange import Exchange

MOST_NOTES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """Freqtrade is about to place an order: ``number`` names it until the exchange has."""

    number: int
    placed_ns: int
    pair: str
    side: str
    order_type: str
    amount: float
    rate: float
    time_in_force: str
    entry: bool
    quoted: float | None
    """The last rate that Freqtrade made itself for this pair and purpose; None: it made none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacingStop:
    """Freqtrade is about to place a stop at the exchange."""

    number: int
    placed_ns: int
    pair: str
    side: str
    amount: float
    stop_price: float


@dataclass(frozen=True, slots=True)
class Placed:
    """The exchange's answer to an order."""

    number: int
    order: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """An order was not placed, or Freqtrade does not know whether it was."""

    number: int
    error: str


@dataclass(frozen=True, slots=True)
class Canceling:
    """Freqtrade is about to cancel an order."""

    order_id: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What Freqtrade has read of an order."""

    order: Any


@dataclass(frozen=True, slots=True)
class Trades:
    """What Freqtrade has read of an order's fills."""

    order_id: str
    trades: Any


Note = Placing | PlacingStop | Placed | Failed | Canceling | Seen | Trades


class Observer:
    """Wraps exchanges and collects notes.

    Args:
        first: number of the next order.
        spot: whether buys open a position.
    """

    def __init__(self, first: int, *, spot: bool) -> None:
        self.notes: queue.Queue[Note] = queue.Queue(MOST_NOTES)
        self.lost = 0
        """Notes for which there was no room."""
        self._numbers = itertools.count(first)
        self._spot = spot
        self._quotes = Quotes()

    def watch(self, exchange: Exchange) -> None:
        """Wrap the methods of one exchange."""
        for name, wrap in (
            ("create_order", self._create_order),
            ("create_stoploss", self._create_stoploss),
            ("cancel_order", self._cancel_order),
            ("fetch_order", self._fetch_order),
            ("fetch_stoploss_order", self._fetch_order),
            ("get_trades_for_order", self._get_trades),
            ("get_rate", self._get_rate),
        ):
            setattr(exchange, name, wrap(getattr(exchange, name)))

    def _note(self, note: Note) -> None:
        try:
            self.notes.put_nowait(note)
        except queue.Full:
            self.lost += 1

    def _create_order(self, stock: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(stock)
        def create_order(*args: Any, **asked: Any) -> Any:  # noqa: ANN401 - as Freqtrade's
            number = next(self._numbers)
            pair, side = asked.get("pair", ""), asked.get("side", "")
            entry = side == "buy" if self._spot else not asked.get("reduceOnly", False)
            self._note(
                Placing(
                    number=number,
                    placed_ns=time.time_ns(),
                    pair=pair,
                    side=side,
                    order_type=asked.get("ordertype", ""),
                    amount=asked.get("amount", 0.0),
                    rate=asked.get("rate", 0.0),
                    time_in_force=asked.get("time_in_force", "GTC"),
                    entry=entry,
                    quoted=self._quotes.last(pair, "entry" if entry else "exit"),
                )
            )
            return self._placed(number, lambda: stock(*args, **asked))

        return create_order

    def _create_stoploss(self, stock: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(stock)
        def create_stoploss(*args: Any, **asked: Any) -> Any:  # noqa: ANN401 - as Freqtrade's
            number = next(self._numbers)
            self._note(
                PlacingStop(
                    number=number,
                    placed_ns=time.time_ns(),
                    pair=asked.get("pair", ""),
                    side=asked.get("side", ""),
                    amount=asked.get("amount", 0.0),
                    stop_price=asked.get("stop_price", 0.0),
                )
            )
            return self._placed(number, lambda: stock(*args, **asked))

        return create_stoploss

    def _placed(self, number: int, place: Callable[[], Any]) -> Any:  # noqa: ANN401 - as Freqtrade's
        try:
            order = place()
        except BaseException as error:
            self._note(Failed(number, f"{type(error).__name__}: {error}"))
            raise
        self._note(Placed(number, order))
        return order

    def _cancel_order(self, stock: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(stock)
        def cancel_order(*args: Any, **asked: Any) -> Any:  # noqa: ANN401 - as Freqtrade's
            self._note(Canceling(_given(args, asked, 0, "order_id"), time.time_ns()))
            order = stock(*args, **asked)
            self._note(Seen(order))
            return order

        return cancel_order

    def _fetch_order(self, stock: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(stock)
        def fetch_order(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Freqtrade's
            order = stock(*args, **kwargs)
            self._note(Seen(order))
            return order

        return fetch_order

    def _get_trades(self, stock: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(stock)
        def get_trades_for_order(*args: Any, **asked: Any) -> Any:  # noqa: ANN401 - as Freqtrade's
            trades = stock(*args, **asked)
            self._note(Trades(_given(args, asked, 0, "order_id"), trades))
            return trades

        return get_trades_for_order

    def _get_rate(self, stock: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(stock)
        def get_rate(*args: Any, **asked: Any) -> Any:  # noqa: ANN401 - as Freqtrade's
            rate = stock(*args, **asked)
            self._quotes.note(_given(args, asked, 0, "pair"), _given(args, asked, 2, "side"), rate)
            return rate

        return get_rate


def _given(args: tuple[Any, ...], asked: dict[str, Any], place: int, name: str) -> str:
    """An argument, given by its place or its name; empty when it was not given."""
    value = args[place] if place < len(args) else asked.get(name, "")
    return value if isinstance(value, str) else ""
