"""The exchange's faults in a live demo: asked for one by one, and told by what micro's journal says."""

from __future__ import annotations

import asyncio
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from citadel_micro.core.model.events import (
    OrderAccepted,
    OrderState,
    RequestTimedOut,
    VenueStatus,
)
from citadel_micro.demo.exchange_account import ExchangeAccount
from citadel_micro.demo.exchange_door import ExchangeDoor
from citadel_micro.demo.ledger import read_ledger
from citadel_micro.demo.market import FUTURES, SPOT, DemoMarket
from citadel_micro.demo.run import DemoRun
from citadel_micro.demo.settings import NETWORK, OPENING, Ports, micro_settings
from citadel_micro.demo.venue_events import Row, Sent
from citadel_micro.demo.venue_faults import (
    VenueStory,
    answer_lost,
    connections_cut,
    story,
    stream_mute,
)
from citadel_micro.preflight.boot import read_keys
from citadel_micro.shell.config.config import load
from citadel_micro.shell.keys.key_file import read_key_file
from citadel_micro.simulator.accounts import load_accounts
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MS = 1_000_000
HIT = 1_000_000 * MS


def row(ms: int, what: Any) -> Row:  # noqa: ANN401 - any event
    return Row(HIT + ms * MS, what)


def status(ms: int, *, up: bool = True, blind: bool = False, reason: str = "connected") -> Row:
    return row(ms, VenueStatus(venue=SPOT.venue, up=up, blind=blind, reason=reason))


def lost(ms: int, client_id: str = "c", request: Any = "place") -> Row:  # noqa: ANN401 - a literal
    return row(
        ms,
        RequestTimedOut(venue=SPOT.venue, symbol="AAA/USDT", client_id=client_id, request=request),
    )


def accepted(ms: int, client_id: str = "c") -> Row:
    return row(
        ms,
        OrderAccepted(
            venue=SPOT.venue,
            symbol="AAA/USDT",
            client_id=client_id,
            venue_order_id="7",
            exchange_ns=1,
        ),
    )


def state(ms: int) -> Row:
    return row(
        ms,
        OrderState(
            venue=SPOT.venue,
            symbol="AAA/USDT",
            client_id="c",
            status="open",
            source="order",
            price_ticks=1,
            quantity_lots=1,
            cumulative_lots=0,
            exchange_ns=1,
        ),
    )


# --- what became of a fault ----------------------------------------------------------------------


def test_an_order_without_an_answer_was_found_by_asking() -> None:
    rows = [accepted(-500, "other"), lost(2), accepted(40), state(41)]
    outcome = answer_lost(rows, HIT)
    assert outcome is not None
    assert (
        outcome.text == "AAA/USDT: not sent again; asked for it by its id, and found it after 38 ms"
    )
    assert not outcome.wrong


def test_or_the_stream_reported_it_before_the_loss_was_noticed() -> None:
    outcome = answer_lost([accepted(1), lost(2), state(90)], HIT)
    assert outcome is not None
    assert "reported on the user stream after 0 ms" in outcome.text


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [lost(-900), state(-800)],
        [lost(2, request="query"), state(3)],
        [lost(2)],
        [lost(2), accepted(3, "other")],
    ],
    ids=["nothing", "one of before", "a query", "in doubt still", "another's"],
)
def test_nothing_is_said_before_it_is_known(rows: Sequence[Row]) -> None:
    assert answer_lost(rows, HIT) is None


def test_a_mute_stream_is_noticed_and_nothing_is_sent_until_it_is_up_again() -> None:
    rows = [
        status(-5_000, up=False, reason="connecting"),
        row(500, Sent()),
        status(3_100, blind=True, reason="the stream is mute: order 7 is there"),
        status(3_400),
        row(3_500, Sent()),
    ]
    outcome = stream_mute(rows, HIT)
    assert outcome is not None
    assert outcome.text == "noticed after 3.1 s, up again 0.3 s later; no orders sent meanwhile"
    assert not outcome.wrong


def test_an_order_sent_blind_is_wrong() -> None:
    rows = [status(10, up=False, reason="cut"), row(20, Sent()), row(30, Sent()), status(400)]
    outcome = connections_cut(rows, HIT)
    assert outcome is not None
    assert outcome.wrong
    assert outcome.text.endswith("2 orders sent meanwhile")


@pytest.mark.parametrize(
    "rows",
    [
        [status(10)],
        [status(10, blind=True, reason="closed by the venue"), status(50)],
        [status(10, blind=True, reason="the stream is mute")],
        [status(10, blind=True, reason="the stream is mute"), status(20, up=False, reason="cut")],
    ],
    ids=["never down", "down for another reason", "blind still", "down still"],
)
def test_a_stream_that_stays_down_is_not_overcome(rows: Sequence[Row]) -> None:
    assert stream_mute(rows, HIT) is None


# --- one after another ---------------------------------------------------------------------------


class Door:
    """An exchange whose faults come true when the test says so."""

    def __init__(self) -> None:
        self.rules: list[str] = []
        self.log: list[dict[str, Any]] = []

    def add_fault(self, rule: str) -> None:
        self.rules.append(rule)

    def cut(self) -> None:
        self.rules.append("cut")

    def hits(self) -> list[dict[str, Any]]:
        return self.log


