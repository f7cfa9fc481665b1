"""The venue of docs/howto/add-an-order-adapter.md, as it stands there, trades on a venue of its kind."""

from __future__ import annotations

import asyncio
import json
import re
import types
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from scripted_venue import ScriptedVenue
from waiting import until

from citadel_micro.core.model.approval import Approvals
from citadel_micro.core.model.commands import (
    CancelOrder,
    PlaceOrder,
    QueryOrder,
    QueryTrades,
    QueryVenue,
)
from citadel_micro.core.model.events import (
    AccountTrades,
    OrderAccepted,
    OrderDone,
    OrderFilled,
    OrderRejected,
    OrderState,
    RequestTimedOut,
    VenueSnapshot,
    VenueStatus,
)
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.shell.clock import Clock
from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.shell.keys.secret import Secret
from citadel_micro.shell.order_adapter import AdapterSetup

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aiohttp import web

    from citadel_micro.core.model.events import Event

PAGE = Path(__file__).parents[3] / "docs/howto/add-an-order-adapter.md"
RULES = Instrument(
    venue="zebra",
    symbol="A/B",
    venue_symbol="AB",
    base="A",
    quote="B",
    settle="B",
    kind="spot",
    tick=Decimal("0.1"),
    lot=Decimal("0.1"),
    min_lots=1,
    min_notional=Decimal(0),
    contract_size=Decimal(1),
    maker_fee=Decimal(0),
    taker_fee=Decimal(0),
    fee_side="quote",
)


class ZebraExchange:
    """What the page's protocol has at its other end: bids from 10 on are filled at once."""

    def __init__(self, server: ScriptedVenue) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.subscribed: list[web.WebSocketResponse] = []
        self.lose: set[str] = set()
        server.on_text = self.take

    async def take(self, socket: web.WebSocketResponse, text: str) -> None:
        frame = json.loads(text)
        op, answer = frame["op"], {"id": frame["id"]}
        event: dict[str, Any] | None = None
        if op == "time":
            answer["time"] = Clock().now() // 1_000_000
        elif op == "login":
            assert frame["sign"]
        elif op == "subscribe":
            self.subscribed.append(socket)
        elif op == "place":
            event = self.place(frame, answer)
        elif op == "cancel":
            event = self.cancel(frame, answer)
        elif op == "order":
            self.show(frame, answer)
        elif op == "fills":
            of = frame.get("name")
            rows = [o for o in self.orders.values() if o.get("fill") and of in {None, o["name"]}]
            answer["orders"] = rows
        elif op == "open":
            answer["orders"] = [o for o in self.orders.values() if o["state"] == "open"]
        elif op == "coins":
            answer["coins"] = [["B", "100.5", "0"]]
        if op in self.lose:
            self.lose.discard(op)
        else:
            await socket.send_str(json.dumps(answer))
        if event is not None:
            for each in self.subscribed:
                if not each.closed:
                    await each.send_str(json.dumps({"order": event}))

    def place(self, frame: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any] | None:
        takes = Decimal(frame["price"]) >= 10
        if takes and frame["kind"] == "post":
            answer["error"] = "would_take"
            return None
        order = {
            "name": frame["name"],
            "no": len(self.orders) + 1,
            "market": frame["market"],
            "side": frame["side"],
            "price": frame["price"],
            "size": frame["size"],
            "filled": frame["size"] if takes else "0",
            "state": "filled" if takes else "open",
            "ts": frame["ts"],
        }
        if takes:
            order["fill"] = {
                "no": 1,
                "price": "10",
                "size": frame["size"],
                "fee": "0.1",
                "coin": "B",
                "maker": False,
            }
        self.orders[frame["name"]] = answer["order"] = order
        return order

    def cancel(self, frame: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any] | None:
        order = self.orders.get(frame["name"])
        if order is None or order["state"] != "open":
            answer["error"] = "unknown_order"
            return None
        order["state"] = "canceled"
        answer["order"] = order
        return order

    def show(self, frame: dict[str, Any], answer: dict[str, Any]) -> None:
        if frame["name"] in self.orders:
            answer["order"] = self.orders[frame["name"]]
        else:
            answer["error"] = "unknown_order"


