"""A real Freqtrade in the test's own process, between a simulator and a scripted micro."""

from __future__ import annotations

import json
import time
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from freqtrade.enums import State
from freqtrade.persistence import PairLocks, Trade
from freqtrade.worker import Worker
from quick_start import Started
from scripted_micro import ScriptedMicro

from citadel_macro.demo import demo_config
from citadel_macro.exchange import BridgeMixin
from citadel_macro.launcher import Launch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from citadel_macro.micro_client import MicroLink

STRATEGIES: Final = Path(__file__).parents[1] / "macro" / "strategies"
HELD_STOPS: Final = {
    "entry": "limit",
    "exit": "limit",
    "stoploss": "market",
    "stoploss_on_exchange": True,
}
"""Types of orders of a bot whose stops micro holds."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """Addresses of a running ``citadel sim``."""

    rest: str
    ws: str

    def quotes(self) -> dict[str, tuple[float, float]]:
        """Best bid and ask of every pair, now."""
        with urllib.request.urlopen(f"{self.rest}/api/v3/ticker/bookTicker") as answer:  # noqa: S310 - loopback
            rows = json.load(answer)
        return {
            row["symbol"].removesuffix("USDT") + "/USDT": (
                float(row["bidPrice"]),
                float(row["askPrice"]),
            )
            for row in rows
        }


@dataclass(slots=True)
class Rig:
    """One Freqtrade, one micro, and the prices they see."""

    micro: Any
    worker: Worker
    launch: Launch
    quotes: dict[str, tuple[float, float]]
    config: dict[str, Any]
    folder: Path
    signals: str
    stack: ExitStack
    state: State | None = None

    @property
    def bot(self) -> Any:  # noqa: ANN401 - Freqtrade's, with what tests need of its insides
        return self.worker.freqtrade

    @property
    def strategy(self) -> Any:  # noqa: ANN401 - the puppet, loaded by path
        return self.bot.strategy

    @property
    def exchange(self) -> BridgeMixin:
        exchange = self.bot.exchange
        assert isinstance(exchange, BridgeMixin)
        return exchange

    def step(self) -> None:
        """One turn of Freqtrade's own worker loop."""
        self.state = self.worker._worker(old_state=self.state)
        if self.state == State.RELOAD_CONFIG:
            throttle = self.worker._throttle_secs
            self.worker._reconfigure()
            self.worker._throttle_secs = throttle  # the configuration takes whole seconds only

    def until(self, what: Callable[[], Any], seconds: float = 60.0) -> Any:  # noqa: ANN401 - what it returns
        """Turn until ``what`` is true; fail after ``seconds``."""
        deadline = time.monotonic() + seconds
        while True:
            self.step()
            result = what()
            if result:
                return result
            assert time.monotonic() < deadline, f"not so after {seconds} s"

    @contextmanager
    def unfilled_timeout(self, seconds: float) -> Iterator[None]:
        """Let Freqtrade give up what has not been filled after that long, and not after two seconds."""
        limits = self.strategy.config["unfilledtimeout"]
        before = dict(limits)
        limits |= {"entry": seconds, "exit": seconds}
        try:
            yield
        finally:
            limits |= before

    def trade(self, pair: str, *, is_open: bool = True) -> Any:  # noqa: ANN401 - a Trade, mostly
        """Newest trade of a pair, or None."""
        found = Trade.get_trades([Trade.pair == pair, Trade.is_open.is_(is_open)]).all()
        return found[-1] if found else None

    def restart_micro(self) -> ScriptedMicro:
        """A new scripted micro on the old one's address, with its orders and balances."""
        self.micro.stop()
        micro = self.stack.enter_context(
            ScriptedMicro(
                signals=self.signals,
                market=self.micro.address,
                quotes=lambda: self.quotes,
                state=self.micro,
            )
        )
        self.micro = micro
        return micro