def test_a_fault_is_asked_for_when_the_one_before_is_overcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[Row] = []
    monkeypatch.setattr("citadel_micro.demo.venue_faults.venue_events", lambda _folder: rows)
    monkeypatch.setattr("citadel_micro.demo.venue_faults._CHECK_S", 0.0)
    door: Any = Door()
    venue = VenueStory(tmp_path, faults=story()[1:])
    said: list[str] = []
    venue.ask_next(said.append)
    assert (said, venue.current) == ([], None)  # the exchange is not up yet
    venue.door = door
    for _ in range(3):
        venue.ask_next(said.append)
        venue.check(said.append)
    assert door.rules == ["mute=once"]
    rows[:] = [status(10, blind=True, reason="the stream is mute"), status(500)]
    venue.check(said.append)
    assert venue.done == 0, "the fault that was asked for has not come true"
    door.log.append({"name": "mute", "time": HIT // MS})
    venue.check(said.append)
    assert (venue.done, venue.missing()) == (1, ["all private connections are cut"])
    venue.ask_next(said.append)
    assert door.rules == ["mute=once", "cut"]
    now_ms = (venue.faults[1].hit_ns - HIT) // MS
    rows[:] = [status(now_ms, up=False, reason="cut"), row(now_ms, Sent()), status(now_ms + 9)]
    venue.check(said.append)
    assert venue.missing() == []
    assert venue.wrong() == [f"all private connections are cut: {said[-1].partition(': ')[2]}"]
    venue.ask_next(said.append)
    assert len(door.rules) == 2


def test_on_paper_the_exchange_has_no_faults_and_no_account(tmp_path: Path) -> None:
    run = DemoRun(tmp_path, seed=1, machine_learning=False, paper=True)
    assert (run.account, run.venue.faults, run.way) == (None, [], "on paper")
    assert run.third_book() is None
    assert len(run.missing()) == 3
    assert len(DemoRun(tmp_path, seed=1, machine_learning=False).missing()) == 6


# --- the account -----------------------------------------------------------------------------------


def test_the_exchange_knows_the_key_by_its_public_half_only(tmp_path: Path) -> None:
    account = ExchangeAccount(tmp_path, SPOT)
    live = account.open()
    try:
        assert stat.S_IMODE(live.key_file.stat().st_mode) == 0o600
        assert not live.key_file.is_relative_to(tmp_path), "a run folder is copied and sent"
        key = read_key_file(live.key_file)
        (opened,) = load_accounts(account.accounts_file)
        (theirs,) = opened.keys
        assert (theirs.key_id, theirs.secret) == (key.id.reveal(), "")
        assert {each.value for each in theirs.permissions} == {"trade"}
        assert opened.balances == {"USDT": OPENING * 10**8}
        assert "PRIVATE" not in account.accounts_file.read_text()
    finally:
        account.close()
    assert not live.key_file.parent.exists()
    account.close()


@pytest.mark.parametrize(
    ("market", "paper"), [(SPOT, True), (SPOT, False), (FUTURES, True), (FUTURES, False)]
)
def test_micro_takes_every_configuration(tmp_path: Path, market: DemoMarket, paper: bool) -> None:
    account = ExchangeAccount(tmp_path, market)
    path = tmp_path / "micro.toml"
    try:
        path.write_text(
            micro_settings(
                {
                    "rest": "http://127.0.0.1:1",
                    "ws": "ws://127.0.0.1:1",
                    "ws_api": "ws://127.0.0.1:1",
                },
                Ports(),
                run_dir=tmp_path / "micro",
                market=market,
                seed=3,
                live=None if paper else account.open(),
            )
        )
        config = load(path)
        keys = read_keys(config)
    finally:
        account.close()
    venue = config.venues[market.venue]
    assert venue.symbols == list(market.pairs)
    assert config.limits().max_order_quantity[market.rejected] == 1
    if market.futures:
        assert (venue.leverage, venue.margin_mode) == (3, "isolated")
    if paper:
        assert (config.mode, config.paper.seed, keys) == ("paper", 3, {})
        assert config.paper.balances == {"USDT": OPENING}
    else:
        assert (config.mode, venue.network) == ("live", NETWORK)
        assert keys[market.venue].account == config.live_account


def test_the_operators_door_of_a_real_exchange(tmp_path: Path) -> None:
    account = ExchangeAccount(tmp_path, SPOT)
    account.open()
    account.close()
    path = tmp_path / "ledger.json"

    async def scenario() -> None:
        config = SimulatorConfig(
            symbols=SPOT.listed[:1],
            history_days=1,
            warm_minutes=1,
            accounts=load_accounts(account.accounts_file),
        )
        async with SimulatorServer(config) as server:
            url = f"{server.rest_url}/sim/v1"
            door = ExchangeDoor(url, server.control_token)
            await asyncio.to_thread(door.add_fault, "mute=once")
            await asyncio.to_thread(door.cut)
            assert await asyncio.to_thread(door.hits) == []
            path.write_text(json.dumps(await asyncio.to_thread(door.ledger)))
            with pytest.raises(PeerUnavailable, match="403"):
                await asyncio.to_thread(ExchangeDoor(url, "no").hits)
            with pytest.raises(PeerUnavailable, match="no fault is called"):
                await asyncio.to_thread(door.add_fault, "earthquake=once")
        with pytest.raises(PeerUnavailable, match="does not answer"):
            await asyncio.to_thread(door.hits)

    asyncio.run(scenario())
    ledger = read_ledger(path)
    assert (ledger.account, ledger.fills, ledger.unexplained()) == ("demo", [], {})
    assert ledger.balances == {"USDT": OPENING}
