"""One demo run: three processes on loopback, deliberate faults, and an audit at the end."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import zmq

from citadel_bridge.channels import Inbox
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_micro.demo.audit import Audit, compare, read_deleted, read_freqtrade, read_owners
from citadel_micro.demo.exchange_account import ExchangeAccount
from citadel_micro.demo.exchange_door import ExchangeDoor
from citadel_micro.demo.journals import orders_at_work, read_account, read_micro
from citadel_micro.demo.ledger import read_ledger
from citadel_micro.demo.market import LEVERAGE, SPOT
from citadel_micro.demo.processes import Child, wait_for_file
from citadel_micro.demo.settings import Ports, micro_settings
from citadel_micro.demo.state import DemoState, Incidents
from citadel_micro.demo.three_books import ThreeBooks, compare_ledger
from citadel_micro.demo.venue_faults import Funding, VenueStory, story
from citadel_micro.shell.ops.control import OVERVIEW, Request, ask
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.errors import BadInput, DecodeError, PeerUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from citadel_micro.demo.market import DemoMarket

_WANTED_ROUND_TRIPS: Final = 3
_READY_S: Final = 90.0
"""Longest start of one process; Freqtrade's imports alone take several seconds."""
_ASK_EVERY_S: Final = 1.0
_TRY_EVERY_S: Final = 0.5
_HOLD_S: Final = 8.0
"""How long Freqtrade keeps a position."""
_RESTART_AFTER_S: Final = 1.0
"""micro stays down for this long, so that macro's reaction to it is seen."""
_YOUNG_S: Final = 2.0
"""Funding is settled for trades that Freqtrade has held no longer: it leaves them after four times that."""


