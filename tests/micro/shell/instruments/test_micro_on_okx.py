"""A whole micro on paper at a venue whose rules come through ccxt."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import zmq
from ccxt_kit import okx
from fetching_here import FetchHere
from markets_kit import Exchange

from citadel_bridge.channels import Inbox, Publisher, SubscriberFD
from citadel_bridge.sockets import Endpoint
from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import MicroConfig
from citadel_micro.shell.instruments import run_rules
from citadel_micro.shell.journal.verify import verify
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.messages import TERMINAL_STATUSES, BookSnapshot, ExecutionReport, Signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = ("okx", "BTC/USDT")


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event to await
            await asyncio.sleep(0.01)


class Peer:
    """Sends signals and hears reports."""

    def __init__(self) -> None:
        self.context = zmq.Context[Any]()
        self.publisher = Publisher(self.context, "tcp://127.0.0.1:0", stamp={"epoch": 1})
        self.reports: list[ExecutionReport] = []
        self.live = False
        self.reader: SubscriberFD | None = None

    def follow(self, address: str) -> None:
        inbox = Inbox(decode_market, self._hear)
        self.reader = SubscriberFD(
            asyncio.get_running_loop(), self.context, [Endpoint(address)], [topics.ALL], inbox
        )

    def _hear(self, _topic: object, message: object) -> None:
        if isinstance(message, ExecutionReport):
            self.reports.append(message)
        self.live |= isinstance(message, BookSnapshot) and message.state == "LIVE"

    def ended(self) -> bool:
        return any(report.status in TERMINAL_STATUSES for report in self.reports)

    def close(self) -> None:
        if self.reader is not None:
            self.reader.close()
        self.publisher.close()
        self.context.destroy(linger=0)


def buy(quantity: str) -> Signal:
    now_ns = time.time_ns()
    return Signal(
        signal_id="s1",
        strategy="Test",
        venue="okx",
        symbol="BTC/USDT",
        side="buy",
        quantity=quantity,
        algo="marketable_limit",
        created_ns=now_ns,
        expires_ns=now_ns + 30_000_000_000,
        epoch=1,
        seq=0,
    )


def test_micro_trades_on_okx_by_okxs_own_rules(
    shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        player = okx(shared_dir)
        player.pause_s, player.again = 0.002, True
        await player.start()
        peer = Peer()

        def config(run: str, rest_url: str, **rules: Any) -> MicroConfig:  # noqa: ANN401 - a table
            return MicroConfig(
                run_dir=tmp_path / run,
                bridge={
                    "macros": [peer.publisher.address],
                    "command_lines": [],
                    "market": "tcp://127.0.0.1:0",
                },
                http={"enabled": False},
                venues={
                    "okx": {
                        "symbols": ["BTC/USDT"],
                        "rest_url": rest_url,
                        "ws_url": f"ws://{player.url}",
                        "start_timeout_s": 0.5,
                    }
                },
                instruments=rules,
                journal={"fsync": False},
            )

        async with Exchange() as exchange:
            micro = Micro(config("run", exchange.url))
            try:
                await micro.start()
                rules = micro.engine.inst_states[KEY].instrument
                assert (rules.tick, rules.lot) == (Decimal("0.1"), Decimal("0.00000001"))
                peer.follow(micro.market_address)
                await until(lambda: peer.live)
                peer.publisher.publish(buy("0.01234567"))
                await until(peer.ended)
                report = peer.reports[-1]
                assert (report.status, report.filled) == ("filled", "0.01234567")
                assert all(Decimal(fill.price) % rules.tick == 0 for fill in report.fills)
                # okx takes its fee, 0.15 %, in what is received.
                paid = sum(Decimal(fill.fee) for fill in report.fills)
                assert {fill.fee_currency for fill in report.fills} == {"BTC"}
                assert paid == Decimal("0.01234567") * Decimal("0.0015")
                journal = micro.journal.path
            finally:
                await micro.close()
            assert verify(journal).difference is None
            assert list((tmp_path / "run" / "instruments").glob("okx@*.json"))

            # The tick changes; what is remembered was counted in the old one. Now without children.
            monkeypatch.setattr(run_rules, "ChildFetch", FetchHere)
            exchange.answers["instType=SPOT"]["data"][0]["tickSz"] = "0.01"
            assert await tick_of(config("run", exchange.url)) == Decimal("0.1")
            # A folder that remembers nothing begins with the new one ...
            assert await tick_of(config("new", exchange.url)) == Decimal("0.01")
            # ... and goes on with it when the venue's list cannot be had.
            exchange.status = 503
            assert await tick_of(config("new", exchange.url)) == Decimal("0.01")
            shared = {"cache_dir": tmp_path / "new" / "instruments"}
            assert await tick_of(config("third", exchange.url, **shared)) == Decimal("0.01")
        peer.close()
        await player.stop()

    async def tick_of(config: MicroConfig) -> Decimal:
        micro = Micro(config)
        try:
            await micro.start()
            return micro.engine.inst_states[KEY].instrument.tick
        finally:
            await micro.close()

    asyncio.run(main())


@pytest.mark.campaign
def test_micro_trades_on_paper_through_a_generic_connector(
    shared_dir: Path, tmp_path: Path
) -> None:
    async def main() -> None:
        player = okx(shared_dir)
        player.pause_s, player.again = 0.002, True
        await player.start()
        peer = Peer()
        async with Exchange() as exchange:
            exchange.answers["instType=OPTION"] = {"code": "0", "msg": "", "data": []}
            micro = Micro(
                MicroConfig(
                    run_dir=tmp_path,
                    bridge={
                        "macros": [peer.publisher.address],
                        "command_lines": [],
                        "market": "tcp://127.0.0.1:0",
                    },
                    http={"enabled": False},
                    venues={
                        "ccxt-okx": {
                            "symbols": ["BTC/USDT"],
                            "rest_url": exchange.url,
                            "ws_url": f"ws://{player.url}",
                        }
                    },
                    journal={"fsync": False},
                )
            )
            try:
                await micro.start()
                peer.follow(micro.market_address)
                await until(lambda: peer.live)
                peer.publisher.publish(msgspec.structs.replace(buy("0.01"), venue="ccxt-okx"))
                await until(peer.ended)
                assert (peer.reports[-1].status, peer.reports[-1].filled) == (
                    "filled",
                    "0.01000000",
                )
            finally:
                await micro.close()
        peer.close()
        await player.stop()

    asyncio.run(main())
