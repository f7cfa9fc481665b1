"""A signal changes its form three times, and a new field of it is named in few places.

NewSignal (asked for) -> Signal (sent, recorded) -> SignalReceived (judged, journaled).
"""

from __future__ import annotations

from dataclasses import fields, make_dataclass
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from citadel_bridge import config
from citadel_bridge.config import NewSignal
from citadel_micro.core.model.events import SignalReceived
from citadel_micro.core.orders import order_records
from citadel_micro.shell.bridge import wire_in
from citadel_proto.messages import Signal

REPOSITORY = Path(__file__).resolve().parents[2]
BRIDGES_OWN = {"signal_id", "created_ns", "expires_ns", "epoch", "seq", "owner"}
"""Fields that the bridge fills in."""
MICROS_OWN = {"missed", "offset_ns"}
"""Fields that micro adds at receipt."""
PLAIN = ("venue", "symbol", "side", "order_type", "time_in_force", "reduce_only", "algo", "tag")
BETWEEN = (
    "bridge/citadel_bridge/intents.py",
    "bridge/citadel_bridge/intent_wal.py",
    "bridge/citadel_bridge/retransmitter.py",
    "macro/citadel_macro/micro_client.py",
    "micro/citadel_micro/core/orders/order_records.py",
    "micro/citadel_micro/shell/journal/records.py",
)
"""On the way of a signal, and to be left alone when it gets a new field."""


def asked(**changes: object) -> NewSignal:
    given = {
        "venue": "binance-spot",
        "symbol": "BTC/USDT",
        "side": "buy",
        "quantity": Decimal("0.10"),
        "ttl": 10.0,
        "tag": "entry",
        "params": {"b": 1, "a": "x"},
    }
    return NewSignal(**given | changes)  # type: ignore[arg-type]


def sent(new: NewSignal) -> Signal:
    return new.signal(signal_id="s-1", strategy="S", now_ns=1, epoch=2, owner="o")


def test_the_three_forms_have_the_same_fields() -> None:
    names = set(Signal.__struct_fields__)
    assert {each.name for each in fields(NewSignal)} - {"ttl"} | BRIDGES_OWN == names
    assert {each.name for each in fields(SignalReceived)} == names | MICROS_OWN


def test_what_is_asked_for_is_what_is_judged() -> None:
    new = asked(limit_price="60000.50", leverage=Decimal(3), confidence=0.75, model_id="m")
    got = wire_in.event_of(sent(new))
    assert isinstance(got, SignalReceived)
    assert all(getattr(got, name) == getattr(new, name) for name in PLAIN)
    assert (got.quantity, str(got.quantity)) == (Decimal("0.1"), "0.10")
    assert (got.limit_price, got.leverage) == (Decimal("60000.50"), Decimal(3))
    assert (got.confidence, got.model_id) == (0.75, "m")
    assert got.params == (("a", "x"), ("b", 1))
    assert order_records.load_signal(order_records._signal_row(got)) == got


def test_a_new_field_travels_when_the_three_forms_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named in the three forms, used by whoever reads it, and nowhere between."""
    more = [("urgency", str, ""), ("shown", str | None, None)]
    wire: Any = msgspec.defstruct("Signal", more, bases=(Signal,), frozen=True, kw_only=True)
    wider = make_dataclass(
        "NewSignal",
        [("urgency", str, ""), ("shown", "str | None", None)],
        bases=(NewSignal,),
        frozen=True,
        kw_only=True,
    )
    judged = make_dataclass(
        "SignalReceived",
        [("urgency", "str", ""), ("shown", "Decimal | None", None)],
        bases=(SignalReceived,),
        frozen=True,
        kw_only=True,
    )
    monkeypatch.setattr(config, "Signal", wire)
    monkeypatch.setattr(config, "_TOLD", config.shared_fields(wider, wire))
    monkeypatch.setattr(wire_in, "SignalReceived", judged)
    monkeypatch.setattr(wire_in, "_SAME", wire_in.taken_as_they_are(judged, wire))
    monkeypatch.setattr(wire_in, "_READ", wire_in.readers(judged))
    monkeypatch.setattr(order_records, "SignalReceived", judged)
    monkeypatch.setattr(order_records, "_DECIMALS", order_records.decimals_of(judged))
    names = tuple(each.name for each in fields(judged))
    monkeypatch.setattr(order_records, "_SIGNAL", names)
    monkeypatch.setattr(order_records, "_signal_values", attrgetter(*names))

    new = wider(
        venue="v", symbol="A/B", side="buy", quantity="1", ttl=1.0, urgency="high", shown="0.5"
    )
    body = msgspec.msgpack.encode(sent(new))
    got: Any = wire_in.event_of(msgspec.msgpack.decode(body, type=wire))
    assert (got.urgency, got.shown) == ("high", Decimal("0.5"))
    stored = order_records._signal_row(got)
    assert order_records.load_signal(stored) == got


@pytest.mark.parametrize("path", BETWEEN)
def test_nothing_between_the_forms_lists_the_fields_of_a_signal(path: str) -> None:
    text = (REPOSITORY / path).read_text(encoding="utf-8")
    named = [
        name for name in ("time_in_force", "candle_ns", "confidence", "model_id") if name in text
    ]
    assert named == []
