"""Of several micros one is silent: its orphans wait for it, and those of the others are settled."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from freqtrade.persistence import Trade

from citadel_macro import freqtrade_hooks, reconciliation
from citadel_macro.micro_client import MicroLink
from citadel_macro.reconciliation import reconcile

if TYPE_CHECKING:
    import pytest


class Link:
    """As much of a link as a reconciliation without fills needs."""

    def __init__(self, *away: str) -> None:
        self.away = set(away)
        self.settled: list[tuple[str, str]] = []
        self.asked: list[str] = []

    def is_away(self, pair: str) -> bool:
        return pair in self.away

    def orders_since(self, pair: str, _since_ns: int, *, mine: bool) -> tuple[()]:
        assert not mine
        self.asked.append(pair)
        return ()

    def was_acknowledged(self, _signal_id: str) -> bool:
        return False

    def settle(self, signal_id: str, how: str) -> None:
        self.settled.append((signal_id, how))


def open_trades() -> list[SimpleNamespace]:
    opened = datetime(2026, 1, 1, tzinfo=UTC)
    return [SimpleNamespace(pair=pair, open_date_utc=opened) for pair in ("BTC/USDT", "ETH/USDT")]


def orphans(monkeypatch: pytest.MonkeyPatch) -> None:
    """One order on each of two pairs, which micro has never received."""
    found = [("a", "BTC/USDT", None), ("b", "ETH/USDT", None)]
    monkeypatch.setattr(reconciliation, "_unknown", lambda _exchange: found)
    monkeypatch.setattr(reconciliation, "_final", lambda *_: None)


def test_orphans_of_a_silent_micro_are_left_and_the_others_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orphans(monkeypatch)
    link = Link("ETH/USDT")
    exchange = cast("Any", SimpleNamespace(link=link))
    result = reconcile(cast("Any", None), exchange)
    assert (result.forgotten, result.left) == (("a",), ("b",))
    assert link.settled == [("a", "forgotten")]
    link.away.clear()
    assert reconcile(cast("Any", None), exchange).left == ()


def test_what_was_left_is_looked_at_again_until_it_is_settled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    orphans(monkeypatch)
    monkeypatch.setattr(Trade, "get_open_trades", open_trades)
    link = Link("ETH/USDT")
    exchange = cast(
        "Any",
        SimpleNamespace(
            link=link, reconcile_due=True, reconciled=None, history_checked=set(), of_others={}
        ),
    )
    bot = cast("Any", SimpleNamespace(_exit_lock=contextlib.nullcontext()))
    for _ in range(2):
        freqtrade_hooks._reconcile(bot, exchange)
        assert exchange.reconcile_due
    assert link.asked == ["BTC/USDT"]
    link.away.clear()
    freqtrade_hooks._reconcile(bot, exchange)
    assert not exchange.reconcile_due
    assert link.asked == ["BTC/USDT", "ETH/USDT"]
    assert ("b", "forgotten") in link.settled


def test_only_one_of_several_can_be_away() -> None:
    """The only micro that there is: everything waits for it, as ever."""
    connector = SimpleNamespace(serving=lambda _venue, pair: [] if pair == "ETH/USDT" else ["one"])
    for market, away in ((("a",), False), (("a", "b"), True)):
        settings = SimpleNamespace(market=market, venue="binance-spot")
        link = MicroLink(cast("Any", connector), cast("Any", settings), "s")
        assert link.is_away("ETH/USDT") is away
        assert not link.is_away("BTC/USDT")
