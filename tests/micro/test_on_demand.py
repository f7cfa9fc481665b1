"""Pairs that are followed while a macro names them: a whole micro on paper, on the simulator."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import zmq
from waiting import until

from citadel_bridge.channels import Inbox, Publisher, SubscriberFD
from citadel_bridge.sockets import Endpoint
from citadel_micro.daemon import Micro
from citadel_micro.shell import follower
from citadel_micro.shell.config.config import load
from citadel_micro.shell.journal.verify import verify_journal
from citadel_micro.shell.ops.health import check
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.errors import BadInput
from citadel_proto.messages import TERMINAL_STATUSES, ExecutionReport, MacroHeartbeat, Signal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

VENUE = "binance-spot"
ALWAYS, ETH, SOL, XRP = "BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT"
NS = 1_000_000_000


class Macro:
    """Names pairs, sends orders, and hears the reports."""

    def __init__(self) -> None:
        self.context = zmq.Context[Any]()
        self.publisher = Publisher(self.context, "tcp://127.0.0.1:0", stamp={"epoch": 1})
        self.reports: dict[str, ExecutionReport] = {}
        self.reader: SubscriberFD | None = None
        self.sent = 0

    def listen(self, address: str) -> None:
        def hear(_topic: bytes, message: object) -> None:
            if isinstance(message, ExecutionReport):
                self.reports[message.signal_id] = message

        loop, inbox = asyncio.get_running_loop(), Inbox(decode_market, hear)
        self.reader = SubscriberFD(loop, self.context, [Endpoint(address)], [topics.ALL], inbox)

    def close(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self.publisher.close()
        self.context.destroy(linger=0)

    def names(self, *pairs: str) -> bool:
        self.publisher.publish(
            MacroHeartbeat(
                instance="macro-1",
                epoch=1,
                seq=0,
                state="running",
                wall_ns=time.time_ns(),
                mono_ns=time.monotonic_ns(),
                pairs=tuple((VENUE, pair) for pair in pairs),
            )
        )
        return True

    async def trade(self, symbol: str, side: str, quantity: str) -> ExecutionReport:
        self.sent += 1
        name, now_ns = f"s-{self.sent}", time.time_ns()
        self.publisher.publish(
            Signal(
                signal_id=name,
                strategy="Test",
                venue=VENUE,
                symbol=symbol,
                side=side,  # type: ignore[arg-type]
                quantity=quantity,
                algo="marketable_limit",
                created_ns=now_ns,
                expires_ns=now_ns + 30 * NS,
                epoch=1,
                seq=0,
            )
        )

        def over() -> bool:
            report = self.reports.get(name)
            return report is not None and report.status in TERMINAL_STATUSES

        await until(over)
        return self.reports[name]


class Stage:
    def __init__(self, simulator: SimulatorServer, macro: Macro, folder: Path) -> None:
        self.simulator, self.macro, self.folder = simulator, macro, folder
        self.micros: list[Micro] = []

    async def up(self, on_demand: list[str], most: int = 40) -> Micro:
        venue = {
            "symbols": [ALWAYS],
            "on_demand": on_demand,
            "on_demand_most": most,
            "rest_url": self.simulator.rest_url,
            "ws_url": self.simulator.ws_url,
            "start_timeout_s": 1.0,
        }
        bridge = {"macros": [self.macro.publisher.address], "market": "tcp://127.0.0.1:0"}
        config = load(
            overrides={
                "run_dir": self.folder / "run",
                "bridge": bridge | {"command_lines": []},
                "http": {"port": 0},
                "venues": {VENUE: venue},
                "journal": {"fsync": False},
            }
        )
        micro = Micro(config)
        self.micros.append(micro)
        await micro.start()
        self.macro.listen(micro.market_address)
        await self.live(micro, ALWAYS)
        await until(lambda: not micro.engine.reconciling)
        return micro

    async def live(self, micro: Micro, *symbols: str, names: tuple[str, ...] = ()) -> None:
        def so() -> bool:
            if names:
                self.macro.names(*names)
            return all(micro.engine.markets[VENUE, each].state == "LIVE" for each in symbols)

        await until(so)


def followed(micro: Micro) -> set[str]:
    return {symbol for (_, symbol), _ in micro.engine.followed()}


@pytest.fixture
def run(tmp_path: Path) -> Callable[[Callable[[Stage], Awaitable[None]]], None]:
    @asynccontextmanager
    async def stage() -> AsyncIterator[Stage]:
        config = SimulatorConfig(symbols=(ALWAYS, ETH, SOL, XRP), history_days=1, warm_minutes=1)
        macro = Macro()
        async with SimulatorServer(config) as simulator:
            made = Stage(simulator, macro, tmp_path)
            try:
                yield made
            finally:
                for micro in made.micros:
                    await micro.close()
                macro.close()

    def go(body: Callable[[Stage], Awaitable[None]]) -> None:
        async def main() -> None:
            async with stage() as made:
                await body(made)

        asyncio.run(main())

    return go


def test_pairs_come_and_go_and_the_journal_replays(
    run: Callable[[Callable[[Stage], Awaitable[None]]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "TURN_S", 0.02)
    monkeypatch.setattr(follower, "LINGER_S", 0.1)

    async def body(s: Stage) -> None:
        micro = await s.up(["*/USDT"])
        assert followed(micro) == {ALWAYS}
        assert check(micro.vitals)[0], "what nobody asked for is no fault"

        early = await s.macro.trade(SOL, "buy", "1")
        assert (early.status, early.reason_code) == ("rejected", "BOOK_NOT_LIVE")
        assert early.reason.endswith("it is not followed: no macro has asked for it")

        await s.live(micro, ETH, SOL, names=(ETH, SOL))
        assert followed(micro) == {ALWAYS, ETH, SOL}
        bought = await s.macro.trade(ETH, "buy", "0.1")
        assert bought.status == "filled", bought.reason

        # Out of the list: SOL goes, and ETH stays as long as something is held there.
        await until(lambda: s.macro.names(XRP) and followed(micro) == {ALWAYS, ETH, XRP})
        await s.live(micro, XRP)
        gone = micro.engine.markets[VENUE, SOL]
        assert (gone.state, gone.reason) == (
            "SYNCING",
            "it is not followed: no macro names it any more",
        )
        held = micro.engine.portfolio.quantity(VENUE, ETH)
        sold = await s.macro.trade(ETH, "sell", str(held))
        assert sold.status == "filled", sold.reason
        if not micro.engine.portfolio.quantity(VENUE, ETH):
            await until(lambda: s.macro.names(XRP) and followed(micro) == {ALWAYS, XRP})
        assert not micro.engine.risk.breakers.trips, "leaving is no outage"

        # And back.
        await s.live(micro, SOL, names=(SOL,))
        assert (await s.macro.trade(SOL, "buy", "1")).status == "filled"

        assert await micro.stop("test") is True
        path = micro.journal.path
        await micro.close()
        said: list[str] = []
        assert verify_journal(path, said.append) == 0, said

        # What is open is followed after a restart, before any macro is heard.
        again = await s.up(["*/USDT"])
        await s.live(again, SOL)
        assert SOL in followed(again)

    run(body)


def test_no_more_than_the_limit_and_the_reason_is_reported(
    run: Callable[[Callable[[Stage], Awaitable[None]]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "TURN_S", 0.02)

    async def body(s: Stage) -> None:
        micro = await s.up([ETH, SOL, XRP], most=2)
        await s.live(micro, ETH, SOL, names=(ETH, SOL, XRP))
        await until(lambda: "2 others" in micro.engine.markets[VENUE, XRP].reason)
        refused = await s.macro.trade(XRP, "buy", "10")
        assert refused.reason_code == "BOOK_NOT_LIVE"
        assert "2 others are (venues.binance-spot.on_demand_most)" in refused.reason
        # One that nobody wants any more makes room at once, although it would linger.
        await s.live(micro, XRP, names=(ETH, XRP))
        assert followed(micro) == {ALWAYS, ETH, XRP}

    run(body)


def test_what_cannot_be_followed_is_refused_at_the_start(
    run: Callable[[Callable[[Stage], Awaitable[None]]], None],
) -> None:
    async def body(s: Stage) -> None:
        with pytest.raises(BadInput, match=r"fits \*/EUR"):
            await s.up(["*/EUR"])
        await s.micros[-1].close()
        with pytest.raises(BadInput, match="NOPE/USDT"):
            await s.up(["NOPE/USDT"])

    run(body)
