"""What money is judged by: a mark comes from a book that may be trusted, or there is none."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from engine_kit import MS, SECOND, SYMBOL, VENUE, Rig, config, rules, signal

from citadel_micro.core.engine.engine import Engine
from citadel_micro.core.model.commands import PublishAnswer
from citadel_micro.core.model.events import (
    BalancesUpdated,
    DepthUpdate,
    FeedStatus,
    QueryReceived,
    QuoteTick,
    Started,
)

OTHER = "ETH/USDT"
KEPT_NS = 10 * SECOND
"""The default of ``mark_stale_ns``."""


class TwoMarkets(Rig):
    """The usual rig, with a second market that stays LIVE by itself."""

    def __init__(self) -> None:
        super().__init__(config(), start=False)
        other = rules(symbol=OTHER, venue_symbol="ETHUSDT", base="ETH")
        self.engine = Engine(
            self.settings, {(VENUE, SYMBOL): self.instrument, (VENUE, OTHER): other}
        )
        self.send(Started(state={}, damaged=""))
        self.book(60_000.0, 60_000.1)
        self.other()
        self.run(20 * MS)
        assert not self.engine.reconciling

    def other(self) -> None:
        self.seq += 1
        bids = [(3_000.0 - n / 10, 50.0) for n in range(5)]
        asks = [(3_000.1 + n / 10, 50.0) for n in range(5)]
        self.send(
            DepthUpdate(
                *(VENUE, OTHER, True, self.seq, self.seq, -1),
                *(None, bids, asks, self.now, self.now),
            )
        )

    def wait(self, duration_ns: int, *, book: bool = False) -> None:
        """Time passes; the second market goes on, the first one only with ``book``."""
        end = self.now + duration_ns
        while self.now < end:
            self.run(min(200 * MS, end - self.now), refresh_ns=0)
            self.other()
            if book:
                self.book(self.bid, self.ask)

    def hold(self) -> None:
        """Own 0.1 BTC."""
        self.send(signal("hold", quantity=Decimal("0.1"), algo="marketable_limit"))
        self.wait(SECOND, book=True)
        assert self.report("hold").status == "filled"

    def enter(self, signal_id: str) -> str:
        """Ask for ETH now; returns the reason code of the answer."""
        self.send(
            signal(
                signal_id,
                symbol=OTHER,
                quantity=Decimal("0.01"),
                created_ns=self.now,
                expires_ns=self.now + 10 * SECOND,
            )
        )
        return self.report(signal_id).reason_code

    def lose(self, how: str) -> None:
        """The book of what is held is not to be trusted any more."""
        self.send(
            FeedStatus(
                venue=VENUE, symbol=SYMBOL, up=False, reason="gone", refused=how == "refused"
            )
        )


@pytest.mark.parametrize("how", ["lost", "refused"])
def test_an_entry_elsewhere_is_denied_at_once_while_a_loss_is_unknown(how: str) -> None:
    rig = TwoMarkets()
    rig.hold()
    assert rig.enter("before") == ""

    rig.lose(how)

    assert rig.enter("now") == "GROSS"
    assert rig.engine.portfolio.profit() is None
    assert rig.engine.portfolio.equity() is None
    rig.wait(60 * SECOND)
    assert rig.enter("later") == "GROSS"
    assert rig.engine.portfolio.profit() is None


def test_a_crossed_book_gives_no_mark() -> None:
    rig = TwoMarkets()
    rig.hold()
    rig.send(QuoteTick(VENUE, SYMBOL, -1, 60_000.5, 1.0, 60_000.0, 1.0, rig.now, rig.now))
    rig.wait(1_200 * MS)
    assert rig.enter("crossed") == "GROSS"


def test_a_stale_book_gives_a_mark_for_a_while() -> None:
    rig = TwoMarkets()
    rig.hold()

    rig.wait(KEPT_NS - 500 * MS)
    assert rig.engine.markets[VENUE, SYMBOL].state == "STALE"
    assert rig.enter("young") == ""

    rig.wait(SECOND)
    assert rig.enter("old") == "GROSS"


def test_the_mark_is_back_with_the_book() -> None:
    rig = TwoMarkets()
    rig.hold()
    rig.lose("lost")
    assert rig.enter("gone") == "GROSS"

    rig.book(60_000.0, 60_000.1)

    assert rig.enter("back") == ""


def test_an_order_that_works_elsewhere_waits_for_the_mark() -> None:
    rig = TwoMarkets()
    rig.hold()
    rig.send(signal("e", symbol=OTHER, quantity=Decimal("0.01"), created_ns=rig.now))
    rig.wait(100 * MS, book=True)
    rig.lose("lost")
    (order,) = [o for o in rig.venue.open_orders() if o.place.symbol == OTHER]

    order.status = "canceled"  # by the venue, so that it has to be placed anew
    rig.venue._close(order, "canceled")
    rig.wait(SECOND)

    assert (rig.report("e").status, rig.report("e").reason_code) == ("paused", "GROSS")
    rig.book(60_000.0, 60_000.1)
    rig.wait(SECOND, book=True)
    assert rig.report("e").status == "working"


def test_a_position_says_that_it_could_not_be_valued() -> None:
    rig = TwoMarkets()
    rig.hold()

    def told() -> tuple[Decimal, bool]:
        query = QueryReceived(
            query_id="q",
            kind="positions",
            reply_to="m",
            signal_id="",
            venue="",
            symbol="",
            since_ns=0,
        )
        answers = [c for c in rig.send(query) if isinstance(c, PublishAnswer)]
        (position,) = answers[0].positions
        return position.unrealised, position.valued

    rig.book(61_000.0, 61_000.1)
    rig.wait(SECOND, book=True)
    unrealised, valued = told()
    assert (valued, unrealised > 80) == (True, True)
    rig.lose("lost")
    assert told() == (Decimal(0), False)


def test_a_loss_seen_on_a_dead_book_moves_no_peak_and_no_anchor() -> None:
    """A quote of a book that lost its place is no profit: the peak stays what it was."""
    rig = TwoMarkets()
    rig.hold()
    rig.wait(2 * SECOND, book=True)
    peak = rig.engine.portfolio.curve.peak
    rig.lose("lost")

    rig.send(QuoteTick(VENUE, SYMBOL, -1, 99_000.0, 1.0, 99_000.1, 1.0, rig.now, rig.now))
    rig.wait(3 * SECOND)

    assert rig.engine.portfolio.curve.peak == peak


def test_a_fill_does_not_mark_by_a_book_that_is_not_live() -> None:
    rig = TwoMarkets()
    rig.send(signal("slow", quantity=Decimal("0.1"), algo="chase_limit"))
    rig.wait(100 * MS, book=True)
    order = rig.live("slow")
    rig.lose("lost")

    rig.venue.fill(order.place.client_id, 50)
    rig.wait(50 * MS)

    assert rig.engine.portfolio.quantity(VENUE, SYMBOL) == Decimal("0.05")
    assert rig.engine.portfolio.mark_price(VENUE, SYMBOL) is None


def test_money_in_another_currency_has_no_rate_without_a_live_book() -> None:
    rig = TwoMarkets()
    rig.send(
        BalancesUpdated(venue=VENUE, balances=(("BTC", Decimal(1), Decimal(0)),), exchange_ns=0)
    )
    rig.wait(SECOND, book=True)
    assert rig.engine.portfolio.rate("BTC") is not None
    rig.lose("lost")
    assert rig.engine.portfolio.rate("BTC") is None


def test_a_wrong_book_asked_for_anew_gives_no_mark() -> None:
    """The executor distrusts a book too, after post-only refusals that it does not explain."""
    rig = TwoMarkets()
    rig.hold()
    inst: Any = rig.engine.inst_states[VENUE, SYMBOL]
    rig.engine.executor.resync(inst, "five refusals", rig.now)
    assert rig.engine.portfolio.mark_price(VENUE, SYMBOL) is None
