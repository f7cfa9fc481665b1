"""Kills of one micro in a row, and what its last life and the exchange say of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from kill_markets import MARKETS, Market
from killed_micro import BOUNDARY_S, END_S, LIFE_S, UP_S, Plan, configure, start
from spot_kit import SYMBOL

from citadel_micro.shell.journal.verify import verify_journal
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

    from citadel_micro.sim.exchange.exchange import Exchange
    from citadel_micro.sim.exchange.model import Order

BY_CLOCK: Final = 0.2
"""Share of those that are killed after a time, and of those killed in their recovery."""
EARLY, LATEST = 40, 300
"""Boundaries of the recovery, and the last at which a process may kill itself."""


@dataclass(slots=True)
class Story:
    """Some lives of one micro, one after the other.

    Args:
        folder: its own.
        seed: of its signals, and of the boundaries.
        kills: how many.
        faults: of the exchange, while it is killed.
        market: where it trades.
    """

    folder: Path
    seed: int
    kills: int
    faults: tuple[str, ...] = ()
    market: Market = MARKETS["spot"]
    counts: dict[str, int] = field(default_factory=dict)

    def play(self) -> Story:
        """Kill, then let the last life end, then check. Raises AssertionError."""
        asyncio.run(self._play())
        return self

    async def _play(self) -> None:
        chance = Random(f"kills {self.seed}")
        config = SimulatorConfig(
            symbols=(SYMBOL,),
            history_days=1,
            warm_minutes=1,
            seed=self.seed,
            fault_rules=self.faults,
            futures=self.market.usdm,
            venues=(self.market.side,) if self.market.side else (),
        )
        book = self.folder / "book.json"
        async with SimulatorServer(config) as server:
            self.market.allow_many_starts(server)
            path = configure(self.folder, server, self.market)
            for number in range(self.kills):
                early = chance.random() < BY_CLOCK
                kill_at = chance.randint(*((1, EARLY) if early else (EARLY, LATEST)))
                await self._kill(start(self._plan(path, number, kill_at, book)), chance)
            server.spot.venue.faults.clear()
            process = start(self._plan(path, self.kills, 0, book))
            await _ended(process, UP_S + END_S + 30)
            assert process.exitcode == 0, f"the last life has ended with {process.exitcode}"
            self._check(self.market.exchange(server), json.loads(book.read_text()))
        for journal in sorted((self.folder / "run").glob("journal-*")):
            said: list[str] = []
            assert verify_journal(journal, said.append) == 0, (journal, said)

    def _plan(self, config: Path, number: int, kill_at: int, book: Path) -> Plan:
        return Plan(
            config=config,
            market=self.market,
            number=number,
            seed=self.seed,
            kill_at=kill_at,
            book=book,
        )

    async def _kill(self, process: ForkServerProcess, chance: Random) -> None:
        """It kills itself at its boundary; one that does not come to it is killed where it is."""
        by_clock = chance.random() < BY_CLOCK
        if not await _ended(
            process, LIFE_S * chance.random() if by_clock else BOUNDARY_S, strict=False
        ):
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            await _ended(process, 10)
            self._count("killed by the clock")
        assert process.exitcode == -signal.SIGKILL, f"it has ended with {process.exitcode}"
        self._count("kill")

    def _count(self, name: str, more: int = 1) -> None:
        self.counts[name] = self.counts.get(name, 0) + more

    def _check(self, exchange: Exchange, book: dict[str, Any]) -> None:
        orders = exchange.all_orders("demo", self.market.listed, limit=100_000)
        self._count("order", len(orders))
        names = [order.client_id for order in orders]
        assert len(set(names)) == len(names), "two orders of one id"
        assert [order for order in orders if order.open] == [], "orphans"
        filled: dict[str, int] = {}
        held = 0
        for order in orders:
            held += self._check_order(exchange, order, book, filled)
        for parent_id, lots in filled.items():
            parent = book["parents"][parent_id]
            assert lots == parent["filled"] <= parent["target"], (parent_id, lots, parent)
        assert Decimal(book["position"]) * E8 == held, (book["position"], held)
        for asset, ours in book["balances"].items():
            theirs = exchange.balances("demo")[asset]
            assert ours is not None, asset
            free, used = (Decimal(each) * E8 for each in ours)
            if self.market.margined:  # what of a wallet is free changes with every mark
                assert free + used == sum(theirs), (asset, ours, theirs)
                continue
            assert free == theirs[0], (asset, ours, theirs)
            assert used == theirs[1], (asset, ours, theirs)
        bad = [trip for trip in book["trips"] if "ANOMALY" in trip or "MISMATCH" in trip]
        assert not bad, bad

    def _check_order(
        self, exchange: Exchange, order: Order, book: dict[str, Any], filled: dict[str, int]
    ) -> int:
        """Its fills are ours; returns what it has changed of the coin, in 1e-8."""
        ours = book["orders"].get(order.client_id)
        assert ours is not None, f"forgotten: {order}"
        assert ours["filled"] == order.filled_lots, (ours, order)
        fills = exchange.my_trades("demo", order.symbol, order_id=order.order_id, limit=10_000)
        self._count("fill", len(fills))
        assert ours["trades"] == sorted(map(self.market.trade_name, fills)), (ours, fills)
        filled[ours["parent"]] = filled.get(ours["parent"], 0) + order.filled_lots
        lot_e8 = exchange.rules[order.symbol].spec.lot_e8
        sign = 1 if order.side == "BUY" else -1
        fees = sum(fill.fee_e8 for fill in fills if fill.fee_asset == SYMBOL.partition("/")[0])
        return sign * order.filled_lots * lot_e8 - fees


async def _ended(process: ForkServerProcess, seconds: float, *, strict: bool = True) -> bool:
    """Wait for the end of a process."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + seconds
    while process.exitcode is None:
        if loop.time() > end_s:
            assert not strict, f"it has not ended within {seconds:g} s"
            return False
        await asyncio.sleep(0.05)
    return True
