"""What the shadow tells micro of an order, and what it takes down of both sides; over real sockets."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, cast

import pytest
from freqtrade.exceptions import InvalidOrderException
from ports import free_port
from scripted_micro import ScriptedMicro
from scripted_orders import Script

from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector
from citadel_macro.config import BridgeSettings
from citadel_macro.micro_client import MicroLink
from citadel_macro.shadow.desk import ShadowDesk
from citadel_macro.shadow.table import ShadowOrder, ShadowTable, read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from freqtrade.exchange.exchange import Exchange

    from citadel_proto.messages import Signal

PAIR = "BTC/USDT"
CONFIG = {"trading_mode": "spot", "unfilledtimeout": {"entry": 20, "exit": 30, "unit": "seconds"}}


class Stock:
    """An exchange with a grid of 0.001 and cents, whose orders become what a test says."""

    name = "stock"

    def __init__(self) -> None:
        self.answer: Any = {"id": "7", "status": "open", "filled": 0.0}

    def amount_to_precision(self, _pair: str, amount: float) -> float:
        return int(amount * 1_000) / 1_000

    def _amount_to_contracts(self, _pair: str, amount: float) -> float:
        return amount

    def get_contract_size(self, _pair: str) -> float:
        return 1.0

    def price_to_precision(self, _pair: str, price: float) -> float:
        return round(price, 2)

    def get_rate(self, *_: object, **__: object) -> float:
        return 100.004

    def _answer(self) -> Any:  # noqa: ANN401 - an order, or anything
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def create_order(self, **_: Any) -> Any:  # noqa: ANN401
        return self._answer()

    def create_stoploss(self, **_: Any) -> Any:  # noqa: ANN401
        return self._answer()

    def cancel_order(self, *_: Any) -> Any:  # noqa: ANN401
        return self._answer()

    def fetch_order(self, *_: Any) -> Any:  # noqa: ANN401
        return self._answer()

    def fetch_stoploss_order(self, *_: Any) -> Any:  # noqa: ANN401
        return self._answer()

    def get_trades_for_order(self, *_: Any) -> Any:  # noqa: ANN401
        return self._answer()


class Wire:
    """One scripted micro and the connection to it, for every test here: it takes a second to make."""

    def __init__(self) -> None:
        self.signals = f"tcp://127.0.0.1:{free_port()}"
        self.micro = ScriptedMicro(signals=self.signals, quotes=lambda: {PAIR: (99.99, 100.01)})
        self.settings = BridgeSettings(
            signals=self.signals, market=self.micro.address, venue="binance-spot"
        )

    def link(self) -> MicroLink:
        """A link whose orders wait long for an answer, should the machine be busy."""
        config = ConnectorConfig(
            signals=self.signals, market=(self.micro.address,), owner="shadow-1", ack_timeout=5.0
        )
        connector = HybridConnector(config)
        connector.start()
        assert connector.wait_ready(30)
        return MicroLink(connector, self.settings, "S")


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    made = Wire()
    with made.micro:
        yield made


@pytest.fixture(scope="module")
def link(wire: Wire) -> Iterator[MicroLink]:
    made = wire.link()
    yield made
    made.close()


class Desk:
    """A desk with its table, and the exchange that it watches."""

    def __init__(self, folder: Path, wire: Wire, link: MicroLink) -> None:
        self.path = folder / "shadow.sqlite"
        self.micro = wire.micro
        self.exchange: Any = Stock()
        self.desk = ShadowDesk(link, ShadowTable(self.path), wire.settings, CONFIG)
        self.desk.watch(cast("Exchange", self.exchange))

    def order(self, **over: Any) -> None:  # noqa: ANN401 - of create_order
        """Let Freqtrade place one."""
        values = {"pair": PAIR, "ordertype": "limit", "side": "buy", "amount": 1.0, "rate": 101.0}
        self.exchange.create_order(**values | over)

    def row(self, when: Callable[[ShadowOrder], Any]) -> ShadowOrder:
        """The newest row, once something is true of it."""
        deadline = time.monotonic() + 60
        while True:
            rows = read(self.path)
            if rows and when(rows[-1]):
                return rows[-1]
            assert time.monotonic() < deadline, rows
            time.sleep(0.01)

    def signal(self, row: ShadowOrder) -> Signal:
        """Micro's order of a row."""
        return self.micro.parents[row.signal_id].signal


def told(wire: Wire, link: MicroLink, mode: str) -> None:
    """Give micro a mode, and wait until its heartbeats have said so."""
    wire.micro.mode = mode
    deadline = time.monotonic() + 60
    while {peer.mode for peer in link.connector.peers()} != {mode}:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def desk(tmp_path: Path, wire: Wire, link: MicroLink) -> Iterator[Desk]:
    wire.micro.scripts.clear()
    told(wire, link, "paper")
    made = Desk(tmp_path, wire, link)
    yield made
    made.desk.close()


def test_an_order_of_both_sides_is_taken_down(desk: Desk) -> None:
    desk.order(amount=1.23456, rate=101.004)
    row = desk.row(lambda row: row.micro_status == "filled" and row.order_id)
    assert (row.quantity, row.rate, row.micro_filled, row.arrival_mid) == (
        *("1.234", "101", "1.234"),
        "100.0",
    )
    assert row.order_id == "7"
    desk.exchange.answer = {
        "id": "7",
        "status": "closed",
        "filled": 1.234,
        "cost": 123.4,
        "average": 100.0,
        "fee": {"currency": "USDT", "cost": 0.1},
    }
    desk.exchange.fetch_order("7", PAIR)
    row = desk.row(lambda row: row.status == "closed")
    assert (row.filled, row.average, row.fees) == ("1.234", "100", '{"USDT": "0.1"}')


