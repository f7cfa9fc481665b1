"""Trades of others are told to macros, once, and again to who asks."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import SECOND, SYMBOL, VENUE, Rig, config, rules, signal

from citadel_micro.core.engine import foreign_reports
from citadel_micro.core.model.commands import PublishAnswer, PublishReport, QueryVenue
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import QueryReceived
from citadel_proto.bounds import LONGEST_PRINTED

if TYPE_CHECKING:
    from citadel_micro.core.model.account_events import AccountTrade

TELLING = VenueConfig(
    shows_own_orders=False, messages_per_second=100, message_burst=500, tells_trades=True
)


def bought(kind: str = "spot", **more: Any) -> Rig:  # noqa: ANN401 - of the configuration
    """Half a coin, on a venue that can be asked for the account's trades."""
    rig = Rig(config(TELLING, **{"tell_foreign": True, **more}), instrument=rules(kind=kind))
    rig.venue.partial_share = 0.0
    rig.venue.true_positions = rig.venue.true_coins = True
    rig.send(signal("buy", order_type="market"))
    rig.run(SECOND)
    return rig


def told(rig: Rig) -> list[PublishReport]:
    """Reports of orders of others."""
    return [
        command
        for _, command in rig.commands
        if isinstance(command, PublishReport) and command.strategy == foreign_reports.STRATEGY
    ]


def ask(rig: Rig, kind: str = "orders", **changes: Any) -> list[PublishReport]:  # noqa: ANN401 - of the query
    values: dict[str, Any] = {
        **dict.fromkeys(("signal_id", "venue", "symbol"), ""),
        "query_id": "q",
        "kind": kind,
        "reply_to": "m",
        "since_ns": 0,
    }
    commands = rig.send(QueryReceived(**(values | changes)))
    (answer,) = [command for command in commands if isinstance(command, PublishAnswer)]
    return [each for each in answer.reports if each.strategy == foreign_reports.STRATEGY]


@pytest.mark.parametrize("kind", ["spot", "linear"])
def test_a_sale_of_another_is_reported_as_a_closed_order_with_its_price_and_fee(kind: str) -> None:
    rig = bought(kind)
    trade: AccountTrade = rig.venue.foreign_trade("sell", 200)
    rig.run(70 * SECOND)
    (report,) = told(rig)
    assert (report.status, report.side, report.own, report.owner) == ("filled", "sell", True, "")
    assert report.filled == report.quantity == Decimal("0.2")
    assert report.average == Decimal(60_000)
    (fill,) = report.fills
    assert (fill.trade_id, fill.child_id) == (trade.trade_id, trade.client_id)
    assert fill.ts_ns == trade.exchange_ns
    assert report.tag == foreign_reports.TAG
    if kind == "linear":
        assert report.position is not None
        assert report.position.quantity == Decimal("0.3")
    assert rig.parent("buy").filled == 500, "and is no order of ours"


def test_what_it_leaves_is_asked_for_at_once() -> None:
    rig = bought()
    rig.venue.foreign_trade("sell", 200)
    rig.run(60 * SECOND)
    (report,) = told(rig)
    asked = [at for at, command in rig.commands if isinstance(command, QueryVenue)]
    assert any(0 <= at - report.updated_ns <= SECOND for at in asked)


def test_it_is_reported_once_and_to_who_asks_over_restarts_too() -> None:
    rig = bought()
    rig.venue.foreign_trade("sell", 200)
    rig.run(70 * SECOND)
    (report,) = told(rig)
    for _ in range(2):
        rig.restart()
        rig.run(70 * SECOND)
        (mine,) = ask(rig, mine=True, owner="somebody")
        assert mine.signal_id == report.signal_id
        (found,) = ask(rig, "order", signal_id=report.signal_id)
        assert (found.signal_id, found.fills) == (report.signal_id, report.fills)
    assert told(rig) == [report]
    assert ask(rig, since_ns=report.updated_ns + 1) == []
    assert ask(rig, symbol="ETH/USDT") == []
    assert ask(rig, working=True) == []
    assert ask(rig, "order", signal_id="own-unknown") == []


def test_trades_of_one_order_are_one_report_and_of_two_orders_two() -> None:
    rig = bought()
    first = rig.venue.foreign_trade("sell", 100, price_ticks=600_000)
    same = rig.venue.foreign_trade("sell", 200, price_ticks=599_970)
    rig.venue.account[-1] = replace(same, venue_order_id=first.venue_order_id)
    rig.venue.foreign_trade("buy", 50)
    rig.run(70 * SECOND)
    sold, other = told(rig)
    assert (sold.filled, sold.average) == (Decimal("0.3"), Decimal(59_998))
    assert (other.side, other.filled) == ("buy", Decimal("0.05"))
    assert sold.signal_id != other.signal_id


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_reports, "MOST", 3)
    rig = bought()
    for _ in range(5):
        rig.venue.foreign_trade("buy", 10)
    rig.run(70 * SECOND)
    assert len(told(rig)) == 5
    kept = [report.signal_id for report in ask(rig)]
    assert kept == [report.signal_id for report in told(rig)[-3:]]
    stored = [key for key in rig.durable if key.startswith(foreign_reports.KEY)]
    assert len(stored) == 3


def test_an_answer_has_as_many_of_the_newest_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign_reports, "MOST_WEIGHT", 2 * (1_500 + 200))
    rig = bought()
    for _ in range(5):
        rig.venue.foreign_trade("buy", 10)
    rig.run(70 * SECOND)
    assert [each.signal_id for each in ask(rig)] == [each.signal_id for each in told(rig)[-2:]]


def test_journals_of_before_have_no_such_reports() -> None:
    rig = bought(tell_foreign=False)
    rig.venue.foreign_trade("sell", 200)
    rig.run(70 * SECOND)
    assert told(rig) == []
    assert not [key for key in rig.durable if key.startswith(foreign_reports.KEY)]


def test_its_name_fits_whatever_the_venue_calls_it() -> None:
    inst = bought().engine.inst_states[VENUE, SYMBOL]
    names = {
        foreign_reports._name(inst, order, trade)
        for order in ("1", "0x" + "f" * 64)
        for trade in ("1", "2")
    }
    assert len(names) == 4
    for name in names:
        assert name.startswith("own-")
        assert len(name.encode()) <= LONGEST_PRINTED
