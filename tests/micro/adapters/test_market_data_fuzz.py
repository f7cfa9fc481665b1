"""Every venue's decoder on anything that is not its protocol."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from market_data_samples import AT, FRAMES, decode

from citadel_micro.core.model.events import DepthUpdate, QuoteTick, TradeTick
from citadel_micro.shell.capture.frames import read_capture
from citadel_micro.shell.marketdata.spec import venue_ids, venue_spec
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from pathlib import Path


mutations = st.lists(
    st.tuples(st.integers(0, 600), st.integers(0, 255), st.integers(0, 4)), max_size=6
)


def mutated(frame: bytes, changes: list[tuple[int, int, int]]) -> bytes:
    data = bytearray(frame)
    for where, value, how in changes:
        at = where % (len(data) + 1)
        if how == 0 and at < len(data):
            data[at] = value
        elif how == 1:
            data.insert(at, value)
        elif how == 2:
            del data[at : at + 1 + value % 8]
        elif how == 3:
            data[at:at] = data[at : at + value]
        else:
            word = (b"null", b'"nan"', b"-1", b"1e999", b"[]", b"{}", b'""', b"1e400")[value % 8]
            data[at : at + len(word)] = word
    return bytes(data)


@pytest.mark.parametrize("venue", venue_ids())
@given(data=st.binary(max_size=120))
def test_arbitrary_bytes_raise_the_documented_error_only(venue: str, data: bytes) -> None:
    with contextlib.suppress(VenueViolation):
        decode(venue, data.decode("latin-1"))


@pytest.mark.parametrize("venue", sorted(FRAMES))
@given(data=st.data())
def test_mutated_frames_raise_the_documented_error_only(venue: str, data: st.DataObject) -> None:
    frame = mutated(data.draw(st.sampled_from(FRAMES[venue])), data.draw(mutations))
    spec = venue_spec(venue)
    decoder = spec.decoder(spec.symbols())
    for payload in (frame, frame):
        try:
            events = decoder.frame(payload, AT)
        except VenueViolation:
            continue
        check(events)


def check(events: Any) -> None:  # noqa: ANN401 - a sequence of events
    for event in events:
        if isinstance(event, DepthUpdate):
            for price, size in (*event.bids, *event.asks):
                assert 0 < price <= 1e18
                assert 0 <= size <= 1e18
            if event.texts is not None:
                assert [len(side) for side in event.texts] == [len(event.bids), len(event.asks)]
        elif isinstance(event, QuoteTick):
            assert 0 < event.bid < event.ask <= 1e18
        elif isinstance(event, TradeTick):
            assert 0 < event.price <= 1e18
            assert 0 <= event.size <= 1e18
            assert event.side in ("buy", "sell")


CAPTURED = {
    "bitget-v1": "bitget-spot-v1-2022",
    "bybit-linear": "bybit-linear-v2-2021",
    "coinbase-exchange": "coinbase-exchange-2021",
    "kraken-v1": "kraken-v1-2021",
    "kucoin-spot": "kucoin-spot-2021",
    "okx": "okx-2022",
    "binance-usdm": "binance-usdm-2021",
}


@pytest.mark.parametrize("venue", CAPTURED)
def test_mutated_real_frames_too(shared_dir: Path, venue: str) -> None:
    rng = random.Random(5)
    spec = venue_spec(venue)
    decoder = spec.decoder(spec.symbols())
    path = shared_dir / "captures" / f"{CAPTURED[venue]}.jsonl.gz"
    refused = 0
    for number, record in read_capture(path):
        if record.kind != "frame" or len(record.text) > 2_000 or number > 2_500:
            continue
        changes = [
            (rng.randrange(600), rng.randrange(256), rng.randrange(5))
            for _ in range(rng.randrange(1, 4))
        ]
        try:
            check(decoder.frame(mutated(record.text.encode(), changes), record.recv_ns))
        except VenueViolation:
            refused += 1
    assert refused > 20
