"""Pairs that are followed while a macro names them, live on the simulated exchange."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from effort import campaign
from kraken_bench import KrakenDesk
from live_desk import Desk
from spot_kit import SYMBOL
from waiting import until

from citadel_micro.core.orders.order_states import ParentState
from citadel_micro.daemon import Micro
from citadel_micro.shell import follower
from citadel_micro.shell.config.config import load
from citadel_micro.shell.journal.verify import verify_journal
from citadel_micro.simulator.config import SimulatorConfig
from citadel_micro.simulator.server import SimulatorServer
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

ETH, SOL, XRP = "ETH/USDT", "SOL/USDT", "XRP/USDT"


def named(desk: Desk, *pairs: str) -> None:
    """What a macro's heartbeat names."""
    assert desk.micro.uplink.on_pairs is not None
    desk.micro.uplink.on_pairs("macro-1", tuple((desk.venue, pair) for pair in pairs))


async def follows(desk: Desk, *pairs: str) -> None:
    def so() -> bool:
        named(desk, *pairs)
        return all(desk.micro.engine.markets[desk.venue, each].state == "LIVE" for each in pairs)

    await until(so)


@pytest.mark.parametrize(
    ("kind", "beside"), [(Desk, ()), campaign(KrakenDesk, ("kraken",), id="kraken")]
)
def test_pairs_come_and_go_live_and_only_trades_of_what_is_ours_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Desk], beside: tuple[str, ...]
) -> None:
    monkeypatch.setattr(follower, "TURN_S", 0.02)

    async def body(desk: Desk) -> None:
        early = await desk.ended(desk.signal("buy", "1", algo="marketable_limit", symbol=SOL))
        assert early.reason_code == "BOOK_NOT_LIVE"
        assert "no macro has asked for it" in early.reason

        await follows(desk, ETH)
        bought = await desk.ended(desk.signal("buy", "0.1", algo="marketable_limit", symbol=ETH))
        assert bought.state is ParentState.FILLED, bought.reason
        first = desk.micro.journal.path
        assert await desk.micro.stop("a restart") is True
        await desk.micro.close()

        # What is held is followed before any macro is heard, and only its trades are read.
        await desk.start()
        await until(lambda: desk.micro.engine.markets[desk.venue, ETH].state == "LIVE")
        foreign = desk.micro.engine.portfolio.foreign
        assert {symbol for _, symbol in foreign.known_ns} == {SYMBOL, ETH}
        held = desk.micro.engine.portfolio.quantity(desk.venue, ETH)
        step = desk.micro.engine.inst_states[desk.venue, ETH].instrument.lot
        quantity = str(held // step * step)
        sold = await desk.ended(desk.signal("sell", quantity, algo="marketable_limit", symbol=ETH))
        assert sold.state is ParentState.FILLED, sold.reason
        await follows(desk, ETH, XRP)
        assert not desk.micro.engine.risk.breakers.trips, "what comes and goes is no outage"
        second = desk.micro.journal.path
        assert await desk.micro.stop("the end") is True
        await desk.micro.close()
        for path in (first, second):
            said: list[str] = []
            assert verify_journal(path, said.append) == 0, said

    async def main() -> None:
        pairs = (SYMBOL, ETH, SOL, XRP)
        config = SimulatorConfig(symbols=pairs, history_days=1, warm_minutes=1, venues=beside)
        async with SimulatorServer(config) as server:
            desk = kind(server, tmp_path, "hmac")
            desk.of_venue = "on_demand = ['*/USDT']\n"
            try:
                await desk.start()
                await body(desk)
            finally:
                for micro in desk.started:
                    await micro.close()

    asyncio.run(main())


def test_where_each_pair_is_prepared_at_the_start_it_has_a_name(tmp_path: Path) -> None:
    async def main() -> None:
        config = load(
            overrides={
                "run_dir": tmp_path,
                "venues": {"binance-usdm": {"on_demand": ["*/USDT:USDT"]}},
            }
        )
        live = config.model_copy(update={"mode": "live"})
        with pytest.raises(BadInput, match="on demand live at binance-usdm") as refused:
            Micro(live)
        assert "live at binance-spot, kraken-spot; on paper anywhere" in str(refused.value)

    asyncio.run(main())
