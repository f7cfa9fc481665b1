"""What we send to Hyperliquid and read from it is what ccxt sends and reads, field by field."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import ccxt
import pytest
from hyper_kit import COIN, MARK, RULES, SYMBOL, hyper_key
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.adapters.hyperliquid.account_facts import tick_at
from citadel_micro.adapters.hyperliquid.dialect import HyperDialect
from citadel_micro.adapters.hyperliquid.margin import Listed, Meta
from citadel_micro.adapters.hyperliquid.messages import HyperReader, standing_of
from citadel_micro.adapters.hyperliquid.requests import HyperRequests, action_of, number
from citadel_micro.adapters.hyperliquid.search import MOST_LOOKED_UP, HyperSearch
from citadel_micro.adapters.hyperliquid.signing import ActionSigner, digest_of, key_of
from citadel_micro.core.model.client_ids import ClientIds
from citadel_micro.core.model.commands import CancelOrder, PlaceOrder
from citadel_micro.shell.venue.dialect import Absent, Unclear
from citadel_micro.shell.venue.facts import Anomaly, OrderFact, StreamEnds, TradeFact
from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
from citadel_micro.shell.venue.outcomes import Answered
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_micro.simulator.hyperliquid.wallets import wallet_of
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.shell.venue.dialect import Request


MS = 1_000_000
NOW_NS = 1_764_295_199_123 * MS
KEY = hyper_key()
Client = Any  # ccxt has no types


def client(*, sandbox: bool = False) -> Client:
    made = ccxt.hyperliquid(
        {
            "walletAddress": KEY.account,
            "privateKey": KEY.secret.reveal(),
            "options": {"sandboxMode": sandbox},
        }
    )
    row = {"name": COIN, "szDecimals": "5", "maxLeverage": "40", "markPx": "96000", "baseId": 0}
    made.set_markets([made.parse_market(row)])
    return made


def requests() -> HyperRequests:
    made = HyperRequests({SYMBOL: RULES}, KEY.account)
    made.assets = {COIN: 0}
    made.ids = OrderIds(lambda _rows: None, ClientIds("hex", MARK))
    return made


def order(**changes: Any) -> PlaceOrder:  # noqa: ANN401 - of PlaceOrder
    made = PlaceOrder(
        venue="hyperliquid",
        symbol=SYMBOL,
        client_id=f"sc{MARK}run1-1-1",
        parent_id="p",
        side="buy",
        price_ticks=96_000,
        quantity_lots=1_200,
        post_only=False,
        time_in_force="GTC",
        reduce_only=False,
        expires_ns=NOW_NS,
    )
    return replace(made, **changes)


# --- signatures ---------------------------------------------------------------------------------


@given(
    nonce=st.integers(1_500_000_000_000, 2_500_000_000_000),
    expires=st.one_of(st.just(0), st.integers(1_500_000_000_000, 2_500_000_000_000)),
    secret=st.binary(min_size=32, max_size=32).filter(
        lambda each: 0 < int.from_bytes(each) < 2**255
    ),
    price=st.decimals(1, 99_999, places=1),
    buys=st.booleans(),
    testnet=st.booleans(),
)
def test_actions_are_signed_as_ccxt_signs_them(
    *, nonce: int, expires: int, secret: bytes, price: Decimal, buys: bool, testnet: bool
) -> None:
    key = replace(KEY, secret=type(KEY.secret)(secret.hex()))
    action = action_of(requests().place(order(side="buy" if buys else "sell")))
    action["orders"][0]["p"] = number(price)
    theirs = client(sandbox=testnet)
    theirs.privateKey = secret.hex()
    digest = digest_of(action, nonce, expires, testnet=testnet)
    assert key_of(key).sign(digest) == {
        "r": _padded(signed := theirs.sign_l1_action(action, nonce, None, expires or None), "r"),
        "s": _padded(signed, "s"),
        "v": signed["v"],
    }


def _padded(signature: dict[str, Any], part: str) -> str:
    return f"0x{int(signature[part], 16):064x}"


def test_a_body_has_what_is_signed_and_a_nonce_of_its_own() -> None:
    now = SimpleNamespace(ns=NOW_NS)
    signer = ActionSigner(KEY, VenueClock(lambda: now.ns))
    assert signer.address == wallet_of("demo").agent.key_id
    bodies = [json.loads(signer.body({"type": "noop"}, now.ns + 2_000 * MS) or b"") for _ in "ab"]
    first, second = bodies
    assert second["nonce"] == first["nonce"] + 1 == NOW_NS // MS + 1
    assert first["expiresAfter"] == NOW_NS // MS + 2_000
    digest = digest_of(first["action"], first["nonce"], first["expiresAfter"], testnet=True)
    assert first["signature"] == key_of(KEY).sign(digest)
    assert first["vaultAddress"] is None
    now.ns -= 3_600_000 * MS  # a clock that is set back: nonces still rise
    third = json.loads(signer.body({"type": "noop"}, 0) or b"")
    assert third["nonce"] == second["nonce"] + 1
    assert signer.body({"type": "noop"}, now.ns) is None


def test_a_key_that_is_none_is_refused_without_being_shown() -> None:
    for secret in ("0" * 64, "f" * 64):
        with pytest.raises(BadInput) as caught:
            key_of(replace(KEY, secret=type(KEY.secret)(secret)))
        assert secret not in str(caught.value)
        assert caught.value.__cause__ is None


# --- requests -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({"side": "sell", "reduce_only": True}, {"reduceOnly": True}),
        ({"time_in_force": "IOC"}, {"timeInForce": "Ioc"}),
        ({"post_only": True}, {"postOnly": True}),
        ({"price_ticks": 100_000, "quantity_lots": 100_000}, {}),
    ],
)
def test_an_order_is_what_ccxt_sends(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    made = order(**ours)
    built = requests()
    action = action_of(built.place(made))
    sent = client().create_orders_request(
        [
            {
                "symbol": SYMBOL,
                "type": "limit",
                "side": made.side,
                "amount": float(RULES.quantity(made.quantity_lots)),
                "price": float(RULES.price(made.price_ticks)),
                "params": theirs | {"clientOrderId": built.cloid(made.client_id)},
            }
        ]
    )["action"]
    assert action == sent
    assert json.dumps(action) == json.dumps(sent)  # in the order that is signed


def test_cancels_and_the_timer_are_what_ccxt_sends() -> None:
    built, theirs = requests(), client()
    command = CancelOrder(venue="hyperliquid", symbol=SYMBOL, client_id=f"sc{MARK}run1-1-1")
    known = OurOrder(command.client_id, SYMBOL, "buy", 1, 1, 0, 0, "77")
    by_id = theirs.cancel_orders_request(["77"], SYMBOL)["action"]
    assert action_of(built.cancel(command, known)) == by_id
    cloid = built.cloid(command.client_id)
    by_name = theirs.cancel_orders_request([""], SYMBOL, {"clientOrderId": cloid})["action"]
    assert action_of(built.cancel(command, None)) == by_name
    leverage = built.leverage(SYMBOL, 3, cross=False)
    assert action_of(leverage) == {
        "type": "updateLeverage", "asset": 0, "isCross": False, "leverage": 3,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [("96000", "96000"), ("0.10", "0.1"), ("100.0", "100"), ("1E-5", "0.00001"), ("1E+3", "1000")],
)
def test_numbers_have_no_exponent_and_no_zeros_at_the_end(value: str, text: str) -> None:
    assert number(Decimal(value)) == text


@pytest.mark.parametrize(
    ("price", "decimals", "tick"),
    [
        ("96000.5", 5, "1"),
        ("9999.9", 5, "0.1"),
        ("3400.1", 4, "0.1"),
        ("185.02", 2, "0.01"),
        ("2.2", 0, "0.0001"),
        ("0.24", 0, "0.00001"),
        ("0.000012", 0, "0.000001"),
        ("123456", 5, "1"),
    ],
)
def test_the_tick_is_five_significant_digits(price: str, decimals: int, tick: str) -> None:
    listed = Listed(name="X", sz_decimals=decimals, max_leverage=10)
    assert tick_at(Decimal(price), listed) == Decimal(tick)
    theirs = client().calculate_price_precision(float(price), decimals, 6)
    assert Decimal(1).scaleb(-theirs) == Decimal(tick)


def test_a_perpetual_without_a_table_has_one_tier() -> None:
    listed = Listed(name="X", sz_decimals=1, max_leverage=5)
    (tier,) = Meta(universe=[listed]).tiers(listed)
    assert (tier.max_leverage, tier.maintenance_rate) == (5, Decimal("0.1"))


# --- answers ------------------------------------------------------------------------------------

UPDATE = {
    "order": {
        "coin": COIN, "side": "B", "limitPx": "96000.0", "sz": "0.00200", "oid": 91,
        "timestamp": 1_764_295_199_000, "origSz": "0.012",
    },
    "status": "open",
    "statusTimestamp": 1_764_295_199_123,
}  # fmt: skip
FILL = {
    "coin": COIN, "px": "95999.0", "sz": "0.01", "side": "B", "time": 1_764_295_199_100,
    "startPosition": "0.0", "dir": "Open Long", "closedPnl": "0.0", "hash": "0x00", "oid": 91,
    "crossed": True, "fee": "0.43", "tid": 7, "feeToken": "USDC",
}  # fmt: skip


def reader() -> HyperReader:
    made = HyperReader({SYMBOL: RULES}, KEY.account)
    made.ours = ClientIds("hex", MARK).ours
    return made


def frame(channel: str, data: object) -> bytes:
    return json.dumps({"channel": channel, "data": data}).encode()


@pytest.mark.parametrize(
    "status",
    [
        "open", "filled", "canceled", "triggered", "rejected", "marginCanceled",
        "reduceOnlyCanceled", "selfTradeCanceled", "liquidatedCanceled", "tickRejected",
        "badAloPxRejected",
    ],
)  # fmt: skip
def test_an_order_is_read_as_ccxt_reads_it(status: str) -> None:
    (ours,) = reader().event(frame("orderUpdates", [UPDATE | {"status": status}]))
    theirs = client().parse_order(UPDATE | {"status": status})
    assert isinstance(ours, OrderFact)
    words = {"open": "open", "filled": "closed", "canceled": "canceled", "rejected": "rejected"}
    assert words[ours.standing] == theirs["status"]
    assert (ours.symbol, ours.venue_order_id) == (theirs["symbol"], theirs["id"])
    assert RULES.price(ours.price_ticks) == Decimal(str(theirs["price"]))
    assert RULES.quantity(ours.quantity_lots) == Decimal(str(theirs["amount"]))
    assert RULES.quantity(ours.cumulative_lots) == Decimal(str(theirs["filled"]))
    assert ours.exchange_ns == theirs["lastUpdateTimestamp"] * MS


def test_a_fill_is_read_as_ccxt_reads_it() -> None:
    (ours,) = reader().event(frame("userFills", {"user": KEY.account, "fills": [FILL]}))
    theirs = client().parse_trade(FILL)
    assert isinstance(ours, TradeFact)
    assert (ours.trade_id, ours.venue_order_id) == (theirs["id"], theirs["order"])
    assert RULES.price(ours.price_ticks) == Decimal(str(theirs["price"]))
    assert RULES.quantity(ours.quantity_lots) == Decimal(str(theirs["amount"]))
    assert (float(ours.fee), ours.fee_currency) == (theirs["fee"]["cost"], "USDC")
    assert ours.liquidity == theirs["takerOrMaker"]
    assert ours.exchange_ns == theirs["timestamp"] * MS


def test_what_the_venue_does_to_a_position_has_a_name() -> None:
    forced = FILL | {"liquidation": {"liquidatedUser": KEY.account.upper().replace("X", "x")}}
    others = FILL | {"liquidation": {"liquidatedUser": f"0x{'1' * 40}"}}
    lowered = FILL | {"dir": "Auto-Deleveraging"}
    facts = reader().event(frame("userFills", {"fills": [forced, others, lowered]}))
    assert [cast("TradeFact", each).client_id for each in facts] == ["liquidation:91", "", "adl:91"]


@pytest.mark.parametrize(
    "data",
    [
        [UPDATE | {"order": UPDATE["order"] | {"sz": "99"}}],  # type: ignore[operator]  # JSON
        [UPDATE | {"order": {"coin": COIN}}],
        {"not": "a list"},
        [UPDATE | {"statusTimestamp": "soon"}],
    ],
)
def test_an_update_that_is_not_understood_ends_the_stream(data: object) -> None:
    (fact,) = reader().event(frame("orderUpdates", data))
    assert isinstance(fact, StreamEnds)
    assert fact.blind


def test_an_unknown_status_is_a_puzzle_and_other_coins_are_none_of_ours() -> None:
    (fact,) = reader().event(frame("orderUpdates", [UPDATE | {"status": "pondered"}]))
    assert isinstance(fact, Anomaly)
    assert standing_of("pondered") is None
    other = UPDATE | {"order": UPDATE["order"] | {"coin": "ETH"}}  # type: ignore[operator]  # JSON
    (heard,) = reader().event(frame("orderUpdates", [other]))
    assert not isinstance(heard, OrderFact | Anomaly)
    assert reader().event(frame("userFills", {"fills": [FILL | {"coin": "ETH"}]})) == []


@pytest.mark.parametrize(
    ("ticks", "side", "price"),
    [
        (98_765, "buy", "0.98765"),
        (100_012, "buy", "1.0001"),  # it was below 1 when the rules were read
        (100_012, "sell", "1.0002"),
        (100_020, "sell", "1.0002"),
        (999_996, "sell", "10"),
        (12_345_678_900, "buy", "123456"),
        (12_345_600_000, "buy", "123456"),
    ],
)
def test_a_price_that_has_risen_has_the_digits_that_the_venue_takes(
    ticks: int, side: str, price: str
) -> None:
    fine = replace(RULES, tick=Decimal("0.00001"))
    made = HyperRequests({SYMBOL: fine}, KEY.account)
    placed = made.place(order(price_ticks=ticks, side=side))
    assert placed.params["price"] == price


def funding(coin: str, hour: int) -> dict[str, Any]:
    return {"time": hour * 3_600_000, "delta": {"coin": coin, "usdc": "-0.01"}}


def test_payments_of_many_perpetuals_are_read_page_by_page() -> None:
    coins = [COIN, *(f"C{number}" for number in range(24))]
    rows = [funding(coin, hour) for hour in range(1, 49) for coin in coins]
    asked: list[int] = []

    async def ask(request: Request) -> Answered:
        start = int(request.params["startTime"])
        asked.append(start)
        page = [row for row in rows if row["time"] >= start][:500]
        return Answered(status=0, body=json.dumps(page).encode())

    dialect = HyperDialect.__new__(HyperDialect)
    dialect._requests, dialect._instruments = requests(), {SYMBOL: RULES}
    found = asyncio.run(dialect.funding(ask, SYMBOL, 0))
    assert not isinstance(found, Unclear)
    assert [each.exchange_ns for each in found] == [hour * 3_600 * 10**9 for hour in range(1, 49)]
    assert len(asked) == 4, "the last has nothing new"


def test_a_search_among_a_crowd_of_others_goes_on_where_the_last_one_ended() -> None:
    crowd = range(100, 100 + 2 * MOST_LOOKED_UP + 1)
    looked_up: list[int] = []

    async def ask(request: Request) -> Answered:
        body: Any = []
        if request.method == "userFillsByTime":
            body = [fill_row(oid) for oid in crowd]
        elif request.method == "orderStatus":
            body = {"status": "unknownOid"}
            if isinstance(request.params["oid"], int):
                looked_up.append(request.params["oid"])
        return Answered(status=0, body=json.dumps(body).encode())

    made = requests()
    search = HyperSearch(
        HyperReader({SYMBOL: RULES}, KEY.account), made, VenueClock(lambda: NOW_NS)
    )
    ours = OurOrder("scabc123run1-1-1", SYMBOL, "buy", 1, 1, NOW_NS, NOW_NS)
    found = [asyncio.run(search.find(ask, ours, deep=True)) for _ in range(3)]
    assert [type(each) for each in found] == [Unclear, Unclear, Absent]
    assert looked_up == list(crowd)


def fill_row(oid: int) -> dict[str, Any]:
    return {
        "coin": COIN,
        "px": "96000",
        "sz": "0.001",
        "side": "B",
        "time": NOW_NS // MS,
        "oid": oid,
        "tid": oid,
        "crossed": False,
        "fee": "0",
    }
