"""The journal's encoding: decoding gives equal events, and equal values give equal bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any, get_args, get_origin, get_type_hints

import msgpack  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model import account_events, commands, control_events, events
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.model.risk_limits import RiskLimits, paper_defaults
from citadel_micro.shell.journal import records
from citadel_proto.errors import DecodeError

EVENT_MODULES = (events, account_events, control_events)

INSTRUMENT = Instrument(
    venue="binance-spot",
    symbol="BTC/USDT",
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    kind="spot",
    tick=Decimal("0.01"),
    lot=Decimal("0.00001"),
    min_lots=1,
    min_notional=Decimal(5),
    contract_size=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
    fee_side="received",
)

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
values: dict[object, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(allow_nan=False),
    str: st.text(max_size=10),
    bool: st.booleans(),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=8),
    object: plain,
    type(None): st.none(),
}


def of(hint: object) -> st.SearchStrategy[Any]:
    if hint in values:
        return values[hint]
    origin, inner = get_origin(hint), get_args(hint)
    if origin is tuple and inner[-1] is Ellipsis:
        return st.lists(of(inner[0]), max_size=3).map(tuple)
    if origin is tuple:
        return st.tuples(*(of(each) for each in inner))
    if origin in (list, Sequence):
        return st.lists(of(inner[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(of(inner[0]), of(inner[1]), max_size=3)
    if str(origin) == "typing.Literal":
        return st.sampled_from(inner)
    if hint is RiskLimits:  # not any numbers are limits
        money = st.decimals(0, 10**6, places=2)
        return st.builds(
            paper_defaults,
            max_order_notional=money,
            max_order_quantity=st.dictionaries(st.text(), money, max_size=3),
            allowed_symbols=st.lists(st.text(), max_size=3).map(tuple),
            price_collar_bps=st.floats(0, 1_000),
        )
    if is_dataclass(hint):
        return whole(hint)  # type: ignore[arg-type]
    return st.one_of(*(of(each) for each in inner))


def whole(kind: type) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: of(hint) for name, hint in hints.items()})


@given(data=st.data())
@pytest.mark.parametrize("kind", list(records.EVENTS.values()), ids=list(records.EVENTS))
def test_every_event_comes_back_equal(kind: type, data: st.DataObject) -> None:
    event = data.draw(whole(kind))
    encoded = records.encode(event)
    decoded = records.decode_event(encoded)
    assert decoded == event
    assert type(decoded) is kind
    assert records.encode(decoded) == encoded


def test_every_kind_of_event_is_known() -> None:
    kinds = {
        name
        for module in EVENT_MODULES
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and name not in {"AccountTrade", "FundingPayment", "MarginTier"}  # parts of them
        and (is_dataclass(value) or hasattr(value, "_fields"))
    }
    assert kinds == set(records.EVENTS)


def test_decimals_keep_their_digits() -> None:
    event = events.BalancesUpdated(
        venue="v", balances=(("USDT", Decimal("1.500"), Decimal(0)),), exchange_ns=1
    )
    decoded = records.decode_event(records.encode(event))
    assert isinstance(decoded, events.BalancesUpdated)
    assert str(decoded.balances[0][1]) == "1.500"


def test_positions_of_earlier_journals_had_no_funding() -> None:
    position = commands.PositionView(
        venue="v",
        symbol="s",
        quantity=Decimal(1),
        entry_price=Decimal(2),
        realised=Decimal(0),
        unrealised=Decimal(0),
        leverage=Decimal(1),
    )
    answer = commands.PublishAnswer(
        query_id="q",
        kind="positions",
        reply_to="",
        found=True,
        reports=(),
        balances=(),
        positions=(position,),
        limits=(("max_drawdown", "1"), ("liquidation_buffer", "0.1")),
        error="",
    )
    now = records.decode_plain(records.encode(answer))
    earlier = records.encode_earlier(answer)
    assert earlier is not None
    then = records.decode_plain(earlier)
    assert isinstance(now, list)
    assert isinstance(then, list)
    row = now[1]
    row["limits"].pop()
    for name in ("liquidation_price", "funding"):
        del row["positions"][0][name]
    assert then[1] == row
    assert list(then[1]) == list(row)


def test_persist_is_found_among_commands_without_decoding_the_others() -> None:
    persist = commands.Persist(key="parent/x", value={"a": [1, "2", None, True]})
    assert records.decode_persist(records.encode(persist)) == persist
    other = commands.CancelOrder(venue="v", symbol="s", client_id="c")
    assert records.decode_persist(records.encode(other)) is None


@given(data=st.binary(max_size=60))
def test_noise_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        records.decode_event(data)


def test_a_name_that_is_no_event_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match="CancelOrder"):
        records.decode_event(
            records.encode(commands.CancelOrder(venue="v", symbol="s", client_id="c"))
        )


def test_records_can_be_read_with_plain_msgpack() -> None:
    name, body = msgpack.unpackb(records.encode(events.TimerFired()))
    assert (name, body) == ("TimerFired", {})


def test_a_value_that_has_no_place_is_our_bug() -> None:
    with pytest.raises(NotImplementedError):
        records.encode(commands.Persist(key="k", value=object()))


def test_instruments_come_back_equal() -> None:
    rows = records.decode_plain(records.encode_plain(records.instrument_rows([INSTRUMENT])))
    assert records.instruments_of(rows) == {("binance-spot", "BTC/USDT"): INSTRUMENT}
    assert {f.name for f in fields(Instrument) if f.init} == set(rows[0])  # type: ignore[index]


@pytest.mark.parametrize("rows", [None, 5, [1], [{"venue": "x"}], [{"tick": []}]])
def test_rows_that_are_no_instruments(rows: object) -> None:
    with pytest.raises(DecodeError):
        records.instruments_of(rows)
