"""A pytest fixture that runs a Freqtrade strategy on the candles of a recorded tape.

::

    def test_my_strategy_buys_the_dip(tape, freqtrade_strategy_on_tape):
        played = tape("recordings/monday.tape")
        candles = freqtrade_strategy_on_tape("strategies/Mine.py", played.records, "BTC/USDT", "1m")
        assert candles["enter_long"].sum() > 0

Every pytest run where the package is installed loads it, so it imports nothing until it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pandas import DataFrame

    from citadel_proto.tape import Record


@pytest.fixture
def freqtrade_strategy_on_tape(tmp_path: Path) -> Callable[..., DataFrame]:
    """Analyse the candles of a tape with a strategy; returns them with its columns."""

    def run(
        strategy: str | Path,
        records: Sequence[Record],
        symbol: str,
        timeframe: str = "1m",
        *,
        venue: str = "binance-spot",
    ) -> DataFrame:
        from citadel_macro.on_tape import analysed, candles_of  # noqa: PLC0415 - see the module's text

        candles = candles_of(records, venue, symbol, timeframe)
        return analysed(strategy, candles, symbol, timeframe, tmp_path)

    return run
