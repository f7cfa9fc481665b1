"""What our OKX adapter sends and reads, against ccxt: signatures, parameters, parsed orders and trades."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ccxt
import msgspec
import pytest
from okx_kit import NATIVE, SYMBOL, ccxt_client, okx_bench, okx_server, our_key, our_rules
from waiting import until

from citadel_micro.adapters.okx.codes import refusal
from citadel_micro.adapters.okx.messages import FillRow, OkxReader, OrderRow
from citadel_micro.adapters.okx.requests import TIME, OkxRequests, OkxSigner, iso, timer
from citadel_micro.core.model.client_ids import ClientIds
from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
from citadel_micro.core.model.events import OrderDone
from citadel_micro.shell.venue.facts import OrderFact, StreamEnds, TradeFact
from citadel_micro.shell.venue.order_ids import OurOrder
from citadel_micro.shell.venue.outcomes import Answered, Fate
from citadel_micro.shell.venue.venue_clock import VenueClock

if TYPE_CHECKING:
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Request

NOW = 1_795_833_195_123_000_000
ORDER = PlaceOrder(
    venue="okx",
    symbol=SYMBOL,
    client_id="scabc123run1-1-1",
    parent_id="p",
    side="buy",
    price_ticks=8_400_001,
    quantity_lots=1_234,
    post_only=False,
    time_in_force="GTC",
    reduce_only=False,
    expires_ns=NOW + 2_000_000_000,
)


async def rules() -> Instrument:
    async with okx_server() as server:
        return our_rules(server)


@pytest.fixture(scope="module")
def instrument() -> Instrument:
    return asyncio.run(rules())


class Both:
    """Our requests, and ccxt's that it would send for the same."""

    def __init__(self, instrument: Instrument) -> None:
        self.ours = OkxRequests({SYMBOL: instrument}, ClientIds("letters").theirs)
        clock = VenueClock(lambda: NOW)
        self.signer = OkxSigner(our_key(network="mainnet"), clock)
        key = our_key()
        self.sent: list[dict[str, Any]] = []
        self.theirs: Any = ccxt.okx(
            {
                "apiKey": key.id.reveal(),
                "secret": key.secret.reveal(),
                "password": key.passphrase.reveal(),
            }
        )
        self.theirs.milliseconds = lambda: NOW // 1_000_000
        market = {
            "instType": "SPOT", "instId": NATIVE, "baseCcy": "BTC", "quoteCcy": "USDT",
            "tickSz": "0.01", "lotSz": "0.00001", "minSz": "0.00001", "state": "live",
        }  # fmt: skip
        self.theirs.set_markets([self.theirs.parse_market(market)])

        def fetch(url: str, method: str, headers: Any, body: str | None) -> Any:  # noqa: ANN401
            self.sent.append({"url": url, "method": method, "headers": headers, "body": body})
            return {"code": "0", "msg": "", "data": [{"ordId": "1", "sCode": "0"}]}

        self.theirs.fetch = fetch

    def equal(self, request: Request, *, extra: dict[str, str] | None = None) -> None:
        """Path, parameters and signature are ccxt's, but for the order of parameters."""
        sent = self.sent[-1]
        parts = self.signer.http(replace(request, expires_ns=0))
        assert parts is not None
        assert sent["method"] == parts.method
        assert (
            sent["url"].removeprefix("https://www.okx.com").partition("?")[0]
            == (parts.target.partition("?")[0])
        )
        if parts.body:
            ours = json.loads(parts.body)
            assert ours == {**json.loads(sent["body"]), **(extra or {})}
        # On what ccxt has sent, our signature is ccxt's.
        target = sent["url"].removeprefix("https://www.okx.com")
        text = f"{iso(NOW)}{sent['method']}{target}{sent['body'] or ''}"
        assert self.signer.sign(text.encode()) == sent["headers"]["OK-ACCESS-SIGN"]
        mine = dict(parts.headers)
        mine.pop("OK-ACCESS-SIGN")
        assert mine.items() <= sent["headers"].items()


@pytest.fixture
def both(instrument: Instrument) -> Both:
    return Both(instrument)


