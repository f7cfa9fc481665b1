"""A macro that reads too slowly loses books and never a report, and is told."""

from __future__ import annotations

import logging
import threading
from functools import partial
from typing import TYPE_CHECKING

from citadel_proto.packed_levels import pack_levels

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest
    from tests.bridge.conftest import Pair

    from citadel_bridge.config import NewSignal
    from citadel_bridge.connector import HybridConnector

ENOUGH = 40_000
"""Books that no queue between the two holds: 10,000 messages at each end, and the kernel's 10 MB."""


def knows(connector: HybridConnector, name: str, filled: str) -> bool:
    report = connector.report(name)
    return report is not None and report.filled == filled


def test_books_are_lost_and_reports_are_not(
    pair: Pair,
    buy: Callable[..., NewSignal],
    until: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connector, micro = pair.connector, pair.micro
    sent = [connector.submit(buy()).signal_id for _ in range(3)]
    go_on = threading.Event()
    feed = connector.inbox.feed

    def slow(frame: bytes) -> None:
        go_on.wait()
        feed(frame)

    monkeypatch.setattr(connector.inbox, "feed", slow)
    # Everything that happens to these orders is published into queues that are full by then.
    levels = pack_levels([(100.0 - n, 1.0) for n in range(60)])
    book = micro.book(bids=levels)
    for number in range(ENOUGH):
        micro.publisher.publish(book)
        if number == ENOUGH * 3 // 4:
            for filled, name in enumerate(sent, 1):
                micro.publish_report(name, filled=f"0.{filled}")
    last = micro.book(price=200.0)
    micro.publish_report(sent[0], status="filled", filled="0.5")
    with caplog.at_level(logging.WARNING, logger="citadel_bridge"):
        go_on.set()
        until(lambda: connector.report(sent[0]).status == "filled")  # type: ignore[union-attr]
        for filled, name in enumerate(sent[1:], 2):
            until(partial(knows, connector, name, f"0.{filled}"))
        until(lambda: "messages of micro did not arrive" in caplog.text)
    assert connector.mirror.sequences.missing > 0
    micro.publisher.publish(last)
    until(lambda: connector.book("paper", "BTC/USDT").message.microprice == 200.0)  # type: ignore[union-attr]
