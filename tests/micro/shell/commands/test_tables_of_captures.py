"""The table of ``citadel books`` at the widths of real terminals, with the longest contents."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from citadel_micro.shell.capture.books import Rebuilt
from citadel_micro.shell.commands.feeds_group import table_of
from citadel_micro.shell.marketdata.spec import venue_spec


class Long(Rebuilt):
    """Three books whose names and numbers are as long as they get."""

    def to_json(self) -> dict[str, Any]:
        one = {
            "unified": "1000000MOGWAI/USDT:USDT",
            "state": "SYNCING",
            "levels": [12_345, 12_345],
            "top20": {"bids": [["123456.78", "1"]], "asks": [["123456.79", "1"]]},
            "deltas": 12_345_678,
            "gaps": 1_234,
            "resyncs": 1_234,
            "checksums": {"ok": 1_234_567, "failed": 1},
        }
        none = one | {"top20": {"bids": [], "asks": []}, "checksums": {"ok": 0, "failed": 0}}
        short = one | {"unified": "BTC/USDT"}
        return {"symbols": {"1000000MOGWAIUSDT": one, "BTCUSDT": short, "ETHUSDT": none}}


@pytest.mark.parametrize("width", [80, 120])
def test_the_books_of_a_capture_fit_a_terminal(width: int) -> None:
    console = Console(width=width)
    with console.capture() as captured:
        console.print(table_of(Long(venue_spec("binance-spot"), frames=123_456_789)))
    shown = captured.get()
    assert max(map(len, shown.splitlines())) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    for text in ("123456.78", "12345/12345", "12345678", "1234567/1234568", "SYNCING"):
        assert text in shown
