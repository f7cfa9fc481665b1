"""``citadel micro`` in live mode, and a strategy beside its engine: a client of ``bench_tick.py``.

    tick_ours.py FOLDER PORT VENUE

Micro is whole: feeds, engine, risk gate, journal, uplink, the venue's adapter. On each frame of a
measurement the strategy posts a signal, as a market tap would; or, in mode ``reprice``, nothing: an
order rests, and micro itself follows the frame's new best bid. Modes are words: ``sync`` or ``nosync``
for the journal, ``ws`` or ``rest`` for orders, ``busy`` for ``busy_poll``, ``spin`` for
that without its rehearsals, ``reprice``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop
from tick_control import Control, connect

from citadel_micro.adapters.live import LiveOrders
from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.model.events import (
    CancelReceived,
    DepthUpdate,
    OrderAmended,
    SignalReceived,
)
from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import load
from citadel_micro.shell.quick_loop import BusyPoll
from citadel_micro.shell.rehearsal import Rehearsals
from citadel_micro.shell.venue.adapter import LiveAdapter
from citadel_micro.simulator.accounts import named_keys
from citadel_micro.simulator.binance_spot.records import account_uid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.abilities import VenueAbilities
    from citadel_micro.core.model.events import Event, MarketEvent, Side

S = 1_000_000_000
SYMBOLS = {"binance-spot": "BTC/USDT", "binance-usdm": "BTC/USDT:USDT"}
CLOSED = {"filled", "canceled", "expired", "rejected", "done_dust", "closed"}
LIMITS = """
[risk]
lease_required = false
max_order_notional = 1000000
max_position_notional = 1000000
max_gross_exposure = 1000000
max_net_exposure = 1000000
max_open_orders = 50
max_daily_loss = 100000
max_rolling_loss = 100000
max_drawdown = 100000
max_order_quantity = {"*" = 1000}
max_position_quantity = {"*" = 1000}
max_venue_exposure = {"*" = 1000000}
price_collar_bps = 500.0
max_spread_bps = 300.0
"""


class Unlimited(LiveOrders):
    """The live adapters, without the pace that keeps to a real venue's limits."""

    def abilities(self, venue: str) -> VenueAbilities:
        """As the venue's, but for the pace."""
        return replace(super().abilities(venue), messages_per_second=100_000, message_burst=100_000)


def config_text(folder: Path, port: int, venue: str) -> str:
    """Live mode on the relay's port, with the account of this client."""
    name = f"ours-{venue}"
    key = named_keys(name)[0]
    account = account_uid(name)
    keys = folder / "keys"
    keys.mkdir(mode=0o700)
    path = keys / "key.toml"
    path.touch(mode=0o600)
    path.write_text(
        f"venue = '{venue}'\naccount = '{account}'\nnetwork = 'testnet'\n"
        f"id = '{key.key_id}'\nsecret = '{key.secret}'\n"
    )
    rest, ws = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    addresses = f"ws_url = '{ws}'\nws_api_url = '{ws}/ws-api/v3'\n"
    if venue == "binance-usdm":
        stream = f"{ws}/fstream"
        addresses = (
            f"ws_url = '{stream}/public/stream'\nprivate_ws_url = '{stream}'\n"
            f"ws_api_url = '{ws}'\nleverage = 5\nmargin_mode = 'isolated'\n"
        )
    return (
        f"mode = 'live'\nlive_account = '{account}'\nrun_dir = '{folder}/run'\n"
        "[bridge]\nmarket = 'tcp://127.0.0.1:0'\nmacros = []\ncommand_lines = []\n"
        "macro_required = false\n[http]\nenabled = false\n[log]\nlevel = 'warning'\n"
        f"[venues.{venue}]\nnetwork = 'testnet'\nsymbols = ['{SYMBOLS[venue]}']\n"
        f"key_file = '{path}'\nrest_url = '{rest}'\nprivate_rest_url = '{rest}'\n{addresses}{LIMITS}"
    )


