"""A capture of our own making, and ``citadel work`` as its users run it."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from citadel_bridge import cli

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MS = 1_000_000
BEGIN_NS = 1_700_000_000_000 * MS


@dataclass
class Market:
    """Binance spot frames of AAA/USDT, tick 0.1 and lot 0.01, one call after the other."""

    lines: list[bytes] = field(default_factory=list)
    now_ns: int = BEGIN_NS
    update: int = 100
    trades: int = 0

    def _frame(self, text: object) -> None:
        row = {"recv_ns": self.now_ns, "kind": "frame", "conn": 0, "text": json.dumps(text)}
        self.lines.append(json.dumps(row).encode() + b"\n")

    def wait(self, ms: int) -> None:
        self.now_ns += ms * MS

    def snapshot(self, bids: Mapping[str, str], asks: Mapping[str, str]) -> None:
        self._frame(
            {"lastUpdateId": self.update, "bids": list(bids.items()), "asks": list(asks.items())}
        )

    def depth(self, bids: Mapping[str, str], asks: Mapping[str, str]) -> None:
        self.wait(100)
        self.update += 1
        data = {
            "e": "depthUpdate",
            "E": self.now_ns // MS,
            "s": "AAAUSDT",
            "U": self.update,
            "u": self.update,
            "b": list(bids.items()),
            "a": list(asks.items()),
        }
        self._frame({"stream": "aaausdt@depth@100ms", "data": data})

    def trade(self, price: str, quantity: str, *, buyer_is_maker: bool) -> None:
        self.trades += 1
        data = {
            "e": "trade",
            "E": self.now_ns // MS,
            "s": "AAAUSDT",
            "t": self.trades,
            "p": price,
            "q": quantity,
            "T": self.now_ns // MS,
            "m": buyer_is_maker,
            "M": True,
        }
        self._frame({"stream": "aaausdt@trade", "data": data})

    def write(self, path: Path) -> Path:
        with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
            packed.writelines(self.lines)
        return path


def walk(market: Market, seconds: int = 20) -> None:
    """Levels of 2.01 around 100 that step up and down; somebody sells and buys all the time."""
    levels = [f"{price / 10:.1f}" for price in range(985, 1016)]
    middle = 15
    market.snapshot(
        dict.fromkeys(reversed(levels[:middle]), "2.01"),
        dict.fromkeys(levels[middle + 1 :], "2.01"),
    )
    for step in range(seconds * 10):
        if step % 10 == 0:
            # The market moves one tick; what it leaves behind is taken and offered anew.
            old, middle = middle, middle + (1 if (step // 30) % 2 == 0 else -1)
            low, high = min(old, middle), max(old, middle)
            if middle > old:
                market.depth({levels[low]: "2.01"}, {levels[high]: "0"})
            else:
                market.depth({levels[low]: "0"}, {levels[high]: "2.01"})
        else:
            # Orders come to the best bid and are withdrawn from it.
            market.depth({levels[middle - 1]: "1.01" if step % 2 else "2.01"}, {})
        market.trade(levels[middle - 1], "0.21", buyer_is_maker=True)
        market.trade(levels[middle + 1], "0.21", buyer_is_maker=False)


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty seconds of AAA/USDT on binance-spot."""
    market = Market()
    walk(market)
    return market.write(tmp_path_factory.mktemp("capture") / "aaa.jsonl.gz")


class Done(NamedTuple):
    """How a run of ``citadel`` ended."""

    returncode: int
    stdout: str
    stderr: str


class Citadel:
    """Runs ``citadel``, in this process unless a hash seed is asked for."""

    def __call__(
        self, *arguments: str | Path, hash_seed: int | None = None, kernel: str = "auto"
    ) -> Done:
        words = [str(argument) for argument in arguments]
        if hash_seed is None:
            out, err = io.StringIO(), io.StringIO()
            with redirect_stdout(out), redirect_stderr(err):
                code = cli.main(words)
            return Done(code, out.getvalue(), err.getvalue())
        done = subprocess.run(
            [sys.executable, "-m", "citadel_bridge.cli", *words],
            capture_output=True,
            timeout=120,
            check=False,
            env=os.environ | {"PYTHONHASHSEED": str(hash_seed), "CITADEL_KERNEL": kernel},
        )
        return Done(done.returncode, done.stdout.decode(), done.stderr.decode())

    def work(self, capture: Path, *more: str | Path, **changes: str) -> Any:  # noqa: ANN401 - JSON
        """Outcome of a run that has to end with 0."""
        done = self(*self.arguments(capture, **changes), *more, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def refuse(self, capture: Path, *more: str | Path, **changes: str) -> str:
        """Message of a run that has to end with 2, with nothing on standard output."""
        done = self(*self.arguments(capture, **changes), *more)
        assert done.returncode == 2, (done.stdout, done.stderr)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return done.stderr

    @staticmethod
    def arguments(capture: Path, **changes: str) -> list[str | Path]:
        values = {"venue": "binance-spot", "symbol": "AAA/USDT", "side": "buy", "quantity": "1"}
        options: list[str | Path] = ["work", "--capture", capture]
        for name, value in (values | changes).items():
            options += [f"--{name.replace('_', '-')}", value]
        return options


@pytest.fixture(scope="session")
def citadel() -> Citadel:
    """The command line."""
    return Citadel()