class DemoRun:
    """The processes of one run, step by step.

    Args:
        folder: run folder; created here, and left behind.
        seed: of the simulated market and of the paper venue.
        machine_learning: let the LightGBM strategy decide instead of the sample one.
        market: what is traded.
        paper: micro fills its orders on paper, and the exchange has market data only.
    """

    def __init__(
        self,
        folder: Path,
        *,
        seed: int,
        machine_learning: bool = False,
        paper: bool = False,
        market: DemoMarket = SPOT,
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.machine_learning = machine_learning
        self.market = market
        self.account = None if paper else ExchangeAccount(folder, market)
        self.state = DemoState(incidents=Incidents(only_restart=machine_learning))
        self.ports = Ports()
        self.wanted = _WANTED_ROUND_TRIPS
        self.round_trips = 0
        self.open_trades = 0
        self.deciding = False
        """Whether Freqtrade is up: it has created its database."""
        self.macro_due = 0.0
        """By when it must be."""
        self.database = folder / "freqtrade" / "trades.sqlite"
        self.journal = folder / "micro"
        faults = [] if paper else story()
        if faults and market.futures:
            faults.append(Funding(self._young).fault())
        self.venue = VenueStory(self.journal, faults=faults)
        self._since: dict[str, float] = {}
        """When the open trade of a pair was first seen to be entered, and without an order at work."""
        self.ledger_file = folder / "exchange-ledger.json"
        self._stop_file = folder / "no-new-entries"
        self.children: list[Child] = []
        self.sim = self._child("simulator", "citadel_bridge.cli", "sim")
        self.micro = self._child("micro", "citadel_micro")
        self.macro = self._child("freqtrade", "citadel_macro")
        self._killed_at = 0.0
        self._tried = 0.0
        """When it was last about to kill micro."""
        self._asked = 0.0

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
            *("--symbols", ",".join(self.market.listed)),
            "--futures" if self.market.futures else "--no-futures",
        ]
        live = None
        if self.account is not None:
            live = self.account.open()
            self.sim.argv += ["--accounts", str(self.account.accounts_file)]
        self.sim.start()
        wait_for_file(ready, self.sim, _READY_S)
        addresses = json.loads(ready.read_text())
        say(f"starting micro, {'on paper' if live is None else 'with a key of its account there'}")
        settings = micro_settings(
            addresses["usdm"] if self.market.futures else addresses,
            self.ports,
            run_dir=self.journal,
            market=self.market,
            seed=self.seed,
            live=live,
        )
        if live is not None:
            self.venue.door = ExchangeDoor(**addresses["control"], market=self.market.name)
        self._start_micro(settings)
        say("starting Freqtrade")
        self._start_macro(addresses)

    def _start_micro(self, settings: str) -> None:
        config = self.folder / "micro.toml"
        config.write_text(settings)
        self.micro.argv = [*self.micro.argv, "--config", str(config)]
        self.micro.start()

    def _start_macro(self, addresses: dict[str, Any]) -> None:
        config = self.folder / "freqtrade.json"
        story = self.folder / "freqtrade-story.json"
        words = ["demo-config", "--sim", addresses["rest"], "--sim-ws", addresses["ws"]]
        words += ["--signals", f"tcp://127.0.0.1:{self.ports.signals}"]
        words += ["--market", f"tcp://127.0.0.1:{self.ports.market}"]
        words += ["--user-dir", str(self.database.parent), "--pairs", ",".join(self.market.pairs)]
        words += ["--out", str(config)]
        if self.machine_learning:
            words.append("--ml")
        if self.market.futures:
            words.append("--futures")
        maker = Child("demo-config", [*self.macro.argv, *words], self.macro.log)
        maker.start()
        if maker.process is None or maker.process.wait() != 0:
            raise PeerUnavailable(f"no configuration for Freqtrade:\n{maker.tail()}")
        self.macro.argv = [*self.macro.argv, "trade", "--config", str(config)]
        story.write_text(json.dumps(self._story(), indent=2))
        strategy = "CitadelDemoML" if self.machine_learning else self.market.strategy
        self.macro.argv += ["--config", str(story), "--strategy", strategy]
        self.macro.start()
        self.macro_due = time.monotonic() + _READY_S

    def _story(self) -> dict[str, object]:
        """Freqtrade's settings beyond a usual configuration."""
        until: dict[str, object] = {"stop_file": str(self._stop_file)}
        if self.machine_learning:
            return {"citadel_demo": until}
        if self.market.futures:
            until["leverage"] = LEVERAGE
            until["short_pairs"] = [self.market.of(coin) for coin in self.market.shorts]
        hope = {"hopeful_pairs": [self.market.hopeful], "hope": self.market.hope}
        return {
            "citadel_sample": {"hold_s": _HOLD_S, "min_imbalance": -1.0},
            "citadel_demo": {**hope, **until},
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

    # the demo's sequence

    def step(self, say: Callable[[str], None]) -> None:
        """Look at everything once; kill micro, start it again, or let the exchange fail.

        One thing at a time: the exchange's first fault, the kill, then its others.

        Raises PeerUnavailable when a process has ended by itself, or does not come up.
        """
        self._count()
        self._drop_ended()
        incidents = self.state.incidents
        if not self._killed_at:
            self.venue.check(say)
        if self._killed_at:
            if time.monotonic() - self._killed_at >= _RESTART_AFTER_S:
                say("restarting micro on its journal")
                self.micro.start()
                self._killed_at = 0.0
                incidents.restarted = True
        elif self._may_kill:
            if self._kill(say):
                return
        elif incidents.restarted or not self.venue.done:
            self.venue.ask_next(say)
        for child in self.children:
            if not (child is self.micro and self._killed_at):
                child.require()

    def _kill(self, say: Callable[[str], None]) -> bool:
        """Kill micro, but only with an order at work, by the journal that it is going to read.

        What micro last reported is a moment old: the order may have ended since.
        """
        self._tried = time.monotonic()
        with self.micro.held():
            working = orders_at_work(self.journal)
            if not working:
                return False
            say(f"kill -9 micro, with {working} working order(s)")
            self.micro.kill()
        self.state.incidents.worked_through = working
        self._killed_at = time.monotonic()
        return True

    def _drop_ended(self) -> None:
        """Ask micro whether the orders shown as working still are: a terminal report that was lost is not repeated."""
        shown = [report.signal_id for report in self.state.working()]
        if not shown or self._killed_at or time.monotonic() - self._asked < _ASK_EVERY_S:
            return
        self._asked = time.monotonic()
        with suppress(PeerUnavailable, DecodeError):  # it is just starting
            answer = ask(self.journal, Request(OVERVIEW))
            if answer.get("state") == "running":
                self.state.only_open(shown, (order["id"] for order in answer["orders"]))

    @property
    def _may_kill(self) -> bool:
        """Whether it is time: something is at work, and the exchange's first fault is overcome."""
        return bool(
            not self.state.incidents.restarted
            and (self.venue.done or not self.venue.faults)
            and self.round_trips > 0
            and self.state.working()
            and time.monotonic() - self._tried >= _TRY_EVERY_S
        )

    def missing(self) -> list[str]:
        """What of the story has not happened yet, in words."""
        return [*self.state.incidents.missing(), *self.venue.missing()]

    def _count(self) -> None:
        try:
            orders, trades = read_freqtrade(self.database)
        except BadInput:  # Freqtrade creates its database a few seconds after its start
            if not self.deciding and time.monotonic() > self.macro_due and self.macro.running:
                raise PeerUnavailable(
                    f"Freqtrade was not up within {_READY_S:.0f} s; its log ends:\n"
                    f"{self.macro.tail()}"
                ) from None
            return
        self.deciding = True
        self.round_trips = sum(1 for trade in trades if not trade.open)
        self.open_trades = len(trades) - self.round_trips
        busy = {order.trade_id for order in orders if order.open}
        held = {order.trade_id for order in orders if order.filled} - busy
        settled = {trade.pair for trade in trades if trade.open and trade.trade_id in held}
        self._since = {pair: self._since.get(pair, time.monotonic()) for pair in settled}

    def _young(self) -> list[str]:
        """Pairs of trades that were entered a moment ago, and will be held for a while."""
        now = time.monotonic()
        return [pair for pair, since in self._since.items() if now - since < _YOUNG_S]

    @property
    def way(self) -> str:
        """How micro trades, in words."""
        return "on paper" if self.account is None else "live"

    @property
    def told(self) -> bool:
        """Whether all of the story has happened."""
        return self.round_trips >= self.wanted and not self.missing()

    @property
    def flat(self) -> bool:
        """No trade is open and no order working."""
        return self.open_trades == 0 and not self.state.working()

    def stop_entries(self) -> None:
        """Let Freqtrade close what it has, and open nothing new."""
        self._stop_file.touch()

    def stop(self) -> dict[str, int]:
        """End the processes: first macro, then micro, then the market.

        The exchange's ledger is asked for in between. Interrupted meanwhile, it ends them all at
        once: none is left behind.
        """
        try:
            codes = {child.name: child.stop() for child in (self.macro, self.micro)}
            self._keep_ledger()
            return codes | {self.sim.name: self.sim.stop()}
        except KeyboardInterrupt:
            for child in self.children:
                child.kill()
            raise
        finally:
            if self.account is not None:
                self.account.close()

    def _keep_ledger(self) -> None:
        if self.venue.door is not None and self.sim.running:
            with suppress(PeerUnavailable):  # its own end is told as its exit code
                self.ledger_file.write_text(json.dumps(self.venue.door.ledger(), indent=1))

    def audit(self) -> Audit:
        """Compare Freqtrade's books with micro's. Call when the processes have ended."""
        orders, trades = read_freqtrade(self.database)
        return compare(
            orders,
            trades,
            read_micro(self.journal),
            read_owners(self.database),
            read_deleted(self.database),
        )

    def third_book(self) -> ThreeBooks | None:
        """Compare the exchange's ledger with both; None on paper, where it has none.

        Raises BadInput when the exchange has not told it.
        """
        if self.account is None:
            return None
        return compare_ledger(
            read_ledger(self.ledger_file),
            *read_freqtrade(self.database),
            read_micro(self.journal),
            read_account(self.journal, self.market.venue),
        )