class Strategy:
    """Trades on frames of measurements, and tells the relay when an order is over."""

    def __init__(self, micro: Micro, venue: str) -> None:
        self.micro = micro
        self.venue = venue
        self.control: Control | None = None
        self.resting = ""
        self.mode: set[str] = set()
        self._poll: BusyPoll | None = None
        its = {key: each.instrument for key, each in micro.engine.inst_states.items()}
        now = micro.runner.clock.now
        self._rehearsals = Rehearsals(micro.engine.config, its, micro.adapters, now, micro.uplink)
        self._count = 0
        self._base = os.getpid()
        runner: Any = micro.runner
        self.runner = runner
        runner.market_taps.append(self._tap)
        self._publish = runner._uplink.publish  # noqa: SLF001 - the end of an order is seen there
        runner._uplink = self  # noqa: SLF001 - as above
        self._post_many = runner.post_many
        runner.post_many = self._posted
        self._journal = runner._journal  # noqa: SLF001 - with and without its sync in one run

    def publish(self, command: Any, now_ns: int) -> None:  # noqa: ANN401 - as the uplink
        """As the uplink, and notice ends."""
        self._publish(command, now_ns)
        if isinstance(command, PublishReport) and command.status in CLOSED:
            if command.status == "rejected":
                print("rejected", command.reason_code, command.reason, file=sys.stderr, flush=True)
            if "reprice" not in self.mode:
                self._ready()

    def _posted(self, events: Iterable[Event]) -> None:
        events = tuple(events)
        self._post_many(events)
        if "reprice" in self.mode and any(isinstance(each, OrderAmended) for each in events):
            self._ready()

    def _ready(self) -> None:
        if self.control is not None:
            asyncio.get_running_loop().call_soon(self.control.ready)

    def _tap(self, event: MarketEvent, market: MarketBook, now_ns: int) -> None:  # noqa: ARG002
        if not self.mode or "reprice" in self.mode:
            return
        if isinstance(event, DepthUpdate) and not event.snapshot and event.last_seq % 2:
            self._count += 1
            buying = self._count % 2 == 1
            self.runner.post(
                self._signal("buy" if buying else "sell", "0.002" if buying else "0.0019", now_ns)
            )

    def _signal(
        self, side: Side, quantity: str, now_ns: int, **params: float | str
    ) -> SignalReceived:
        self._count += bool(params)
        algo = "peg" if params else "marketable_limit"
        given: dict[str, float | str | bool] = {"max_cross_bps": 100.0, "repeat": False}
        if self.venue == "binance-usdm":
            quantity = "0.002"
        return SignalReceived(
            signal_id=f"s-{self._base}-{self._count}-{len(params)}-{time.time_ns()}",
            strategy="Bench",
            venue=self.venue,
            symbol=SYMBOLS[self.venue],
            side=side,
            quantity=Decimal(quantity),
            kind="order",
            order_type="limit" if params else "market",
            limit_price=None,
            stop_price=None,
            time_in_force="GTC",
            reduce_only=False,
            leverage=Decimal(1),
            algo=algo,
            params=tuple(sorted((params or given).items())),
            confidence=None,
            model_id="",
            tag="",
            candle_ns=0,
            created_ns=now_ns,
            expires_ns=now_ns + 3600 * S,
            epoch=1,
            seq=0,
        )

    def told(self, words: str) -> None:
        """The mode of the next measurement; ready for its first frame when it is in force."""
        self.mode = set(words.split())
        self._journal._fsync = "sync" in self.mode  # noqa: SLF001 - as above
        adapter = self.micro.adapters[self.venue]
        assert isinstance(adapter, LiveAdapter)  # noqa: S101 - live mode
        # Without a connection for orders they go over REST.
        wire: Any = adapter._dialect.fallback if "rest" in self.mode else None  # noqa: SLF001
        own: Any = adapter
        own._sender.__dict__.pop("wire", None)  # noqa: SLF001 - as above
        if wire is not None:
            own._sender.wire = wire  # noqa: SLF001 - as above
        loop = asyncio.get_running_loop()
        if self._poll is not None:
            self._poll.close()
        self._poll = None
        if self.mode & {"busy", "spin"}:
            meanwhile = self._rehearsals.turn if "busy" in self.mode else None
            self._poll = BusyPoll(loop, meanwhile=meanwhile)
        loop.create_task(self._begin())  # noqa: RUF006 - ends soon

    async def _begin(self) -> None:
        runner, store = self.runner, self.micro.engine.order_store
        if self.resting:
            runner.post(CancelReceived(signal_id=self.resting, reason="over", operator=True))
            self.resting = ""
            while store.active:  # noqa: ASYNC110 - nothing here tells of its end
                await asyncio.sleep(0.01)
        if "reprice" in self.mode:
            signal = self._signal(
                "buy",
                "0.002",
                runner.clock.now(),
                # Far below: the simulator's own market moves, and must not fill it.
                offset_ticks=-20_000,
                min_dwell_ms=0,
            )
            self.resting = signal.signal_id
            runner.post(signal)
            while not ((parent := store.known[self.resting]).live and parent.live[0].acknowledged):
                if parent.closed:
                    print(
                        "closed", parent.state, parent.reason_code, parent.reason, file=sys.stderr
                    )
                    return
                await asyncio.sleep(0.01)
        self._ready()
        if not self.mode - {"stop"}:
            self.mode = set()


async def main(folder: Path, port: int, venue: str) -> None:
    """Start micro, and trade until this process is ended."""
    path = folder / "micro.toml"
    path.write_text(config_text(folder, port, venue))
    micro = Micro(load(path), orders=Unlimited())
    try:
        await micro.start()
        market = micro.engine.markets[venue, SYMBOLS[venue]]
        adapter = micro.adapters[venue]
        assert isinstance(adapter, LiveAdapter)  # noqa: S101 - live mode
        # Back to back, more orders leave in ten seconds than a real venue takes of an account.
        adapter.budget.wait_ns = lambda *_: 0  # type: ignore[method-assign]
        while (  # noqa: ASYNC110 - nothing tells when all of it is up
            market.state != "LIVE"
            or micro.engine.reconciling
            or adapter.entry.current is None
            or adapter.stream.current is None
        ):
            await asyncio.sleep(0.05)
        await asyncio.sleep(5.5)  # the collector is frozen by then
        strategy = Strategy(micro, venue)
        strategy.control = await connect(port, strategy.told)
        await micro.wait()
    finally:
        await micro.close()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