@pytest.mark.parametrize(
    ("change", "params"),
    [
        ({}, {}),
        ({"post_only": True}, {"postOnly": True}),
        ({"time_in_force": "IOC", "side": "sell"}, {"timeInForce": "IOC"}),
        ({"time_in_force": "FOK"}, {"timeInForce": "FOK"}),
    ],
)
def test_an_order_is_ccxts_field_by_field(
    both: Both, change: dict[str, Any], params: dict[str, Any]
) -> None:
    order = replace(ORDER, **change)
    name = {"clOrdId": "scabc123run1Z1Z1"}
    both.theirs.create_order(SYMBOL, "limit", order.side, 0.01234, 84000.01, {**params, **name})
    (sent,) = json.loads(both.sent[-1]["body"])  # ccxt sends a batch of one
    del sent["tgtCcy"]  # for market orders alone, by the documentation
    request = both.ours.place(order)
    parts = both.signer.http(replace(request, expires_ns=0))
    assert parts is not None
    assert json.loads(parts.body) == sent


def test_cancels_amends_queries_and_the_timer_are_ccxts(both: Both) -> None:
    ours, theirs = both.ours, both.theirs
    known = OurOrder(ORDER.client_id, SYMBOL, "buy", 1, 1, 0, 0, venue_order_id="312")
    cancel = CancelOrder(venue="okx", symbol=SYMBOL, client_id=ORDER.client_id)
    theirs.cancel_order("312", SYMBOL)
    both.equal(ours.cancel(cancel, known))
    theirs.cancel_order("", SYMBOL, {"clOrdId": "scabc123run1Z1Z1"})
    both.equal(ours.cancel(cancel, None))
    amend = AmendOrder(
        venue="okx",
        symbol=SYMBOL,
        client_id=ORDER.client_id,
        parent_id="p",
        side="buy",
        price_ticks=8_390_000,
        quantity_lots=2_000,
        post_only=True,
        reduce_only=False,
        expires_ns=0,
    )
    theirs.edit_order("312", SYMBOL, "limit", "buy", 0.02, 83900)
    sent = json.loads(both.sent[-1]["body"])
    # The venue reads decimals; ccxt cuts their zeros.
    text = {"newPx": "83900.00", "newSz": "0.02000"}
    assert {name: Decimal(sent[name]) for name in text} == {
        name: Decimal(value) for name, value in text.items()
    }
    both.equal(ours.amend(amend, known), extra=text)
    theirs.fetch_order("312", SYMBOL)
    both.equal(ours.order(SYMBOL, ours.name_of(ORDER.client_id, known)))
    theirs.fetch_balance()
    both.equal(ours.balance())
    theirs.fetch_open_orders()
    both.equal(ours.pending())
    theirs.cancel_all_orders_after(30_000)
    both.equal(timer("", 30), extra={"timeOut": "30"})


def test_orders_and_trades_read_as_ccxt_reads_them() -> None:
    async def main() -> None:
        async with okx_bench() as bench, ccxt_client(bench.server) as client:
            await bench.begin()
            await client.load_markets()
            _, ask = await bench.touch()
            taker = bench.place("buy", ask + 50_000, 321, ioc=True)
            await bench.told(OrderDone, taker)
            resting = await bench.resting(77)
            await until(lambda: bool(bench.exchange.open_orders("demo")))
            reader = OkxReader({SYMBOL: bench.rules}, ClientIds("letters").ours)
            told = await client.fetch_closed_orders(SYMBOL) + await client.fetch_open_orders(SYMBOL)
            assert {each["info"]["clOrdId"] for each in told} == {
                ClientIds("letters").theirs(each.client_id) for each in (taker, resting)
            }
            for each in told:
                fact = reader.order(msgspec.convert(each["info"], OrderRow))
                assert isinstance(fact, OrderFact)
                assert fact.venue_order_id == each["id"]
                assert fact.standing == {"closed": "filled", "open": "open"}[each["status"]]
                assert float(bench.rules.price(fact.price_ticks)) == each["price"]
                assert float(bench.rules.quantity(fact.quantity_lots)) == each["amount"]
                assert float(bench.rules.quantity(fact.cumulative_lots)) == each["filled"]
                assert fact.exchange_ns // 1_000_000 == each["lastUpdateTimestamp"]
            trades = await client.fetch_my_trades(SYMBOL)
            assert trades
            for each in trades:
                trade = reader.fill(msgspec.convert(each["info"], FillRow))
                assert isinstance(trade, TradeFact)
                assert (trade.trade_id, trade.venue_order_id) == (each["id"], each["order"])
                assert float(bench.rules.price(trade.price_ticks)) == each["price"]
                assert float(bench.rules.quantity(trade.quantity_lots)) == each["amount"]
                assert float(trade.fee) == each["fee"]["cost"]
                assert (trade.fee_currency, trade.liquidity) == (
                    each["fee"]["currency"],
                    each["takerOrMaker"],
                )

    asyncio.run(main())


