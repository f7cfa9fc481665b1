"""A plain ``zmq.proxy`` on each channel, between two macros and a micro: what the bridge promises holds through it."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest
import zmq
from engine_kit import SECOND, SYMBOL, VENUE, config
from engine_micro import EngineMicro

from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_proto.messages import TERMINAL_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Until = Callable[..., None]

pytestmark = pytest.mark.campaign
NAMES: Final = ("first", "second")


class Proxy:
    """XSUB to every publisher, XPUB to whoever subscribes; nothing of ours runs in it."""

    def __init__(self, address: str = "tcp://127.0.0.1:0") -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._in = self._context.socket(zmq.XSUB)
        self._out = self._context.socket(zmq.XPUB)
        for each in (self._in, self._out):
            each.setsockopt(zmq.LINGER, 0)
        self._out.bind(address)
        bound = self._out.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(bound, bytes)
        self.address = bound.rstrip(b"\0").decode()
        self._thread = threading.Thread(target=self._run)

    def start(self, *publishers: str) -> None:
        for each in publishers:
            self._in.connect(each)
        self._thread.start()

    def _run(self) -> None:
        try:
            zmq.proxy(self._in, self._out)
        except zmq.ContextTerminated:
            pass
        finally:
            self._in.close()
            self._out.close()

    def close(self) -> None:
        self._context.term()
        self._thread.join()


class Stage:
    """A micro, two macros, and a proxy on each channel."""

    def __init__(self, tmp_path: Path, parts: ExitStack) -> None:
        limits = paper_defaults(
            depth_participation_bps=10_000.0, stale_ns=600 * SECOND, signal_ttl_ns=600 * SECOND
        )
        settings = config(limits=limits, heartbeat_ns=SECOND // 10)
        self.micro = EngineMicro(settings)
        self.market, self.signals = Proxy(), Proxy()
        parts.callback(self.end_proxies)
        self.micro.follow(self.signals.address)
        parts.enter_context(self.micro)
        self.macros = [
            HybridConnector(
                ConnectorConfig(
                    signals="tcp://127.0.0.1:0",
                    market=(self.market.address,),
                    state_path=tmp_path / name,
                    strategy=name,
                    heartbeat=0.1,
                    dead_after=30.0,
                    ack_timeout=60.0,
                    ready_timeout=60.0,
                )
            )
            for name in NAMES
        ]
        for each in self.macros:
            parts.callback(each.close)
        self.start_proxies()
        for each in self.macros:
            each.start()
            assert each.wait_ready()

    def start_proxies(self) -> None:
        self.market.start(self.micro.address)
        self.signals.start(*(each.address for each in self.macros))

    def end_proxies(self) -> None:
        self.market.close()
        self.signals.close()

    def proxies_again(self) -> None:
        """New ones at the same addresses."""
        self.market, self.signals = Proxy(self.market.address), Proxy(self.signals.address)
        self.start_proxies()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as parts:
        yield Stage(tmp_path, parts)


def resting(price: str = "59000") -> NewSignal:
    return NewSignal(
        venue=VENUE,
        symbol=SYMBOL,
        side="buy",
        quantity="0.1",
        limit_price=price,
        algo="limit",
        ttl=600.0,
    )


def test_both_sides_know_each_other_and_orders_go_both_ways(stage: Stage, until: Until) -> None:
    sent = [each.submit(resting()).signal_id for each in stage.macros]
    for macro, name in zip(stage.macros, sent, strict=True):
        until(lambda of=macro, name=name: of.report(name).status == "working")
        assert macro.instance in stage.micro.macros
        macro.cancel(name)
    for macro, name in zip(stage.macros, sent, strict=True):
        until(lambda of=macro, name=name: of.report(name).status == "canceled")
        assert macro.mirror.sequences.missing == 0


def test_what_happens_while_the_proxies_are_away_is_known_when_they_are_back(
    stage: Stage, until: Until
) -> None:
    """An order ends, by a fill or since its macro is silent, and another is sent, while nothing passes."""
    first = stage.macros[0]
    ended = first.submit(resting()).signal_id
    until(lambda: (report := first.report(ended)) is not None and report.status == "working")
    stage.end_proxies()
    with stage.micro.lock:
        stage.micro.book(58_000.0, 58_000.1)  # below our bid
    parents = stage.micro.engine.order_store.known
    until(lambda: parents[ended].terminal)
    late = threading.Thread(target=first.submit, args=(resting("50000"),))
    late.start()
    sent = first.publisher.published
    until(lambda: first.publisher.published > sent + 20, what="it is sent, and nobody hears it")
    stage.proxies_again()
    until(lambda: first.report(ended).status in TERMINAL_STATUSES)  # type: ignore[union-attr]
    late.join()
    until(lambda: len(parents) > 1, what="the signal is published again until it is acknowledged")
    assert len(parents) == 2
