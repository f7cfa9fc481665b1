"""One demo run: three processes on loopback, a story with three faults, and an audit at the end."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import zmq

from citadel_bridge.channels import Inbox, SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_micro.demo.audit import Audit, compare, read_freqtrade, read_owners
from citadel_micro.demo.journals import read_micro
from citadel_micro.demo.processes import Child, free_port, wait_for_file
from citadel_micro.demo.state import DemoState, Incidents
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_WANTED_ROUND_TRIPS: Final = 3
REJECTED_PAIR: Final = "DOGE/USDT"
"""micro's limits permit next to nothing of it."""
HOPEFUL_PAIR: Final = "ADA/USDT"
"""Its orders ask for more than is offered, and are cancelled with a part filled."""
_HOPE: Final = 1_000_000.0
"""USDT of it that are asked for: several times what was ever traded in the seconds that its orders
live, and within the limits of ``_MICRO_TOML``."""
SYMBOLS: Final = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", HOPEFUL_PAIR, REJECTED_PAIR)
_READY_S: Final = 90.0
"""Longest start of one process; Freqtrade's imports alone take several seconds."""
_RESTART_AFTER_S: Final = 1.0
"""micro stays dead for this long, so that the other side is seen to notice nothing worse."""

_MICRO_TOML: Final = """\
# Made by `citadel demo`; `citadel micro --config` takes it as it is.
instance = "demo"
run_dir = "{run_dir}"

[bridge]
macros = ["tcp://127.0.0.1:{signals}"]
command_lines = ["tcp://127.0.0.1:{command_line}"]
market = "tcp://127.0.0.1:{market}"
macro_required = true

[venues.binance-spot]
symbols = {symbols}
rest_url = "{rest}"
ws_url = "{ws}"

[paper]
seed = {seed}
balances = {{ USDT = 2000000 }}

[http]
port = {http}

[risk]
max_order_quantity = {{ "{rejected}" = 1, "*" = 1000000000 }}
# The story needs an order of many times what the book shows, and its fees.
depth_participation_bps = 10000000
max_order_notional = 1500000
max_position_notional = 1500000
max_gross_exposure = 2000000
max_net_exposure = 2000000
max_venue_exposure = {{ "*" = 2000000 }}
max_daily_loss = 50000
max_rolling_loss = 50000
max_drawdown = 50000
lease_required = true
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Loopback ports of one run, all free when it starts."""

    signals: int = field(default_factory=free_port)
    command_line: int = field(default_factory=free_port)
    market: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)