class Host:
    """What the adapter reports to."""

    def __init__(self) -> None:
        self.reports: list[Event] = []
        self.rows: dict[str, object] = {}
        self.gate = Approvals(lambda: 0)
        self.engine: Any = SimpleNamespace(
            risk=SimpleNamespace(open=self.gate.redeem), order_store=SimpleNamespace(children={})
        )
        self.market_taps: list[Any] = []

    def post_many(self, events: Iterable[Event]) -> None:
        self.reports.extend(events)

    def venue_state(self, now_ns: int, venue: str, changes: Mapping[str, object]) -> None:
        del now_ns
        assert venue == "zebra"
        self.rows.update(changes)

    async def told(self, kind: type, client_id: str = "") -> Any:  # noqa: ANN401 - of the kind
        def found() -> list[Event]:
            return [
                each
                for each in self.reports
                if isinstance(each, kind) and client_id in {"", getattr(each, "client_id", "")}
            ]

        await until(found)
        return found()[-1]


@pytest.fixture(scope="module")
def zebra() -> types.ModuleType:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    module = types.ModuleType("zebra_of_the_page")
    exec(compile(code, str(PAGE), "exec"), module.__dict__)  # noqa: S102 - our own page
    return module


def test_the_venue_of_the_page_trades(zebra: types.ModuleType) -> None:
    async def scenario() -> None:
        async with ScriptedVenue() as server:
            exchange, host, clock = ZebraExchange(server), Host(), Clock()
            key = ApiKey(
                venue="zebra",
                account="1",
                network="testnet",
                kind="hmac",
                id=Secret("an-id"),
                secret=Secret("a-secret"),
                passphrase=Secret(""),
                file="key.toml",
            )
            section = SimpleNamespace(ws_api_url=server.ws_url)
            config: Any = SimpleNamespace(venues={"zebra": section})
            setup = AdapterSetup(
                venue="zebra",
                instruments={"A/B": RULES},
                config=config,
                loop=asyncio.get_running_loop(),
                clock=clock,
                account=host,
                key=key,
            )
            adapter = zebra.adapter_of(setup)
            adapter.attach(host)
            adapter.start()
            await until(
                lambda: any(
                    isinstance(each, VenueStatus) and each.up and not each.blind
                    for each in host.reports
                )
            )
            await until(lambda: adapter.entry.current is not None)

            def place(name: str, ticks: int, *, post_only: bool = False) -> None:
                order = PlaceOrder(
                    venue="zebra",
                    symbol="A/B",
                    client_id=name,
                    parent_id="p",
                    side="buy",
                    price_ticks=ticks,
                    quantity_lots=5,
                    post_only=post_only,
                    time_in_force="GTC",
                    reduce_only=False,
                    expires_ns=clock.now() + 2_000_000_000,
                )
                adapter.submit(host.gate.issue(order, book_seq=0), clock.now())

            place("rests", 50)
            assert (await host.told(OrderAccepted, "rests")).venue_order_id == "1"
            place("takes", 120)
            fill = await host.told(OrderFilled, "takes")
            assert (fill.price_ticks, fill.quantity_lots, fill.fee) == (100, 5, Decimal("0.1"))
            assert (await host.told(OrderDone, "takes")).status == "filled"
            place("crosses", 120, post_only=True)
            assert (await host.told(OrderRejected, "crosses")).code == "POST_ONLY"
            adapter.submit(CancelOrder(venue="zebra", symbol="A/B", client_id="rests"), clock.now())
            assert (await host.told(OrderDone, "rests")).status == "canceled"
            adapter.submit(QueryVenue(venue="zebra"), clock.now())
            snapshot = await host.told(VenueSnapshot)
            assert snapshot.balances == (("B", Decimal("100.5"), Decimal(0)),)
            adapter.submit(QueryTrades(venue="zebra", symbol="A/B", since_ns=0), clock.now())
            trades = await host.told(AccountTrades)
            assert [each.client_id for each in trades.trades] == ["takes"]
            # Its answer is lost, and the connection with it: what became of it is asked.
            exchange.lose.add("place")
            exchange.subscribed.clear()
            place("lost", 50)
            await until(lambda: "lost" in exchange.orders)
            await server.cut()
            assert (await host.told(RequestTimedOut, "lost")).request == "place"
            await until(lambda: adapter.stream.current and adapter.entry.current)
            adapter.submit(QueryOrder(venue="zebra", symbol="A/B", client_id="lost"), clock.now())
            assert (await host.told(OrderState, "lost")).status == "open"
            assert zebra.ABILITIES.tells_trades
            await adapter.released()

    asyncio.run(scenario())
