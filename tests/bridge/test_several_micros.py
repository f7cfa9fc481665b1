"""Several micros for one macro: each has its own pairs, and one that is down harms no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector
from citadel_bridge.errors import ClockSkew, MicroUnavailable
from citadel_bridge.micro_state import micro_of
from citadel_proto.messages import Balance, MacroHeartbeat, Query, RiskState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bridge.conftest import FakeMicro

    from citadel_bridge.config import NewSignal

    Buy = Callable[..., NewSignal]
    MakeMicro = Callable[..., FakeMicro]
    Until = Callable[..., None]

BTC, ETH, SOL = "BTC/USDT", "ETH/USDT", "SOL/USDT"


class Two:
    """A macro and two micros: ``one`` for BTC, ``two`` for ETH."""

    def __init__(self, connector: HybridConnector, one: FakeMicro, two: FakeMicro) -> None:
        self.connector, self.one, self.two = connector, one, two


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[..., HybridConnector]]:
    made: list[HybridConnector] = []

    def make(*micros: FakeMicro, **settings: Any) -> HybridConnector:  # noqa: ANN401 - by name
        values: dict[str, Any] = {
            "signals": "tcp://127.0.0.1:0",
            "market": tuple(micro.address for micro in micros),
            "state_path": tmp_path / f"i-{len(made)}.sqlite",
            "heartbeat": 0.1,
            "dead_after": 1.0,
            "audit": 0.1,
            "ready_timeout": 0.5,
        }
        connector = HybridConnector(ConnectorConfig(**values | settings))
        made.append(connector)
        connector.start()
        for micro in micros:
            micro.follow(connector.address)
        return connector

    yield make
    for connector in made:
        connector.close()


@pytest.fixture
def two(make_micro: MakeMicro, connect: Callable[..., HybridConnector], until: Until) -> Two:
    one = make_micro(instance="micro-1-a", serves=(("paper", BTC),))
    other = make_micro(instance="micro-2-a", serves=(("paper", ETH),))
    connector = connect(one, other)
    until(lambda: len(connector.peers()) == 2)
    until(lambda: all(map(connector.mirror.receives_us, ("micro-1-a", "micro-2-a"))))
    return Two(connector, one, other)


def executed(micro: FakeMicro) -> list[str]:
    return micro.journal.executed


def silence(two: Two, until: Until) -> None:
    """The second micro vanishes."""
    two.two.close()
    until(lambda: len(two.connector.peers()) == 1)


def test_an_order_goes_to_the_micro_of_its_pair(two: Two, buy: Buy, until: Until) -> None:
    sent = [two.connector.submit(buy(symbol=symbol)) for symbol in (BTC, ETH, BTC)]
    assert all(each.report is not None for each in sent)
    assert executed(two.one) == [sent[0].signal_id, sent[2].signal_id]
    assert executed(two.two) == [sent[1].signal_id]
    found = two.connector.query_orders()
    assert sorted(each.signal_id for each in found) == sorted(each.signal_id for each in sent)
    for each in sent:
        assert two.connector.query_order(each.signal_id) is not None
    until(lambda: not two.connector.intents.pending())


def test_a_pair_of_nobody_is_refused_by_the_names_of_those_that_were_asked(
    two: Two, buy: Buy
) -> None:
    with pytest.raises(MicroUnavailable, match=r"SOL/USDT.*micro-1-a, micro-2-a"):
        two.connector.submit(buy(symbol=SOL))
    assert two.connector.intents.unfinished() == []


def test_one_that_is_down_affects_its_own_pairs_only(two: Two, buy: Buy, until: Until) -> None:
    lost = two.connector.submit(buy(symbol=ETH))
    silence(two, until)
    assert two.connector.routing.silent() == ["micro-2"]
    assert two.connector.submit(buy(symbol=BTC)).report is not None
    with pytest.raises(MicroUnavailable, match="ETH/USDT"):
        two.connector.submit(buy(symbol=ETH))
    with pytest.raises(MicroUnavailable):
        two.connector.query_order(lost.signal_id)
    assert len(two.connector.query_orders(symbol=BTC)) == 1


def test_what_the_others_do_not_know_is_not_taken_for_never_received(
    two: Two, buy: Buy, until: Until
) -> None:
    """An order whose micro went down is denied by the other one, as long as it takes."""
    two.two.acknowledge = False
    sent = two.connector.submit(buy(symbol=ETH, ttl=0.3))
    assert sent.report is None
    silence(two, until)
    two.one.received.clear()
    two.connector.cancel(sent.signal_id, wait=0.0)
    until(lambda: sum(each.kind == "order" for each in two.one.of(Query)) > 2)
    assert two.connector.report(sent.signal_id) is None
    assert [each.signal.signal_id for each in two.connector.intents.unfinished()] == [
        sent.signal_id
    ]


def test_it_is_taken_up_again_where_it_comes_back(two: Two, buy: Buy, until: Until) -> None:
    sent = two.connector.submit(buy(symbol=ETH))
    silence(two, until)
    back = type(two.two)(
        two.two.address, journal=two.two.journal, instance="micro-2-b", serves=two.two.serves
    ).follow(two.connector.address)
    try:
        back.report(sent.signal_id, filled="0.2")
        until(lambda: two.connector.report(sent.signal_id).filled == "0.2")  # type: ignore[union-attr]
        until(lambda: two.connector.mirror.receives_us("micro-2-b"))
        assert two.connector.submit(buy(symbol=ETH)).report is not None
        assert two.connector.routing.silent() == []
        assert set(two.connector.micros()) == {"micro-1", "micro-2"}
    finally:
        back.close()


def test_who_takes_a_pair_by_now_does_not_deny_what_another_one_works(
    two: Two, buy: Buy, until: Until
) -> None:
    """As after restarts with each other's run folders: the order is where it was, its pair is not."""
    connector = two.connector
    sent = connector.submit(buy(symbol=ETH))
    assert sent.report is not None
    two.one.serves, two.two.serves = two.two.serves, two.one.serves
    until(lambda: [peer.micro for peer in connector.serving("paper", ETH)] == ["micro-1"])
    found = connector.query_order(sent.signal_id, 20.0)
    assert found is not None
    assert found.status == "working"
    assert connector.query_order("nobodys", 20.0) is None
    silence(two, until)
    with pytest.raises(MicroUnavailable, match="micro-2, which has reported this order, is silent"):
        connector.query_order(sent.signal_id, 20.0)