def test_an_expired_request_is_not_written(instrument: Instrument) -> None:
    requests = OkxRequests({SYMBOL: instrument})
    signer = OkxSigner(our_key(), VenueClock(lambda: NOW))
    late = requests.place(replace(ORDER, expires_ns=NOW - 1))
    assert signer.http(late) is None
    assert signer.frame(1, late, 7) == b""
    good = json.loads(signer.frame(9, requests.place(ORDER), 7))
    assert (good["id"], good["op"]) == ("9", "order")
    assert NOW // 1_000_000 < int(good["expTime"]) <= ORDER.expires_ns // 1_000_000
    assert good["args"][0]["instIdCode"] == 7
    assert "instId" not in good["args"][0]  # the websocket refuses it


def test_the_demo_says_so_in_a_header_and_the_mainnet_does_not() -> None:
    clock = VenueClock(lambda: NOW)
    demo = OkxSigner(our_key(network="demo"), clock).http(TIME)
    main = OkxSigner(our_key(network="mainnet"), clock).http(TIME)
    assert demo is not None
    assert main is not None
    assert demo.headers == {"x-simulated-trading": "1"}
    assert main.headers == {}


def answer(code: str, *, row: str = "", status: int = 200) -> Answered:
    rows = [{"sCode": row, "sMsg": "why"}] if row else []
    body = json.dumps({"code": code, "msg": "text", "data": rows}).encode()
    return Answered(status=status, body=body)


@pytest.mark.parametrize(
    ("told", "fate", "code"),
    [
        (answer("1", row="51008"), Fate.REFUSED, "INSUFFICIENT_FUNDS"),
        (answer("1", row="51016"), Fate.REFUSED, "DUPLICATE_ID"),
        (answer("1", row="51006"), Fate.REFUSED, "BAD_PRICE"),
        (answer("1", row="51020"), Fate.REFUSED, "BELOW_MIN"),
        (answer("1", row="51511"), Fate.REFUSED, "POST_ONLY"),
        (answer("2", row="51400"), Fate.NOT_FOUND, "OTHER"),
        (answer("51603"), Fate.NOT_FOUND, "OTHER"),
        (answer("50011", status=429), Fate.WAIT, "RATE_LIMIT"),
        (answer("50061"), Fate.WAIT, "RATE_LIMIT"),
        (answer("50013", status=429), Fate.UNKNOWN, "OTHER"),
        (answer("50004"), Fate.UNKNOWN, "OTHER"),
        (answer("50026", status=500), Fate.UNKNOWN, "OTHER"),
        (answer("1", row="59999"), Fate.UNKNOWN, "OTHER"),  # no document known to us has it
        (answer("50102", status=401), Fate.REFUSED, "OTHER"),
        (Answered(status=502, body=b"<html>"), Fate.UNKNOWN, "OTHER"),
        (Answered(status=403, body=b"<html>"), Fate.REFUSED, "OTHER"),
        (Answered(status=429, body=b"<html>"), Fate.WAIT, "RATE_LIMIT"),
    ],
)
def test_codes(told: Answered, fate: Fate, code: str) -> None:
    refused = refusal(told)
    assert refused is not None
    assert (refused.fate, refused.code) == (fate, code)


def test_codes_about_the_key_the_clock_and_a_success() -> None:
    assert refusal(answer("0")) is None
    key, clock = refusal(answer("50113", status=401)), refusal(answer("50102", status=401))
    assert key is not None
    assert clock is not None
    assert (key.key, key.clock) == (True, False)
    assert (clock.key, clock.clock) == (False, True)


@pytest.mark.parametrize(
    "change",
    [{"accFillSz": "-0.000001"}, {"accFillSz": "NaN"}, {"px": "much"}, {"uTime": ""}, {"sz": None}],
)
def test_an_event_that_is_not_understood_makes_us_blind(
    instrument: Instrument, change: dict[str, Any]
) -> None:
    row = {
        "instId": NATIVE, "ordId": "1", "clOrdId": "a", "state": "live", "side": "buy",
        "px": "84000", "sz": "0.01", "accFillSz": "0", "uTime": "1",
    } | change  # fmt: skip
    frame = json.dumps({"arg": {"channel": "orders"}, "data": [row]}).encode()
    (fact,) = OkxReader({SYMBOL: instrument}).event(frame)
    assert isinstance(fact, StreamEnds)
    assert fact.blind