@pytest.mark.parametrize(
    ("over", "quoted", "limit", "beyond"),
    [
        ({"rate": 100.001}, True, "100", 10.0),  # Freqtrade's own rate may be followed
        ({"rate": 100.5}, True, "100.5", None),  # somebody's price is a limit
        ({"rate": 100.0}, False, "100", None),
        ({"ordertype": "market"}, False, None, None),
    ],
)
def test_what_micro_is_sent(
    desk: Desk, over: dict[str, Any], quoted: bool, limit: str | None, beyond: float | None
) -> None:
    if quoted:
        desk.exchange.get_rate(PAIR, True, "entry")
    desk.order(**over)
    signal = desk.signal(desk.row(lambda row: row.signal_id))
    assert signal.limit_price == limit
    assert signal.order_type == over.get("ordertype", "limit")
    assert signal.params.get("chase_beyond_bps") == beyond
    assert signal.params["time_limit_ms"] == 20_000
    assert signal.expires_ns - signal.created_ns == 20_000_000_000
    assert not signal.reduce_only
    assert signal.owner == "shadow-1"
    assert signal.leverage == "1"


def test_an_exit_is_no_reduction_and_has_its_own_time(desk: Desk) -> None:
    desk.order(side="sell", reduceOnly=True)
    signal = desk.signal(desk.row(lambda row: row.signal_id))
    assert (signal.side, signal.tag, signal.reduce_only) == ("sell", "exit", False)
    assert signal.params["time_limit_ms"] == 30_000


def test_what_freqtrade_gives_up_micro_gives_up(desk: Desk) -> None:
    desk.micro.scripts[PAIR, "buy"] = Script(fraction="0")
    desk.order()
    desk.row(lambda row: row.order_id and row.micro_status)
    desk.exchange.answer = {"id": "7", "status": "canceled", "filled": 0.0}
    desk.exchange.cancel_order("7", PAIR)
    row = desk.row(lambda row: row.micro_status == "canceled")
    assert row.cancel_ns > row.placed_ns
    assert (row.status, row.filled, row.micro_filled) == ("canceled", "0", "0")


def test_what_was_not_placed_micro_gives_up(desk: Desk) -> None:
    desk.micro.scripts[PAIR, "buy"] = Script(fraction="0")
    desk.exchange.answer = InvalidOrderException("too small")
    with pytest.raises(InvalidOrderException):
        desk.order()
    row = desk.row(lambda row: row.micro_status == "canceled")
    assert (row.error, row.order_id) == ("InvalidOrderException: too small", "")


def test_a_stop_is_counted_and_not_sent(desk: Desk) -> None:
    before = len(desk.micro.parents)
    desk.exchange.create_stoploss(pair=PAIR, side="sell", amount=1.0, stop_price=90.0)
    row = desk.row(lambda row: row.order_id)
    assert (row.kind, row.rate, row.signal_id) == ("stop", "90", "")
    assert len(desk.micro.parents) == before


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"amount": 0.0001}, "below the smallest quantity"),
        ({"time_in_force": "DAY"}, "time_in_force"),
        ({"side": "long"}, "side"),
    ],
)
def test_an_order_that_makes_no_sense_is_counted_and_not_sent(
    desk: Desk, over: dict[str, Any], why: str
) -> None:
    desk.order(**over)
    row = desk.row(lambda row: row.order_id)
    assert why in row.unsent
    assert row.signal_id == ""
    desk.order()  # and the next one is
    assert desk.row(lambda row: row.signal_id).unsent == ""


def test_a_micro_with_real_money_is_sent_nothing(desk: Desk, wire: Wire, link: MicroLink) -> None:
    told(wire, link, "live")
    before = len(desk.micro.parents)
    desk.order()
    row = desk.row(lambda row: row.order_id)
    assert row.unsent == "micro's mode is live: a shadow needs paper"
    assert len(desk.micro.parents) == before


def test_after_a_restart_both_sides_are_still_followed(
    tmp_path: Path, desk: Desk, wire: Wire, link: MicroLink
) -> None:
    desk.micro.scripts[PAIR, "buy"] = Script(fraction="0")
    desk.order()
    desk.row(lambda row: row.order_id and row.micro_status)
    desk.desk.close()
    again = Desk(tmp_path, wire, link)
    again.exchange.answer = {"id": "7", "status": "canceled", "filled": 0.0}
    again.exchange.cancel_order("7", PAIR)
    row = again.row(lambda row: row.micro_status == "canceled")
    assert row.status == "canceled"
    again.exchange.answer = {"id": "8", "status": "open"}
    again.order()
    assert again.row(lambda row: row.order_id == "8").number == row.number + 1
    again.desk.close()


def test_a_table_that_cannot_be_written_ends_the_shadow_alone(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.desk._table.close()
    with caplog.at_level(logging.ERROR):
        desk.order()
        deadline = time.monotonic() + 60
        while "Freqtrade trades on" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    for _ in range(3):
        desk.order()  # nobody takes notes of it any more
