"""How long no snapshot is asked for, whatever a venue answers."""

from __future__ import annotations

import asyncio
import random

import pytest
from http_host import Host
from waiting import until

from citadel_micro.shell.marketdata.backoff import Pacer
from citadel_micro.shell.marketdata.snapshots import UNTOLD_S, SnapshotFetcher
from citadel_micro.shell.marketdata.spec import venue_spec

BOOK = b'{"lastUpdateId":7,"bids":[["1","2"]],"asks":[["3","4"]]}'
OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BOOK), BOOK)


@pytest.mark.parametrize(
    ("retry_after", "pause_s"),
    [
        (b"7", 7.0),
        (b"", UNTOLD_S),
        (b"soon", UNTOLD_S),
        (b"\xb2", UNTOLD_S),
        (b"9" * 30, UNTOLD_S),
        (b"9" * 400, UNTOLD_S),
    ],
)
def test_a_pause_is_as_long_as_the_venue_says_and_has_an_end(
    retry_after: bytes, pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(Pacer, "hold", lambda _pacer, seconds: pauses.append(seconds))

    async def scenario() -> None:
        head = b"HTTP/1.1 429 Slow\r\nContent-Length: 0\r\nRetry-After: " + retry_after
        host = Host(head + b"\r\n\r\n", OK)
        async with host:
            spec = venue_spec("binance-spot")
            fetcher = SnapshotFetcher(
                spec,
                host.client.root,
                decoder=spec.decoder(spec.symbols()),
                emit=lambda *_: None,
                clock=int,
                rng=random.Random(1),
            )
            try:
                fetcher.request("BTCUSDT", "BTC/USDT")
                await until(lambda: fetcher.fetched == 1)
            finally:
                await fetcher.close()

    asyncio.run(scenario())
    assert pauses == [pause_s]