def test_two_for_one_pair_are_refused_before_anything_is_worked_twice(
    make_micro: MakeMicro, connect: Callable[..., HybridConnector], buy: Buy, until: Until
) -> None:
    micros = [
        make_micro(instance=f"{name}-a", serves=(("paper", BTC), ("paper", its)))
        for name, its in (("left", ETH), ("right", SOL))
    ]
    connector = connect(*micros)
    until(lambda: len(connector.peers()) == 2)
    with pytest.raises(MicroUnavailable, match="left and right both"):
        connector.submit(buy(symbol=BTC))
    assert connector.submit(buy(symbol=SOL)).report is not None
    assert executed(micros[0]) == []


def test_balances_are_the_sum_and_risk_is_by_micro(two: Two, until: Until) -> None:
    for micro, free in ((two.one, "1.5"), (two.two, "2.25")):
        micro.balances = (Balance(currency="USDT", free=free, used="1", total=f"{free}"),)
    assert two.connector.query_balances("paper")["USDT"].free == "3.75"
    two.two.publisher.publish(RiskState(scope="global", state="HALTED", instance="", seq=0))
    until(two.connector.risk)
    assert set(two.connector.risk()) == {"global"}  # one has said anything
    two.one.publisher.publish(RiskState(scope="global", state="ACTIVE", instance="", seq=0))
    until(lambda: len(two.connector.risk()) == 2)
    states = {scope: risk.state for scope, risk in two.connector.risk().items()}
    assert states == {"micro-1 global": "ACTIVE", "micro-2 global": "HALTED"}


def test_the_money_of_one_that_is_silent_is_still_there(two: Two, until: Until) -> None:
    for micro in (two.one, two.two):
        micro.balances = (Balance(currency="USDT", free="2", used="0", total="2"),)
    assert two.connector.query_balances("paper")["USDT"].total == "4"
    silence(two, until)
    assert two.connector.query_balances("paper")["USDT"].total == "4"


def test_each_ones_clock_and_refusal_concern_its_own_pairs(
    make_micro: MakeMicro, connect: Callable[..., HybridConnector], buy: Buy, until: Until
) -> None:
    one = make_micro(instance="micro-1-a", serves=(("paper", BTC),))
    off = make_micro(instance="micro-2-a", serves=(("paper", ETH),), wall_offset_ns=2 * 10**9)
    connector = connect(one, off)
    until(lambda: len(connector.peers()) == 2)
    assert connector.submit(buy(symbol=BTC)).report is not None
    with pytest.raises(ClockSkew):
        connector.submit(buy(symbol=ETH))


def test_the_book_of_the_micro_that_trades_a_pair_counts(two: Two, until: Until) -> None:
    """The other one may follow the same book, to compare with."""
    two.two.publisher.publish(two.two.book(BTC, 90.0))
    until(lambda: two.connector.book("paper", BTC))
    two.one.publisher.publish(two.one.book(BTC, 100.0))
    until(lambda: two.connector.book("paper", BTC).message.microprice == 100.0)  # type: ignore[union-attr]
    two.two.publisher.publish(two.two.book(BTC, 91.0))
    two.two.publisher.publish(two.two.book(SOL, 1.0))
    until(lambda: two.connector.book("paper", SOL))
    assert two.connector.book("paper", BTC).message.microprice == 100.0  # type: ignore[union-attr]


def test_a_run_is_of_the_micro_whose_name_it_begins_with() -> None:
    assert micro_of("micro-2-m9x2k4p0") == "micro-2"
    assert micro_of("micro") == "micro"


def test_each_micro_receives_the_other_ones_heartbeats(two: Two, until: Until) -> None:
    def named() -> bool:
        seen = {name for each in two.two.of(MacroHeartbeat) for name, _seq in each.micros_seen}
        return seen == {"micro-1-a", "micro-2-a"}

    until(named)