def unlock(*pairs: str) -> None:
    """End Freqtrade's locks of pairs: a pair whose trade has closed is locked until the next candle, up to a minute.

    Its own way in, without a side, leaves those of one side in force, and such is that one.
    """
    for pair in pairs:
        for side in ("long", "short"):
            PairLocks.unlock_pair(pair, side=side)


PATIENCE: Final = {"ack_timeout_ms": 5_000, "cancel_wait_ms": 5_000, "query_timeout_ms": 5_000}
"""Settings with which a micro that answers is heard, however seldom this machine runs its threads.

A test in which it does not answer waits so long for it, or says a shorter time (``impatient``).
"""


@contextmanager
def impatient(link: MicroLink) -> Iterator[None]:
    """For a micro that will not answer: it is not waited for."""
    settings, config = link.settings, link.connector.config
    link.settings = settings.model_copy(update={"cancel_wait_ms": 100, "query_timeout_ms": 100})
    link.connector.config = replace(config, ack_timeout=0.1)
    try:
        yield
    finally:
        link.settings, link.connector.config = settings, config


class RealMicro:
    """``citadel micro`` in a process of its own, trading on paper on the simulator.

    Args:
        folder: for its journal and log.
        signals: address that macro binds.
        market: address for it to bind.
        more: further words of its command line.
    """

    def __init__(
        self, simulator: Simulator, folder: Path, signals: str, market: str, *more: str
    ) -> None:
        self.address = market
        self.log = folder / "micro.log"
        self._ready = folder / "micro.json"
        self._words = [
            *("micro", "--mode", "paper", "--run-dir", str(folder / "micro"), "--http", "off"),
            *("--symbols", "BTC/USDT,ETH/USDT", "--signals", signals, "--market", market),
            *("--rest-url", simulator.rest, "--ws-url", simulator.ws),
            *("--commands", f"ipc://{folder / 'cli'}", "--ready-file", str(self._ready)),
            *more,
        ]
        self._process: Started | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start, and wait until it is ready."""
        self._ready.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = Started(self._words, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self._ready.exists():
            assert self._process.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, "micro is not ready after 30 s"
            time.sleep(0.05)

    def kill(self) -> None:
        """As by kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(
    simulator: Simulator,
    folder: Path,
    port: int,
    *,
    micro: ScriptedMicro | RealMicro | None = None,
    quotes: dict[str, tuple[float, float]] | None = None,
    **over: Any,  # noqa: ANN401 - parts of a Freqtrade configuration
) -> Iterator[Rig]:
    """Boot Freqtrade in this process, bridged to a scripted micro (a new one if none is given)."""
    signals = f"tcp://127.0.0.1:{port}"
    quotes = quotes or simulator.quotes()
    with ExitStack() as stack:
        if micro is None:
            prices = quotes
            micro = stack.enter_context(ScriptedMicro(signals=signals, quotes=lambda: prices))
        config = puppet_config(simulator, folder, signals, micro.address) | over
        path = folder / "config.json"
        path.write_text(json.dumps(config))
        launch = stack.enter_context(Launch().patched())
        stack.callback(launch.close)
        worker = Worker({"config": [str(path)], "command": "trade"})
        stack.callback(worker.exit)
        worker._throttle_secs = 0.1  # the configuration takes whole seconds only
        yield Rig(micro, worker, launch, quotes, config, folder, signals, stack)


def puppet_config(simulator: Simulator, folder: Path, signals: str, market: str) -> dict[str, Any]:
    """Configuration for the puppet strategy, with short time limits."""
    config = demo_config(
        simulator.rest, simulator.ws, signals=signals, market=market, user_dir=folder
    )
    config.pop("citadel_sample")
    config["citadel"] |= PATIENCE
    return config | {
        "strategy": "Puppet",
        "strategy_path": str(STRATEGIES),
        "unfilledtimeout": {"entry": 2, "exit": 2, "exit_timeout_count": 0, "unit": "seconds"},
    }
