"""Two bots of one strategy on one micro: neither sees the other's orders as its own."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from engine_kit import SYMBOL, VENUE, signal
from engine_micro import EngineMicro
from freqtrade_kit import PATIENCE, impatient
from process_kit import until

from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_bridge.intents import IntentLog
from citadel_macro import ccxt_orders as orders
from citadel_macro.config import BridgeSettings
from citadel_macro.exchange import BridgeMixin
from citadel_macro.micro_client import MicroLink
from citadel_macro.reconciliation import _final
from citadel_proto.errors import BadInput
from citadel_proto.messages import Signal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST = NewSignal(
    venue=VENUE,
    symbol=SYMBOL,
    side="buy",
    quantity="0.1",
    limit_price="59000",
    algo="limit",
    tag="entry",
    ttl=60.0,
)


class Bare(BridgeMixin):
    """The bridged methods without an exchange below them."""

    def __init__(self, link: MicroLink) -> None:
        self.link = link  # type: ignore[misc]
        self._shown = {}
        self._tried = {}

    def __del__(self) -> None:
        """Nothing was opened."""


@pytest.fixture
def micro() -> Iterator[EngineMicro]:
    with EngineMicro() as running:
        yield running


@pytest.fixture
def bots(micro: EngineMicro, tmp_path: Path) -> Iterator[tuple[MicroLink, MicroLink]]:
    with ExitStack() as stack:
        links = []
        for name in ("a", "b"):
            connector = HybridConnector(
                ConnectorConfig(
                    signals="tcp://127.0.0.1:0",
                    market=(micro.address,),
                    state_path=tmp_path / name,
                    strategy="Same",
                    heartbeat=0.1,
                    dead_after=20.0,
                    ack_timeout=20.0,
                    ready_timeout=60.0,
                )
            )
            stack.callback(connector.close)
            micro.follow(connector.address)
            connector.start()
            settings = BridgeSettings(venue=VENUE, **PATIENCE)
            links.append(MicroLink(connector, settings, "Same"))
        first, second = links
        yield first, second


def test_neither_finds_books_or_cancels_the_others_orders(
    bots: tuple[MicroLink, MicroLink],
) -> None:
    first, second = bots
    sent, report = first.submit(REQUEST)
    assert report is not None
    assert second.mine_working() == []
    assert second.orders_since(SYMBOL, 0) == ()
    until(lambda: second.connector.report(sent.signal_id))
    with impatient(second):
        answer = second.cancel(sent.signal_id, "as an orphan")
    assert answer is not None
    assert answer.status == "working"
    assert [r.signal_id for r in first.mine_working()] == [sent.signal_id]
    assert [r.signal_id for r in first.orders_since(SYMBOL, 0)] == [sent.signal_id]


def test_orders_of_a_log_from_before_owners_are_still_its_own(
    bots: tuple[MicroLink, MicroLink], micro: EngineMicro
) -> None:
    first, second = bots
    sent, _ = first.submit(REQUEST)
    newest = micro.report(sent.signal_id).revision
    until(  # a later one would come after the clearing
        lambda: (heard := first.connector.report(sent.signal_id)) and heard.revision == newest
    )
    with micro.lock:
        # As the journal of an older release gives it back.
        parent = micro.parent(sent.signal_id)
        object.__setattr__(parent.signal, "owner", "")
    first.connector.mirror.reports.clear()
    assert [r.owner for r in first.mine_working()] == [""]
    assert second.mine_working() == []
    cancelled = first.cancel(sent.signal_id, "an orphan")
    assert cancelled is not None
    assert cancelled.status == "canceled"


def test_an_orphan_whose_fills_are_forgotten_still_counts_as_filled(
    bots: tuple[MicroLink, MicroLink], micro: EngineMicro
) -> None:
    first, _ = bots
    with micro.lock:
        owner = first.connector.owner
        micro.send(
            signal(
                "old",
                owner=owner,
                epoch=first.connector.epoch,
                order_type="market",
                created_ns=micro.now,
                expires_ns=micro.now + 10**10,
            )
        )
        micro.run(10**9)
        register = micro.engine.order_store
        assert micro.report("old").status == "filled", micro.report("old").reason
        register._config = replace(register._config, retention_count=0)
        known = micro.report("old")
        register.forget_old(micro.now)
        assert "old" not in register.known
    until(  # its reports are on their way, and would come after the clearing
        lambda: (heard := first.connector.report("old")) and heard.status == "filled"
    )
    first.connector.mirror.reports.clear()
    exchange = type("Exchange", (), {"link": first})()
    report = _final(exchange, "old", SYMBOL)
    assert report is not None
    assert report.fills == ()
    assert Decimal(report.filled) == known.filled == Decimal("0.5")
    assert Decimal(report.average or 0) == known.average
    shown = orders.order_dict(report)
    assert shown["status"] == "closed"
    assert shown["cost"] == pytest.approx(shown["average"] * shown["filled"])


def test_an_order_of_the_same_name_is_not_taken_for_ours(
    bots: tuple[MicroLink, MicroLink], micro: EngineMicro
) -> None:
    first, second = bots
    first.submit(REQUEST, signal_id="same")
    with impatient(second):
        sent, report = second.submit(REQUEST, signal_id="same")
        assert (sent.signal_id, report) == ("same", None), "open: nothing is known of it"
        assert second.report("same") is None
        assert second.cancel("same", "whose?") is None
    assert second.ask("same") is None
    with micro.lock:
        assert micro.report("same").status == "working"


def test_an_order_that_was_shown_as_expired_never_acts(
    bots: tuple[MicroLink, MicroLink], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Macro's clock was set ahead: for micro, the life of what it has not got yet goes on."""
    first, _ = bots
    publisher = first.connector.publisher
    publish = publisher.publish
    monkeypatch.setattr(
        publisher,
        "publish",
        lambda sent, *to: 0 if isinstance(sent, Signal) else publish(sent, *to),
    )
    with impatient(first):
        signal, report = first.submit(REQUEST)
        assert report is None
        exchange = Bare(first)
        assert exchange.fetch_order(signal.signal_id, SYMBOL)["status"] == "open"
        monkeypatch.setattr(first, "now_ns", lambda: signal.expires_ns + 1)
        assert exchange.fetch_order(signal.signal_id, SYMBOL)["status"] == "expired"
    monkeypatch.undo()
    publish(signal)
    time.sleep(0.5)
    found = first.ask(signal.signal_id)
    assert found is not None
    assert found.status == "canceled"


def test_a_lost_log_gets_its_orders_back_by_its_owners_id(
    bots: tuple[MicroLink, MicroLink], micro: EngineMicro, tmp_path: Path
) -> None:
    first, _ = bots
    sent, _ = first.submit(REQUEST)
    first.connector.close()
    with pytest.raises(BadInput, match="owner"):
        IntentLog(None, "1 no id")
    with pytest.raises(BadInput, match=first.connector.owner):
        IntentLog(tmp_path / "a", "another")
    connector = HybridConnector(
        ConnectorConfig(
            signals="tcp://127.0.0.1:0",
            market=(micro.address,),
            state_path=tmp_path / "new",
            owner=first.connector.owner,
            heartbeat=0.1,
            dead_after=20.0,
            ready_timeout=60.0,
        )
    )
    try:
        micro.follow(connector.address)
        connector.start()
        link = MicroLink(connector, BridgeSettings(venue=VENUE, **PATIENCE), "Same")
        assert [r.signal_id for r in link.mine_working()] == [sent.signal_id]
        cancelled = link.cancel(sent.signal_id, "an orphan")
        assert cancelled is not None
        assert cancelled.status == "canceled"
    finally:
        connector.close()
