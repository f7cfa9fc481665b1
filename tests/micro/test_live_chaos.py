"""Live trading with everything going wrong, in virtual time: a few seeds of ``make campaign-live``.

What is asserted on the way and at the end is written in ``live_chaos``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import structlog
import virtual_others
from effort import examples
from live_chaos import LiveRun
from live_draws import LIES
from live_plays import Play, played

from citadel_micro.adapters.binance import orders, usdm_orders
from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.commands import PlaceOrder
from citadel_micro.core.model.events import VenueStatus
from citadel_micro.shell.venue import adapter, request_socket
from citadel_micro.shell.venue.adapter import LiveAdapter
from citadel_micro.shell.venue.outcomes import NotSent
from citadel_micro.shell.venue.sending import RequestSender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from virtual_others import Market

    from citadel_micro.shell.order_adapter import Send, Sign, VenueCommand
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.outcomes import Outcome

REHEARSED = [
    pytest.param(each, marks=[] if each == "spot" else [pytest.mark.campaign])
    for each in virtual_others.MARKETS
]
SEEDS, LYING = examples(1, 200), examples(1, 60)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Thousands of lines about faults that are meant."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.configure(**before)


def several(seeds: Iterable[int], *rules: str) -> None:
    for seed in seeds:
        LiveRun(seed, rules=rules, kills=False, seconds=8).play()


MARKETS = pytest.mark.parametrize("market", ["spot", "usdm"])
ALL = pytest.mark.parametrize("market", list(virtual_others.MARKETS))


@ALL
@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_order_is_doubled_lost_or_placed_blind(seed: int, market: Market) -> None:
    LiveRun(seed, market=market).play()


@ALL
@pytest.mark.parametrize("seed", range(LYING))
def test_an_exchange_that_lies_loses_nothing_either(seed: int, market: Market) -> None:
    rules = tuple(f"{lie}=0.3" for lie in LIES)
    LiveRun(seed, market=market, rules=rules, kills=False, lies=True).play()


@pytest.mark.campaign
def test_orders_are_repriced_by_an_amend_or_by_another_order() -> None:
    futures = [LiveRun(seed, market="usdm", rules=()).play() for seed in range(4, 8)]
    assert sum(run.counts.get("amend", 0) for run in futures) > 0
    spot = LiveRun(1, rules=(), kills=False).play()
    assert any(parent.reprices for parent in spot.engine.order_store.known.values())


@pytest.mark.parametrize("market", ["spot", "usdm"])
def test_a_key_that_was_revoked_and_a_ban_end_with_everything_accounted_for(
    market: Market,
) -> None:
    for seed, rule in ((2, "key-revoked=0.1"), (4, "banned=0.1")):
        LiveRun(seed, market=market, rules=(rule,), kills=False, seconds=6).play()


def test_the_same_seed_is_the_same_run() -> None:
    first, second = (LiveRun(3).play() for _ in range(2))
    assert first.counts["place"] > 0
    assert (first.digest, first.counts) == (second.digest, second.counts)


@pytest.mark.parametrize("market", REHEARSED)
def test_rehearsals_change_nothing_at_any_venue(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = LiveRun(1, market=market, rules=(), seconds=6).play()
    prepare, signed = LiveAdapter.prepare, 0

    def rehearsed(self: LiveAdapter, command: VenueCommand, now_ns: int) -> Sign:
        nonlocal signed
        order = command.order if isinstance(command, Approved) else None
        if isinstance(order, PlaceOrder):
            self.rehearse(replace(order, client_id=f"{order.client_id[:-1]}z"))
            signed += 1
        return prepare(self, command, now_ns)

    monkeypatch.setattr(LiveAdapter, "prepare", rehearsed)
    again = LiveRun(1, market=market, rules=(), seconds=6).play()
    assert signed > 0
    assert (again.digest, again.counts) == (plain.digest, plain.counts)


def test_killed_processes_leave_nothing_behind() -> None:
    runs = [LiveRun(seed, rules=()).play() for seed in range(4)]
    assert sum(run.counts.get("kill", 0) for run in runs) >= 4
    assert sum(run.counts.get("fill", 0) for run in runs) >= 4


LATE = ("unknown-late=1,for=9.9",)
"""Every order is answered "unknown" at once, and carried out just within the 10 s of the back end."""
LATE_RUNS: dict[Market, tuple[int, ...]] = {
    "spot": (0, 1, 5),
    "usdm": (1, 4),
    "okx": (2,),
    "bybit": (0,),
    "kraken": (2,),
    "hyperliquid": (5,),
}
LATE_SEEDS = pytest.mark.parametrize(("market", "seeds"), LATE_RUNS.items(), ids=LATE_RUNS)


@LATE_SEEDS
def test_an_order_is_not_believed_absent_before_the_back_end_has_timed_out(
    market: Market, seeds: tuple[int, ...]
) -> None:
    for seed in seeds:
        run = LiveRun(seed, market=market, rules=LATE, kills=False, seconds=8).play()
        assert run.counts["order"] > 0


@MARKETS
def test_one_that_is_believed_absent_too_early_is_found(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = replace(virtual_others.MARKETS[market].abilities, backend_timeout_ns=0)
    monkeypatch.setattr(virtual_others.MARKETS[market], "abilities", hasty)
    monkeypatch.setattr(orders if market == "spot" else usdm_orders, "ABILITIES", hasty)
    run = LiveRun(1, market=market, rules=LATE, kills=False, seconds=8)
    with pytest.raises(AssertionError, match=r"overfill|Parent"):
        run.play()


# the checks themselves


def test_an_order_that_is_sent_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = RequestSender.prepare

    def twice(self: RequestSender, request: Request, done: Callable[[Outcome], None]) -> Send:
        send = prepared(self, request, done)
        if request.method != "order.place":
            return send
        again = prepared(self, request, lambda _outcome: None)
        return lambda: (send(), again())

    monkeypatch.setattr(RequestSender, "prepare", twice)
    with pytest.raises(AssertionError, match=r"two orders|overfill"):
        several(range(6))


def test_silence_that_counts_as_a_refusal_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_socket, "Unknown", NotSent)
    with pytest.raises(AssertionError):
        several((6, 11), "answer-lost=0.3")


def test_an_order_that_is_placed_blind_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        adapter, "VenueStatus", lambda **values: replace(VenueStatus(**values), blind=False)
    )
    with pytest.raises(AssertionError, match="blind"):
        several(range(6))


def test_a_failure_is_made_small_and_says_how_to_repeat_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_socket, "Unknown", NotSent)
    rules = ("event-duplicated=0.5", "answer-lost=1", "session-cut=0")
    _, least, what = played(Play(seed=6, rules=rules, kills=False, seconds=8))
    assert least.rules == ("answer-lost=1",)
    assert f"--first {least.seed} --runs 1 --seconds {least.seconds} --no-kills" in what
    assert "--fault answer-lost=1" in what
