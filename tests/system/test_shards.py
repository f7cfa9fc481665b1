"""Two micros of one configuration under one macro, as processes: one is killed, the other goes on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from process_kit import Program, until

from citadel_bridge.config import ConnectorConfig, NewSignal
from citadel_bridge.connector import HybridConnector
from citadel_bridge.errors import MicroUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

VENUE = "binance-spot"
PAIRS = {"1/2": "ETH/USDT", "2/2": "BTC/USDT"}


@pytest.fixture
def micros(
    tmp_path: Path, free_port: Callable[[], int]
) -> Iterator[tuple[str, dict[str, Program], dict[str, Any]]]:
    """Where macro is to publish, the programs by their share, and what each said when it was ready."""
    signals = f"tcp://127.0.0.1:{free_port()}"
    pairs = ",".join(PAIRS.values())
    words = ("sim", "--port", "0", "--symbols", pairs, "--history-days", "1", "--no-futures")
    programs = {"sim": Program(tmp_path, "sim", *words)}
    try:
        exchange = programs["sim"].start()
        for share in PAIRS:
            name = f"micro-{share[0]}"
            programs[share] = Program(
                tmp_path,
                name,
                *("micro", "--run-dir", str(tmp_path / name), "--symbols", pairs),
                *("--rest-url", exchange["rest"], "--ws-url", exchange["ws"]),
                *("--signals", signals, "--commands", "tcp://127.0.0.1:1"),
                *("--market", f"tcp://127.0.0.1:{free_port()}", "--http", "off"),
                *("--shard", share),
            )
        with ThreadPoolExecutor() as pool:
            ready = dict(
                zip(PAIRS, pool.map(lambda share: programs[share].start(), PAIRS), strict=True)
            )
        yield signals, programs, ready
    finally:
        for program in programs.values():
            program.close()


def test_each_works_its_own_pairs_whatever_happens_to_the_other(
    micros: tuple[str, dict[str, Program], dict[str, Any]], tmp_path: Path
) -> None:
    signals, programs, ready = micros
    connector = HybridConnector(
        ConnectorConfig(
            signals=signals,
            market=tuple(ready[share]["market"] for share in PAIRS),
            state_path=tmp_path / "i.sqlite",
            ack_timeout=10.0,
        )
    )
    connector.start()
    try:
        until(lambda: len(connector.peers()) == 2)
        runs = [peer.instance for peer in connector.peers()]
        until(lambda: all(map(connector.mirror.receives_us, runs)))
        until(lambda: all(connector.book(VENUE, pair) for pair in PAIRS.values()))
        by_pair = {}
        for pair in PAIRS.values():
            report = connector.submit(order(connector, pair)).report
            assert report is not None
            assert report.status == "working", report
            by_pair[pair] = report.instance.rpartition("-")[0]
        assert by_pair == {"ETH/USDT": "micro-1", "BTC/USDT": "micro-2"}
        assert connector.query_balances(VENUE, 5.0)["USDT"].total.startswith("200000")
        assert len(connector.query_orders(VENUE, timeout=5.0, working=True)) == 2
        programs["2/2"].close()
        until(lambda: connector.routing.silent() == ["micro-2"])
        with pytest.raises(MicroUnavailable, match=PAIRS["2/2"]):
            connector.submit(order(connector, PAIRS["2/2"]))
        again = connector.submit(order(connector, PAIRS["1/2"])).report
        assert again is not None
        assert again.status == "working"
    finally:
        connector.close()


def order(connector: HybridConnector, pair: str) -> NewSignal:
    """An entry of about 100 USDT, below the market."""
    book = connector.book(VENUE, pair)
    assert book is not None
    price = book.bids[0][0] * 0.98
    return NewSignal(
        venue=VENUE,
        symbol=pair,
        side="buy",
        quantity=f"{100 / price:.3f}",
        limit_price=f"{price:.2f}",
        algo="limit",
        ttl=120.0,
    )
