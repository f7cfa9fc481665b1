from __future__ import annotations

from typing import TYPE_CHECKING

from freqtrade.persistence import Trade
from freqtrade_kit import running
from scripted_micro import ScriptedMicro

from citadel_proto.messages import Signal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from freqtrade_kit import Simulator


def test_a_published_strategy_trades_unchanged(
    simulator: Simulator, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Freqtrade sends what the strategy's own columns say, for every pair, and nothing else."""
    port, quotes = free_port(), simulator.quotes()
    signals = f"tcp://127.0.0.1:{port}"
    with (
        ScriptedMicro(signals=signals, quotes=lambda: quotes) as micro,
        running(
            simulator, tmp_path, port, micro=micro, quotes=quotes,
            strategy="PlainEmaRsi", timeframe="5m",
        ) as rig,
    ):  # fmt: skip
        rig.until(lambda: rig.bot.last_process is not None)
        rig.step()
        said = {
            pair
            for pair in rig.bot.active_pair_whitelist
            if rig.bot.dataprovider.get_analyzed_dataframe(pair, "5m")[0]["enter_long"].iloc[-1]
            == 1
        }
        bought = {s.symbol for s in rig.micro.received if isinstance(s, Signal) and s.side == "buy"}
        assert bought == said
        assert {trade.pair for trade in Trade.get_trades([]).all()} == said