class DemoRun:
    """The processes of one run and what happens to them, step by step.

    Args:
        folder: run folder; made here, and left behind.
        seed: of the simulated market and of the paper venue.
        machine_learning: let the LightGBM strategy decide instead of the sample one.
    """

    def __init__(self, folder: Path, *, seed: int, machine_learning: bool) -> None:
        self.folder = folder
        self.seed = seed
        self.machine_learning = machine_learning
        self.state = DemoState(incidents=Incidents(only_restart=machine_learning))
        self.ports = Ports()
        self.wanted = _WANTED_ROUND_TRIPS
        self.round_trips = 0
        self.open_trades = 0
        self.database = folder / "freqtrade" / "trades.sqlite"
        self.journal = folder / "micro"
        self._stop_file = folder / "no-new-entries"
        self.children: list[Child] = []
        self.sim = self._child("simulator", "citadel_bridge.cli", "sim")
        self.micro = self._child("micro", "citadel_micro")
        self.macro = self._child("freqtrade", "citadel_macro")
        self._killed_at = 0.0

    def _child(self, name: str, module: str, *words: str) -> Child:
        child = Child(name, ["-m", module, *words], self.folder / f"{name}.log")
        self.children.append(child)
        return child

    # start

    def start(self, say: Callable[[str], None]) -> None:
        """Start the three processes, each when the one before is ready.

        Raises PeerUnavailable when one of them does not come up.
        """
        for name in ("micro", "freqtrade"):
            (self.folder / name).mkdir(mode=0o700, parents=True)
        say("starting the exchange simulator")
        ready = self.folder / "simulator.json"
        self.sim.argv = [
            *self.sim.argv,
            *("--port", "0", "--seed", str(self.seed), "--ready-file", str(ready)),
            *("--symbols", ",".join(SYMBOLS)),
        ]
        self.sim.start()
        wait_for_file(ready, self.sim, _READY_S)
        addresses = json.loads(ready.read_text())
        say("starting micro")
        self._start_micro(addresses)
        say("starting Freqtrade")
        self._start_macro(addresses)

    def _start_micro(self, addresses: dict[str, str]) -> None:
        config = self.folder / "micro.toml"
        config.write_text(
            _MICRO_TOML.format(
                run_dir=self.journal,
                signals=self.ports.signals,
                command_line=self.ports.command_line,
                market=self.ports.market,
                http=self.ports.http,
                symbols=json.dumps(list(SYMBOLS)),
                rest=addresses["rest"],
                ws=addresses["ws"],
                seed=self.seed,
                rejected=REJECTED_PAIR,
            )
        )
        self.micro.argv = [*self.micro.argv, "--config", str(config)]
        self.micro.start()

    def _start_macro(self, addresses: dict[str, str]) -> None:
        config = self.folder / "freqtrade.json"
        story = self.folder / "freqtrade-story.json"
        words = ["demo-config", "--sim", addresses["rest"], "--sim-ws", addresses["ws"]]
        words += ["--signals", f"tcp://127.0.0.1:{self.ports.signals}"]
        words += ["--market", f"tcp://127.0.0.1:{self.ports.market}"]
        words += ["--user-dir", str(self.database.parent), "--pairs", ",".join(SYMBOLS)]
        words += ["--out", str(config)]
        if self.machine_learning:
            words.append("--ml")
        maker = Child("demo-config", [*self.macro.argv, *words], self.macro.log)
        maker.start()
        if maker.process is None or maker.process.wait() != 0:
            raise PeerUnavailable(f"no configuration for Freqtrade:\n{maker.tail()}")
        self.macro.argv = [*self.macro.argv, "trade", "--config", str(config)]
        story.write_text(json.dumps(self._story(), indent=2))
        strategy = "CitadelDemoML" if self.machine_learning else "CitadelDemo"
        self.macro.argv += ["--config", str(story), "--strategy", strategy]
        self.macro.start()

    def _story(self) -> dict[str, object]:
        """What Freqtrade is told beyond a usual configuration."""
        until: dict[str, object] = {"stop_file": str(self._stop_file)}
        if self.machine_learning:
            return {"citadel_demo": until}
        return {
            "citadel_sample": {"hold_s": 8.0, "min_imbalance": -1.0},
            "citadel_demo": {"hopeful_pairs": [HOPEFUL_PAIR], "hope": _HOPE, **until},
            "unfilledtimeout": {"entry": 8, "exit": 20, "exit_timeout_count": 0, "unit": "seconds"},
        }

    # watching

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listen on micro's market channel while the block runs, as any dashboard would."""
        inbox = Inbox(decode_market, lambda _topic, message: self.state.on_message(message))
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        reader = SubscriberThread(
            context,
            [Endpoint(f"tcp://127.0.0.1:{self.ports.market}")],
            [topics.ALL],
            inbox,
            name="demo-watch",
        )
        reader.start()
        try:
            yield
        finally:
            reader.close()
            context.term()

    # the story

    def step(self, say: Callable[[str], None]) -> None:
        """Look at everything once; kill or restart micro where the story is that far.

        Raises PeerUnavailable when a process has ended by itself.
        """
        self._count()
        incidents = self.state.incidents
        if self._killed_at:
            if time.monotonic() - self._killed_at >= _RESTART_AFTER_S:
                say("starting micro again, on the journal it left")
                self.micro.start()
                self._killed_at = 0.0
                incidents.restarted = True
        elif not incidents.restarted and self.round_trips > 0 and self.state.working():
            incidents.worked_through = len(self.state.working())
            say(f"kill -9 micro, with {incidents.worked_through} order(s) at work")
            self.micro.kill()
            self._killed_at = time.monotonic()
            return
        for child in self.children:
            if not (child is self.micro and self._killed_at):
                child.require()

    def _count(self) -> None:
        try:
            _, trades = read_freqtrade(self.database)
        except BadInput:
            return  # Freqtrade makes its database a few seconds after its start
        self.round_trips = sum(1 for trade in trades if not trade.open)
        self.open_trades = len(trades) - self.round_trips

    @property
    def told(self) -> bool:
        """Whether all of the story has happened."""
        return self.round_trips >= self.wanted and not self.state.incidents.missing()

    @property
    def flat(self) -> bool:
        """No trade is open and no order at work."""
        return self.open_trades == 0 and not self.state.working()

    def stop_entries(self) -> None:
        """Let Freqtrade close what it has, and open nothing new."""
        self._stop_file.touch()

    def stop(self) -> dict[str, int]:
        """End the processes: who decides first, then who executes, then the market.

        Interrupted meanwhile, it ends them all at once: none is left behind.
        """
        try:
            return {child.name: child.stop() for child in (self.macro, self.micro, self.sim)}
        except KeyboardInterrupt:
            for child in self.children:
                child.kill()
            raise

    def audit(self) -> Audit:
        """Compare both sides' books. Call when the processes have ended."""
        orders, trades = read_freqtrade(self.database)
        return compare(orders, trades, read_micro(self.journal), read_owners(self.database))
