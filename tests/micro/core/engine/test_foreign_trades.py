"""Trades of others on the account: a person, a liquidation, a second micro."""

from __future__ import annotations

from decimal import Decimal

import pytest
from engine_kit import KEY, MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal
from history_kit import quantity, spot, telling, trips

from citadel_micro.core.model.account_events import FundingDue
from citadel_micro.core.model.commands import PublishRisk, QueryTrades
from citadel_micro.core.model.events import (
    OrderFilled,
    OrderState,
    VenueSnapshot,
)

SCOPE = f"symbol:{VENUE}:{SYMBOL}"


def perpetual(*, ask_trades_again: bool = True, **venue: object) -> Rig:
    """Half a coin of a perpetual, on a venue that says what the account holds."""
    rig = Rig(
        config(telling(**venue), ask_trades_again=ask_trades_again), instrument=rules(kind="linear")
    )
    rig.venue.partial_share = 0.0
    rig.venue.true_positions = True
    rig.send(signal("buy", order_type="market"))
    rig.run(SECOND)
    assert quantity(rig) == Decimal("0.5")
    return rig


def told(rig: Rig, code: str = "FOREIGN_ACTIVITY") -> list[PublishRisk]:
    return [c for _, c in rig.commands if isinstance(c, PublishRisk) and c.code == code]


@pytest.mark.parametrize(("side", "lots", "left"), [("sell", 200, "0.3"), ("buy", 100, "0.6")])
def test_a_derivative_position_follows_what_a_person_trades(
    side: str, lots: int, left: str
) -> None:
    rig = perpetual()
    rig.venue.foreign_trade(side, lots)  # type: ignore[arg-type]
    rig.run(70 * SECOND)
    assert quantity(rig) == Decimal(left)
    assert trips(rig) == []
    assert rig.parent("buy").filled == 500, "it is no fill of ours"
    assert rig.engine.portfolio.foreign.net[KEY] == Decimal(left) - Decimal("0.5")
    (message,) = told(rig)
    assert message.scope == SCOPE
    assert "web_1" in message.reason
    rig.restart()
    rig.run(130 * SECOND)
    assert quantity(rig) == Decimal(left), "and is counted once, over restarts too"
    assert len(told(rig)) == 1


def test_coins_that_a_person_sold_are_not_ours_any_more_and_halt_nothing() -> None:
    rig = spot()
    rig.venue.foreign_trade("sell", 200)
    stated(rig, "0.3")
    assert quantity(rig) == Decimal("0.3")
    assert trips(rig) == []
    assert "position_follows_others" in rig.events_noted()


def test_coins_that_nobody_sold_and_are_gone_halt_the_symbol() -> None:
    """Withdrawn, for one: no trade says where they are."""
    rig = spot()
    stated(rig, "0.3")
    assert trips(rig) == ["POSITION_MISMATCH"]


def test_a_sale_of_the_persons_own_coins_explains_no_later_loss() -> None:
    rig = spot()
    rig.venue.foreign_trade("sell", 300)
    stated(rig, "0.7")
    stated(rig, "0.3")
    assert trips(rig) == ["POSITION_MISMATCH"]


def stated(rig: Rig, coins: str) -> None:
    """The venue has so many coins from now on, for as long as it takes to be sure."""
    rig.venue.coins["BTC"] = coins
    rig.run(70 * SECOND)


@pytest.mark.parametrize(
    ("client_id", "kind"),
    [
        ("autoclose-1", "trade"),
        ("adl_autoclose", "trade"),
        ("x", "liquidation"),
        ("x", "settlement"),
    ],
)
def test_a_liquidation_is_booked_and_halts_the_symbol(client_id: str, kind: str) -> None:
    rig = perpetual()
    rig.venue.foreign_trade("sell", 500, client_id=client_id, kind=kind)  # type: ignore[arg-type]
    rig.run(70 * SECOND)
    assert quantity(rig) == 0
    assert trips(rig) == ["FORCED_CLOSE"]
    rig.send(signal("more", created_ns=rig.now, expires_ns=rig.now + SECOND))
    assert rig.report("more").reason_code == "HALTED"


