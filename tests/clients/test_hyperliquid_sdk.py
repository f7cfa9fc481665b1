"""Hyperliquid's own SDK trades perpetuals: signatures, orders, changes, cancels, queries, events."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

import pytest
from eth_account import Account
from hyperliquid.exchange import Exchange as Trader
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid

if TYPE_CHECKING:
    from stock_exchange import Exchange

COIN = "BTC"
GTC = {"limit": {"tif": "Gtc"}}
POST_ONLY = {"limit": {"tif": "Alo"}}


class Desk:
    """The SDK with the API wallet of an account."""

    def __init__(self, exchange: Exchange, account: str) -> None:
        at = exchange.ready["venues"]["hyperliquid"]
        self.url = at["rest_url"]
        self.address = at[f"{account}.account"]
        self.trader: Any = Trader(
            Account.from_key(at[f"{account}.private_key"]), self.url, account_address=self.address
        )
        self.info: Any = self.trader.info

    @property
    def bid(self) -> float:
        """The best one."""
        return float(self.info.l2_snapshot(COIN)["levels"][0][0]["px"])

    def placed(self, answer: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
        """What became of one order."""
        assert answer["status"] == "ok", answer
        (status,) = answer["response"]["data"]["statuses"]
        return status


@pytest.fixture
def desk(exchange: Exchange) -> Desk:
    return Desk(exchange, "hyper")


def test_orders_are_placed_changed_found_and_canceled(desk: Desk, left: list[str]) -> None:
    trader, info, address = desk.trader, desk.info, desk.address
    price = round(desk.bid * 0.9)
    name = Cloid.from_int(7)
    oid = desk.placed(trader.order(COIN, True, 0.01, price, POST_ONLY, cloid=name))["resting"][
        "oid"
    ]
    by_name = info.query_order_by_cloid(address, name)
    assert by_name["status"] == "order"
    assert (by_name["order"]["order"]["oid"], by_name["order"]["status"]) == (oid, "open")
    (row,) = info.open_orders(address)
    assert (row["oid"], float(row["limitPx"]), float(row["sz"])) == (oid, price, 0.01)
    changed = trader.modify_order(oid, COIN, True, 0.02, price - 10, GTC, cloid=name)
    other = desk.placed(changed)["resting"]["oid"]
    assert other != oid
    (row,) = info.open_orders(address)
    assert (row["oid"], float(row["sz"])) == (other, 0.02)
    assert desk.placed(trader.cancel(COIN, other)) == "success"
    assert info.open_orders(address) == []
    assert info.query_order_by_oid(address, other)["order"]["status"] == "canceled"
    again = desk.placed(trader.order(COIN, True, 0.01, price, GTC, cloid=Cloid.from_int(8)))
    assert "resting" in again
    assert desk.placed(trader.cancel_by_cloid(COIN, Cloid.from_int(8))) == "success"
    assert left == []


def test_a_position_is_opened_and_closed(desk: Desk, left: list[str]) -> None:
    trader, info, address = desk.trader, desk.info, desk.address
    assert trader.update_leverage(5, COIN, is_cross=False)["status"] == "ok"
    before = len(info.user_fills(address))
    assert float(desk.placed(trader.market_open(COIN, False, 0.01))["filled"]["totalSz"]) == 0.01
    (held,) = info.user_state(address)["assetPositions"]
    assert (held["position"]["coin"], float(held["position"]["szi"])) == (COIN, -0.01)
    assert held["position"]["leverage"]["value"] == 5
    assert float(desk.placed(trader.market_close(COIN))["filled"]["totalSz"]) == 0.01
    assert info.user_state(address)["assetPositions"] == []
    fills = info.user_fills(address)[: -before or None]
    assert sum(float(each["sz"]) for each in fills) == pytest.approx(0.02)
    assert {each["side"] for each in fills} == {"A", "B"}
    assert left == []


def test_refusals_are_reported_as_the_venue_does(desk: Desk) -> None:
    trader = desk.trader
    bid = desk.bid
    crossing = desk.placed(trader.order(COIN, True, 0.01, round(bid * 1.05), POST_ONLY))
    assert "Post only order would have immediately matched" in crossing["error"]
    small = desk.placed(trader.order(COIN, True, 0.00001, round(bid * 0.9), GTC))
    assert "minimum value of $10" in small["error"]
    assert "error" in desk.placed(trader.cancel(COIN, 1))
    trader.set_expires_after(int(time.time() * 1000) - 5_000)
    late = trader.order(COIN, True, 0.01, round(bid * 0.9), GTC)
    assert late["status"] == "err"
    stranger = Trader(Account.create(), desk.url, account_address=desk.address)
    refused = stranger.order(COIN, True, 0.01, round(bid * 0.9), GTC)
    assert refused["status"] == "err"
    assert "does not exist" in refused["response"]


def test_events_of_the_account(desk: Desk, left: list[str]) -> None:
    told: queue.Queue[Any] = queue.Queue()
    info = Info(desk.url)
    try:
        for kind in ("orderUpdates", "userFills"):
            info.subscribe({"type": kind, "user": desk.address}, told.put)
        while told.get(timeout=30)["channel"] != "userFills":
            pass  # the snapshot: from here on there are events
        oid = desk.placed(desk.trader.order(COIN, True, 0.01, round(desk.bid * 0.9), GTC))
        number = oid["resting"]["oid"]
        desk.trader.cancel(COIN, number)
        seen: list[str] = []
        while "canceled" not in seen:
            event = told.get(timeout=30)
            if event["channel"] == "orderUpdates":
                seen += [each["status"] for each in event["data"] if each["order"]["oid"] == number]
        assert seen == ["open", "canceled"]
    finally:
        info.disconnect_websocket()
    assert left == []
