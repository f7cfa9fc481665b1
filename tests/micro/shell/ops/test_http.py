"""Health and metrics over real HTTP."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.core.portfolio.foreign import ForeignBook
from citadel_micro.core.portfolio.pnl_curve import LossCurve
from citadel_micro.core.risk.circuit_breakers import Breakers, Trip
from citadel_micro.shell.ops.health import Vitals
from citadel_micro.shell.ops.http import HttpServer
from citadel_micro.shell.stats import Stats
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.shell.bridge.uplink import Uplink
    from citadel_micro.shell.clock import Clock
    from citadel_micro.shell.runner import Runner

SECOND = 1_000_000_000


class FakeRun:
    """A run in good health, to be made ill."""

    reporting_currency = "USDT"

    def __init__(self) -> None:
        self.ns = 100 * SECOND
        self.market = MarketBook("v", "A/B", "range_bridge_spot")
        snapshot = DepthUpdate("v", "A/B", True, 1, 1, -1, None, [(1.0, 1.0)], [(2.0, 1.0)], 0, 0)
        self.market.on_depth(snapshot._replace(recv_ns=self.ns - SECOND))
        self.markets = {("v", "A/B"): self.market}
        self.inst_states = self.markets  # all of them are traded
        self.portfolio = self
        self.risk = self
        self.breakers = self
        self.tripped = Breakers(healthy_ns=1, cooldown_ns=1, probation_parents=1)
        self.executor = self
        self.sender = self
        self.blind: dict[str, str] = {}
        self.foreign = ForeignBook()
        self.orders_of_others: dict[str, tuple[str, ...]] = {}
        self.venue_down: dict[str, str] = {}
        self.reconciling = False
        self.unwatched_parents = 0
        self.failed = False
        self.live_children = 2
        self.last_beat_ns = self.ns
        self.macro_ns: int | None = None
        self.worth: Decimal | None = Decimal("99.5")
        self.published, self.dropped = 7, 1
        self.drift, self.steps, self.last_step_ns = 0, 0, 0
        self.limits = paper_defaults(
            dms_venues=("v",),
            max_daily_loss=Decimal(100),
            max_rolling_loss=Decimal(100),
            max_drawdown=Decimal(100),
        )
        self.dms_armed = {"v": True}
        self.config = self
        self.venues = {"v": None}
        self.macro_skews: dict[str, int] = {}
        self.undecodable = {"signal": 2}
        self.gained: Decimal | None = Decimal("-12.5")
        self.curve = LossCurve(SECOND)
        self.order_store = self
        self.active: dict[str, object] = {}
        self.lane_counts: dict[str, int] | None = None

    def followed(self) -> list[tuple[tuple[str, str], MarketBook]]:
        return sorted(self.markets.items())

    def now(self) -> int:
        return self.ns

    @property
    def trips(self) -> tuple[Trip, ...]:
        return self.tripped.trips

    def unwatched(self, now_ns: int) -> int:
        assert now_ns == self.ns
        return self.unwatched_parents

    def foreign_orders(self) -> dict[str, tuple[str, ...]]:
        return self.orders_of_others

    def drift_ns(self) -> int:
        return self.drift

    def beat_state(self) -> str:
        return "active"

    def open_parents(self, venue: str | None) -> int:
        assert venue is None
        return 3

    def equity(self) -> Decimal | None:
        return self.worth

    def profit(self) -> Decimal | None:
        return self.gained

    def positions(self) -> tuple[()]:
        return ()

    def skews(self, now_ns: int) -> dict[str, int]:
        del now_ns
        return self.macro_skews

    def refused(self) -> dict[str, object]:
        return {"subscribers_disconnected": 2}

    def listening(self) -> list[dict[str, object]]:
        return [{"address": "tcp://127.0.0.1:5555", "silent_ms": None, "connected_anew": 3}]

    def lane(self) -> dict[str, int] | None:
        return self.lane_counts

    def received_by(self, now_ns: int) -> list[str]:
        assert now_ns == self.ns
        return ["macro-1"]

    def macro_age_ns(self, now_ns: int) -> int | None:
        del now_ns
        return self.macro_ns

    def vitals(self, *, macro_required: bool = False) -> Vitals:
        stats = Stats()
        stats.events["DepthUpdate"] = 5
        stats.rejects["MAX_POSITION"] = 1
        stats.undecodable["signal"] = 1
        stats.signal_to_submit.histogram.observe(150_000)
        return Vitals(
            run_id="r",
            instance="micro",
            mode="paper",
            macro_required=macro_required,
            engine=cast("Engine", self),
            runner=cast("Runner", self),
            uplink=cast("Uplink", self),
            clock=cast("Clock", self),
            stats=stats,
            state="running",
        )


async def get(server: HttpServer, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(server.url + path) as response:
        return response.status, await response.text()


def serve(body: Callable[[HttpServer], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        server = HttpServer("127.0.0.1", 0)
        await server.start()
        try:
            await body(server)
        finally:
            await server.close()
            await server.close()

    asyncio.run(main())


def test_a_well_run_is_healthy() -> None:
    async def body(server: HttpServer) -> None:
        run = FakeRun()
        run.lane_counts = {"connected": 1, "in_step": 1}
        server.vitals = run.vitals()
        status, text = await get(server, "/healthz")
        found = json.loads(text)
        assert (status, found["status"], found["reasons"]) == (200, "ok", [])
        assert found["feeds"]["v:A/B"] == {
            "state": "LIVE",
            "reason": "",
            "age_ms": 1000,
            "proof_age_ms": 1000,
        }
        assert (found["open_parents"], found["risk"]) == (3, "active")
        assert found["heard_by"] == ["macro-1"]
        assert found["listening"][0]["connected_anew"] == 3
        assert found["lane"] == {"connected": 1, "in_step": 1}
        assert found["refused"] == {"subscribers_disconnected": 2}
        assert found["foreign"] == {"open_orders": {}, "net_traded": {}, "other_micros_hold": {}}

    serve(body)


def test_what_others_do_on_the_account_is_shown_and_is_no_illness() -> None:
    async def body(server: HttpServer) -> None:
        run = FakeRun()
        run.orders_of_others = {"v": ("web_1",)}
        run.foreign.net["v", "A/B"] = Decimal("-0.20")
        server.vitals = run.vitals()
        status, text = await get(server, "/healthz")
        found = json.loads(text)["foreign"]
        assert status == 200
        assert found["open_orders"] == {"v": ["web_1"]}
        assert found["net_traded"] == {"v:A/B": "-0.20"}

    serve(body)


def test_before_the_run_has_begun() -> None:
    async def body(server: HttpServer) -> None:
        status, text = await get(server, "/healthz")
        assert (status, json.loads(text)["state"]) == (503, "starting")
        assert (await get(server, "/metrics")) == (200, "")

    serve(body)


def stop(run: FakeRun, vitals: Vitals) -> None:
    del run
    vitals.state = "stopping"


def fail(run: FakeRun, vitals: Vitals) -> None:
    del vitals
    run.failed = True


def stick(run: FakeRun, vitals: Vitals) -> None:
    del vitals
    run.last_beat_ns = run.ns - 6 * SECOND


def break_feed(run: FakeRun, vitals: Vitals) -> None:
    del vitals
    run.market.check_age(run.ns + 100 * SECOND, SECOND)


def silence_macro(run: FakeRun, vitals: Vitals) -> None:
    vitals.macro_required = True
    run.macro_ns = 6 * SECOND


def tripped(code: str, scope: str) -> Callable[[FakeRun, Vitals], None]:
    def trip(run: FakeRun, vitals: Vitals) -> None:
        del vitals
        run.tripped.trip(code, scope, "why", run.ns)

    return trip


def deafen(run: FakeRun, vitals: Vitals) -> None:
    del vitals
    run.blind["v"] = "its stream is mute"


def disconnect(run: FakeRun, vitals: Vitals) -> None:
    del vitals
    run.venue_down["v"] = "socket closed"


def recover(run: FakeRun, vitals: Vitals) -> None:
    del vitals
    run.reconciling = True


def kill_macro(run: FakeRun, vitals: Vitals) -> None:
    del vitals
    run.unwatched_parents = 2


def unguard(run: FakeRun, vitals: Vitals) -> None:
    del vitals
    run.dms_armed["v"] = False


def test_what_holds_back_a_part_only_is_no_illness() -> None:
    async def body(server: HttpServer) -> None:
        run = FakeRun()
        server.vitals = run.vitals()
        run.tripped.trip("REJECT_BURST", "symbol:v:A/B", "five refusals", run.ns)
        run.tripped.trip("OPERATOR_PAUSE", "strategy:s", "news", run.ns)
        status, text = await get(server, "/healthz")
        assert (status, json.loads(text)["reasons"]) == (200, [])
        assert len(json.loads(text)["trips"]) == 2

    serve(body)


@pytest.mark.parametrize(
    ("hurt", "reason"),
    [
        (tripped("OPERATOR_HALT", "global"), "global is HALTED: OPERATOR_HALT (trip-1): why"),
        (tripped("OPERATOR_KILL", "global"), "global is KILLED: OPERATOR_KILL (trip-1): why"),
        (tripped("OVERFILL", "symbol:v:A/B"), "symbol:v:A/B is HALTED: OVERFILL (trip-1): why"),
        (tripped("OPERATOR_KILL", "strategy:s"), "strategy:s is KILLED"),
        (tripped("DAILY_LOSS", "global"), "global is REDUCING: DAILY_LOSS (trip-1): why"),
        (tripped("OPERATOR_PAUSE", "venue:v"), "venue:v is REDUCING"),
        (disconnect, "the order connection of v is down: socket closed"),
        (deafen, "nothing is placed on v, which does not tell what becomes of our orders"),
        (recover, "recovery is not complete"),
        (unguard, "no new risk on v, where nothing would cancel our orders"),
        (kill_macro, "the macro of 2 open orders has been silent for more than 5 s"),
        (stop, "micro is stopping"),
        (fail, "halted by a fault"),
        (stick, "micro publishes no heartbeats"),
        (break_feed, "book v:A/B is STALE"),
        (silence_macro, "macro is silent for 6.0 s"),
    ],
)
def test_each_illness_is_named(hurt: Callable[[FakeRun, Vitals], None], reason: str) -> None:
    async def body(server: HttpServer) -> None:
        run = FakeRun()
        server.vitals = run.vitals()
        hurt(run, server.vitals)
        status, text = await get(server, "/healthz")
        assert status == 503
        assert [each for each in json.loads(text)["reasons"] if each.startswith(reason)]

    serve(body)


def test_a_macro_that_is_required_must_be_connected() -> None:
    async def body(server: HttpServer) -> None:
        run = FakeRun()
        server.vitals = run.vitals(macro_required=True)
        status, text = await get(server, "/healthz")
        assert (status, json.loads(text)["reasons"]) == (503, ["macro was never connected"])
        run.macro_ns = SECOND
        status, text = await get(server, "/healthz")
        assert (status, json.loads(text)["macro_age_ms"]) == (200, 1000)

    serve(body)


def test_metrics_are_prometheus_text() -> None:
    async def body(server: HttpServer) -> None:
        run = FakeRun()
        run.macro_ns = SECOND
        server.vitals = run.vitals()
        _, text = await get(server, "/metrics")
        samples = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert samples["citadel_events_total", "DepthUpdate"] == 5
        assert samples["citadel_rejects_total", "MAX_POSITION"] == 1
        assert samples["citadel_dropped_frames_total", "signal"] == 3
        assert samples["citadel_feed_age_seconds", "A/B", "v"] == 1.0
        assert samples["citadel_feed_live", "A/B", "v"] == 1.0
        assert samples["citadel_open_parents",] == 3
        assert samples["citadel_live_children",] == 2
        assert samples["citadel_equity", "USDT"] == 99.5
        assert samples["citadel_macro_age_seconds",] == 1.0
        assert samples["citadel_signal_to_submit_seconds_bucket", "0.0001"] == 0
        assert samples["citadel_signal_to_submit_seconds_bucket", "0.0002"] == 1
        assert samples["citadel_signal_to_submit_seconds_count",] == 1
        assert samples["citadel_profit", "USDT"] == -12.5
        assert samples["citadel_loss", "drawdown"] == 12.5
        assert samples["citadel_loss_limit", "today"] == 100
        assert samples["citadel_risk_rank",] == 0
        run.worth = run.gained = None
        _, text = await get(server, "/metrics")
        assert "citadel_equity{" not in text
        assert "citadel_loss{" not in text, "what is not known is not 0"
        assert 'citadel_loss_limit{over="today"}' in text

    serve(body)


def test_metrics_of_a_lane() -> None:
    async def body(server: HttpServer) -> None:
        run = FakeRun()
        server.vitals = run.vitals()
        _, text = await get(server, "/metrics")
        lane = [line for line in text.splitlines() if line.startswith("citadel_lane")]
        assert lane == [], "without a lane there is nothing to count"
        run.lane_counts = {
            "connected": 3,
            "in_step": 2,
            "first": 50,
            "second_copies": 60,
            "left_to_zeromq": 7,
            "late": 1,
            "missed": 4,
            "left_out": 5,
            "ended": 6,
            "refused": 8,
        }
        _, text = await get(server, "/metrics")
        lane = [line for line in text.splitlines() if line.startswith("citadel_lane")]
        assert lane == [
            "citadel_lane_connected 3.0",
            "citadel_lane_in_step 2.0",
            'citadel_lane_received_total{as="first"} 50.0',
            'citadel_lane_received_total{as="second_copies"} 60.0',
            'citadel_lane_received_total{as="left_to_zeromq"} 7.0',
            'citadel_lane_received_total{as="late"} 1.0',
            "citadel_lane_missing_total 4.0",
            "citadel_lane_dropped_sends_total 5.0",
            "citadel_lane_ends_total 6.0",
            "citadel_lane_refusals_total 8.0",
        ]

    serve(body)


def test_a_port_in_use_is_reported_with_its_option() -> None:
    async def body(server: HttpServer) -> None:
        other = HttpServer("127.0.0.1", server.port)
        with pytest.raises(PeerUnavailable, match=f"{server.port} is in use.*--http"):
            await other.start()

    serve(body)


def test_an_address_of_another_machine() -> None:
    async def main() -> None:
        with pytest.raises(BadInput, match="cannot listen"):
            await HttpServer("192.0.2.1", 0).start()

    asyncio.run(main())


def test_clocks_are_reported() -> None:
    async def body(server: HttpServer) -> None:
        run = FakeRun()
        run.drift, run.steps, run.last_step_ns = 600 * SECOND, 1, 600 * SECOND
        server.vitals = run.vitals()
        status, text = await get(server, "/healthz")
        clock = json.loads(text)["clock"]
        assert (status, clock["steps"], clock["wall_minus_engine_ms"]) == (200, 1, 600_000.0)
        assert "600.000 s" in clock["note"]
        run.macro_skews = {"macro-1": -3 * SECOND, "macro-2": 0}
        status, text = await get(server, "/healthz")
        assert status == 503
        assert json.loads(text)["reasons"] == [
            "the clocks of macro-1 and of this machine differ by -3.000 s: no entries of it"
        ]

    serve(body)