def test_a_liquidation_that_the_stream_reports_halts_at_once() -> None:
    rig = perpetual()
    rig.venue.foreign_trade("sell", 500, client_id="autoclose-9")
    rig.send(
        OrderFilled(
            venue=VENUE,
            symbol=SYMBOL,
            client_id="autoclose-9",
            trade_id="L1",
            price_ticks=500_000,
            quantity_lots=500,
            cumulative_lots=500,
            fee=Decimal(0),
            fee_currency="USDT",
            liquidity="taker",
            exchange_ns=rig.now,
        )
    )
    assert trips(rig) == ["FORCED_CLOSE"]
    rig.run(SECOND)
    assert quantity(rig) == 0, "and its trades are read without waiting for the minute"


@pytest.mark.parametrize("again", [True, False])
def test_what_happens_while_a_query_is_out_is_asked_for_after_its_answer(again: bool) -> None:
    rig = perpetual(ask_trades_again=again)
    before = len(rig.sent(QueryTrades))
    rig.send(FundingDue(venue=VENUE, exchange_ns=rig.now))
    while len(rig.sent(QueryTrades)) == before:
        rig.run(MS)
    rig.run(2 * MS)  # the venue has answered, and the answer is on its way
    rig.venue.foreign_trade("sell", 100)
    rig.send(FundingDue(venue=VENUE, exchange_ns=rig.now))
    before += 1
    rig.run(SECOND)
    assert quantity(rig) == Decimal("0.4" if again else "0.5")
    assert len(rig.sent(QueryTrades)) == before + again
    rig.run(2 * SECOND)
    assert len(rig.sent(QueryTrades)) == before + again, "and not for ever"


def test_an_open_order_of_the_venue_against_the_position_halts_the_symbol() -> None:
    rig = perpetual()
    row = OrderState(
        venue=VENUE,
        symbol=SYMBOL,
        client_id="adl_autoclose",
        status="open",
        source="order",
        price_ticks=1,
        quantity_lots=500,
        cumulative_lots=0,
        exchange_ns=rig.now,
    )
    rig.send(VenueSnapshot(venue=VENUE, open_orders=(row,), balances=(), exchange_ns=rig.now))
    assert trips(rig) == ["FORCED_CLOSE"]
    assert rig.engine.foreign_orders() == {VENUE: ("adl_autoclose",)}


OTHER = "scxyz789r1-1-1"


def test_two_micros_cannot_share_a_derivative_position_by_accident() -> None:
    rig = perpetual(mark="abc123")
    rig.venue.foreign_trade("sell", 200, client_id=OTHER)
    rig.run(70 * SECOND)
    assert trips(rig) == ["SHARED_POSITION"]
    (trip,) = rig.engine.risk.breakers.trips
    assert "shared_account" in trip.reason
    assert quantity(rig) == Decimal("0.3"), "there is one position"


def test_on_a_shared_account_each_micro_counts_its_own() -> None:
    rig = perpetual(mark="abc123", shared_account=True)
    rig.venue.held_lots -= 700  # the other's, from before anybody looked
    rig.run(70 * SECOND)
    rig.venue.foreign_trade("sell", 200, client_id=OTHER)
    rig.run(130 * SECOND)
    assert quantity(rig) == Decimal("0.5")
    assert trips(rig) == []
    rig.restart()
    rig.run(70 * SECOND)
    assert (quantity(rig), trips(rig)) == (Decimal("0.5"), [])
    rig.venue.held_lots -= 1  # by nobody
    rig.run(70 * SECOND)
    assert trips(rig) == ["POSITION_MISMATCH"]


def test_on_a_spot_account_two_micros_have_their_own_coins() -> None:
    rig = Rig(config(telling(mark="abc123")))
    rig.send(signal("buy", order_type="market"))
    rig.run(SECOND)
    rig.venue.foreign_trade("buy", 200, client_id=OTHER)
    rig.run(70 * SECOND)
    assert trips(rig) == []
