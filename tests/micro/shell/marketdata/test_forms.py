"""Frames that are read at once are read as every frame is decoded, and damaged ones are left to that."""

from __future__ import annotations

import calendar
import random
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples

from citadel_micro.adapters.coinbase.market_data import CoinbaseAdvancedDecoder
from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.sequence_verdict import APPLY
from citadel_micro.core.model.events import QuoteTick
from citadel_micro.shell.capture.frames import read_capture
from citadel_micro.shell.marketdata.decode import Symbols, iso_ns
from citadel_micro.shell.marketdata.forms import Shape, learn
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.marketdata.decode import Decoder

pytestmark = pytest.mark.skipif(not kernel.COMPILED, reason="the compiled kernel is not in use")

CAPTURES = {
    "binance-spot-2021": "binance-spot",
    "binance-spot-btcusdt-20240808": "binance-spot",
    "binance-usdm-2021": "binance-usdm",
    "binance-usdm-btcusdt-20240808": "binance-usdm",
    "okx-2026-checksum0.transcoded": "okx",
    "okx-2026-checksum.transcoded": "okx",
    "okx-2022": "okx",
    "kraken-v2.transcoded": "kraken-spot",
    "coinbase-advanced.transcoded": "coinbase-advanced",
    "bybit-v5-linear.transcoded": "bybit-linear",
}
MOST = 0.5
"""Of a recording's frames at least: the others are of channels that are not followed, or of odd trades."""
SPICE = b'0123456789-+.eE"\\{}[],: \x00\xff\ntrue'
SWAPS = (
    (b'"b":"', b'"b":"-'),
    (b'"u":', b'"u":00'),
    (b'"u":', b'"u": '),
    (b'"u":', b'"u":99999999999999999999'),
    (b'"T":1', b'"T":0'),
    (b'"T":1', b'"T":9999'),
    (b'"E":1', b'"E":-1'),
    (b'"E":1', b'"E":99999'),
    (b"true", b"True"),
    (b"MARKET", b"INSURANCE_FUND"),
    (b'","', b'","0'),
    (b'"],["', b'"],["1e'),
    (b'"],["', b'","0"],["'),
    (b'"]', b'000000000000000000000"]'),
    (b'"]', b'"] '),
    (b'"p":"', b'"p":"1e'),
    (b'"q":"', b'"q":"0.0","q":"'),
    (b'"B":"', b'"B":'),
    (b'"a":"', b'"a":"0.'),
    (b"}}", b',"U":7}}'),
    (b"}}", b"}}}"),
    (b'"s":"', b'"s":"X'),
    (b'"ts":"', b'"ts":"0'),
    (b'"ts":"', b'"ts":'),
    (b'"checksum":0', b'"checksum":-7'),
    (b'"seqId":', b'"seqId":-'),
    (b'"prevSeqId":', b'"x":1,"prevSeqId":'),
    (b',"0","', b',"0",{},"'),
    (b',"0","', b',"0",null,"'),
    (b'"0"]', b"1.5]"),
    (b'"price":', b'"price":-'),
    (b'"price":', b'"qty":'),
    (b',"qty":', b'e3,"qty":'),
    (b',"qty":', b'.,"qty":'),
    (b'"qty":', b'"qty":0'),
    (b'"qty":', b'"qty":"0"},{"price":1,"qty":'),
    (b'"price":', b'"price":1234567890123456789'),
    (b"},{", b',"x":[1]},{'),
    (b'"checksum":', b'"checksum":-'),
    (b'"checksum":', b'"checksum":null,"x":'),
    (b"2021-04-17", b"2021-02-29"),
    (b"2021-04-17", b"2024-02-29"),
    (b"2021-04-17", b"1969-12-31"),
    (b"2021-04-17", b"2255-12-31"),
    (b"2021-04-17T16", b"2021-04-17T24"),
    (b"2021-04-17T16", b"2021-04-17 16"),
    (b"2021-04-17T16", b"2021-13-17T16"),
    (b'Z","sequence', b'","sequence'),
    (b'Z","sequence', b'0123Z","sequence'),
    (b'"sequence_num":', b'"sequence_num":1'),
    (b'"side":"bid"', b'"side":"offer"'),
    (b'"side":"bid"', b'"side":"ask"'),
    (b'"side":"offer"', b'"side":"offer" '),
    (b'"u":', b'"u":1,"x":'),
    (b'"delta"', b'"snapshot"'),
    (b'"cts":', b'"cts":0,"x":'),
    (b'"update"', b'"snapshot"'),
)


def frames_of(shared: Path, capture: str) -> list[bytes]:
    path = shared / "captures" / f"{capture}.jsonl.gz"
    return [record.text.encode() for _, record in read_capture(path) if record.kind == "frame"]


def decoder(venue: str) -> Any:  # noqa: ANN401 - each venue's own
    spec = venue_spec(venue)
    return spec.decoder(Symbols(spec.unify))


def outcome(of: Decoder, frame: bytes, at_ns: int) -> object:
    try:
        events = of.frame(frame, at_ns)
    except VenueViolation as error:
        return str(error)
    return [(type(event), tuple(map(plain, event))) for event in events]


def plain(value: object) -> object:
    return (type(value), value) if not isinstance(value, kernel.LEVELS) else list(value)


def both(monkeypatch: pytest.MonkeyPatch, venue: str, first: list[bytes]) -> tuple[Any, Any]:
    """Two decoders that know the streams: one reads forms, the other has none."""
    one = decoder(venue)
    for frame in first:
        one.frame(frame, 1)
    with monkeypatch.context() as without:
        without.setattr(kernel, "FORM", None)
        other = decoder(venue)
        for frame in first:
            other.frame(frame, 1)
    assert one.forms
    assert not other.forms
    return one, other


@pytest.mark.parametrize("capture", CAPTURES)
def test_every_frame_of_a_recording_is_the_same_event(
    capture: str, shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = frames_of(shared_dir, capture)
    first = min(500, len(frames) // 2)
    one, other = both(monkeypatch, CAPTURES[capture], frames[:first])
    quick = 0
    later = frames[first :: 1 if len(frames) < 20_000 else 3]
    for number, frame in enumerate(later):
        quick += one.quick(frame, number) is not None
        assert outcome(one, frame, number) == outcome(other, frame, number), frame
    assert quick > MOST * len(later)


@pytest.mark.parametrize("capture", CAPTURES)
def test_a_damaged_frame_is_what_the_decoder_of_all_frames_says(
    capture: str, shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = frames_of(shared_dir, capture)[:3_000]
    one, other = both(monkeypatch, CAPTURES[capture], frames)
    if isinstance(one, CoinbaseAdvancedDecoder):
        # Its frames are numbered by connection: any would be lost or old here.
        one._judge = other._judge = lambda _seq: APPLY
    frames = [frame for frame in frames if len(frame) < 8_000 and one.quick(frame, 1) is not None]
    rng = random.Random(7)
    for _ in range(examples(1_500, 100_000)):
        frame = bytearray(rng.choice(frames))
        for _ in range(rng.randint(1, 3)):
            if rng.random() < 0.3:
                frame = bytearray(bytes(frame).replace(*rng.choice(SWAPS), rng.randint(1, 3)))
                continue
            # Where the values are, more than in what every frame begins with.
            at = rng.randrange(len(frame)) if rng.random() < 0.5 else rng.randrange(50, 110)
            change = rng.randint(0, 2)
            if change == 0:
                frame[at : at + 1] = bytes([rng.choice(SPICE)])
            elif change == 1:
                del frame[at : at + rng.randint(1, 4)]
            else:
                frame[at:at] = rng.choices(SPICE, k=rng.randint(1, 3))
        assert outcome(one, bytes(frame), 5) == outcome(other, bytes(frame), 5), bytes(frame)


# The venues' own examples, as of another symbol, and what each frame is.
FIRST = {
    "okx": (
        (
            b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[["2","1","0","1"]],'
            b'"bids":[["1","3","0","2"]],"ts":"1700000000000","checksum":0,"prevSeqId":-1,"seqId":7}]}'
        ),
        (
            b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"update","data":[{"asks":[],'
            b'"bids":[["1","0","0","0"]],"ts":"1700000000001","checksum":0,"prevSeqId":7,"seqId":8}]}'
        ),
        (
            b'{"arg":{"channel":"books","instId":"ETH-USDT-SWAP"},"action":"snapshot","data":[{"asks":[["2","1","0","1"]],'
            b'"bids":[["1","3","0","2"]],"ts":"1700000000000","checksum":-5,"seqId":7,"prevSeqId":-1}]}'
        ),
        (
            b'{"arg":{"channel":"books","instId":"ETH-USDT-SWAP"},"action":"update","data":[{"asks":[],'
            b'"bids":[["1","0","0","0"]],"ts":"1700000000001","checksum":5,"seqId":8,"prevSeqId":7}]}'
        ),
    ),
    "kraken-spot": (
        (
            b'{"channel":"book","type":"snapshot","data":[{"symbol":"BTC/USD","bids":[{"price":1.5,"qty":2.0}],"asks":[],'
            b'"checksum":5}]}'
        ),
        (
            b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[{"price":1.5,"qty":2.0}],'
            b'"checksum":5,"timestamp":"2023-10-06T17:35:55.440295Z"}]}'
        ),
        (
            b'{"channel":"book","type":"snapshot","data":[{"symbol":"ETH/USD","bids":[{"price":1.5,"qty":2.0}],"asks":[],'
            b'"checksum":5,"timestamp":"2023-10-06T17:35:55.440295Z"}]}'
        ),
    ),
    "coinbase-advanced": (
        (
            b'{"channel":"l2_data","client_id":"","timestamp":"2023-02-09T20:32:50.714964855Z","sequence_num":0,"events":'
            b'[{"type":"snapshot","product_id":"ETH-EUR","updates":[{"side":"bid","event_time":"1970-01-01T00:00:00Z",'
            b'"price_level":"1.5","new_quantity":"2"}]}]}'
        ),
        (
            b'{"channel":"l2_data","client_id":"","timestamp":"2023-02-09T20:32:50.714964855Z","sequence_num":1,"events":'
            b'[{"type":"update","product_id":"ETH-EUR","updates":[]}]}'
        ),
    ),
    "bybit-linear": (
        (
            b'{"topic":"orderbook.50.ETHUSDT","type":"snapshot","ts":1672304484978,"data":{"s":"ETHUSDT","b":[["1","2"]],'
            b'"a":[],"u":18521288,"seq":7961638724},"cts":1672304484976}'
        ),
        (
            b'{"topic":"orderbook.50.ETHUSDT","type":"delta","ts":1672304484978,"data":{"s":"ETHUSDT","b":[],'
            b'"a":[["3","2"]],"u":18521289,"seq":7961638725},"cts":1672304484976}'
        ),
    ),
}


@pytest.mark.parametrize("venue", FIRST)
def test_the_first_frames_of_a_stream_are_read_at_once_where_they_are_as_documented(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = decoder(venue)
    with monkeypatch.context() as without:
        without.setattr(kernel, "FORM", None)
        other = decoder(venue)
        expected = [outcome(other, frame, 5) for frame in FIRST[venue]]
    for number, frame in enumerate(FIRST[venue]):
        assert one.forms == number
        assert outcome(one, frame, 5) == expected[number], frame
        assert one.forms == number + 1
        assert one.quick(frame, 5) is not None


@pytest.mark.parametrize("venue", FIRST)
def test_a_first_frame_that_is_not_as_documented_is_what_the_decoder_of_all_frames_says(
    venue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(11)
    for _ in range(examples(300, 40_000)):
        frame = bytearray(rng.choice(FIRST[venue]))
        for _ in range(rng.randint(1, 2)):
            if rng.random() < 0.3:
                frame = bytearray(bytes(frame).replace(*rng.choice(SWAPS), rng.randint(1, 3)))
                continue
            at = rng.randrange(len(frame))
            if rng.random() < 0.5:
                frame[at : at + rng.randint(0, 1)] = rng.choices(SPICE, k=rng.randint(1, 2))
            else:
                del frame[at : at + rng.randint(1, 4)]
        one = decoder(venue)
        said = [outcome(one, bytes(frame), 5) for _ in range(2)]
        with monkeypatch.context() as without:
            without.setattr(kernel, "FORM", None)
            other = decoder(venue)
            assert said == [outcome(other, bytes(frame), 5) for _ in range(2)], bytes(frame)


def test_a_snapshot_of_many_levels_is_read_at_once_with_its_digits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = []
    for bids, asks in ((700, 3), (3, 700), (400, 400), (2_000, 1_100), (127, 128)):
        rows = [
            b",".join(
                b'["%d.5","0.%02d","0","1"]' % (at, at % 100) for at in range(start, start + count)
            )
            for start, count in ((9_000, asks), (1_000, bids))
        ]
        frames.append(
            b'{"arg":{"channel":"books","instId":"BTC-USDT"},"action":"snapshot","data":[{"asks":[%s],"bids":[%s],'
            b'"ts":"1700000000000","checksum":-77,"prevSeqId":-1,"seqId":7}]}' % tuple(rows)
        )
    one = decoder("okx")
    with monkeypatch.context() as without:
        without.setattr(kernel, "FORM", None)
        other = decoder("okx")
    for frame in frames:
        (event,) = one.frame(frame, 5)
        assert one.quick(frame, 5) is not None
        with monkeypatch.context() as without:
            without.setattr(kernel, "FORM", None)
            (expected,) = other.frame(frame, 5)
        assert tuple(map(plain, event)) == tuple(map(plain, expected))
        assert [list(side) for side in event.texts] == [list(side) for side in expected.texts]
        assert one.quick(frame.replace(b"-77", b"77x"), 5) is None


@pytest.mark.parametrize("life", range(examples(20, 500)))
def test_numbers_of_a_connection_are_followed_as_by_the_decoder_of_all_frames(
    life: int, shared_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = frames_of(shared_dir, "coinbase-advanced.transcoded")[:400]
    one, other = both(monkeypatch, "coinbase-advanced", frames[:200])
    rng = random.Random(life)
    at = 200
    said: list[object] = []
    for number in range(300):
        frame = frames[at]
        told = outcome(one, frame, number)
        assert told == outcome(other, frame, number), (at, frame)
        said.append(told)
        # The next one; at times the same again, one that was lost, or old ones once more.
        at = min(399, max(1, at + rng.choice((*(1,) * 12, 0, 2, 3, -1, -5, -150))))
    assert one._sequence.reason == other._sequence.reason
    assert any(told == [] for told in said), "an old one is nothing"
    assert any("lost" in str(told) for told in said)


QUOTE = b'{"u":7,"b":"1.5","B":"2","a":"1.75","A":"3"}'
SHAPE = Shape(
    event=QuoteTick,
    fields=("venue", "BTC/USDT", 0, 0.0, 0.0, 0.0, 0.0, 0, 0),
    recv=8,
    holes={
        "u": ("whole", 2),
        "b": ("above", 3),
        "B": ("number", 4),
        "a": ("number", 5),
        "A": ("number", 6),
    },
    same={},
    rising=(3, 5),
)
EVENT = QuoteTick("venue", "BTC/USDT", 7, 1.5, 2.0, 1.75, 3.0, 0, 9)


def test_a_form_reads_what_differs_in_its_values_only() -> None:
    form = learn(SHAPE, QUOTE, EVENT)
    assert form is not None
    read = form.read
    assert read(QUOTE.replace(b":7", b":999999999999999999"), 9) == (
        QuoteTick("venue", "BTC/USDT", 999999999999999999, 1.5, 2.0, 1.75, 3.0, 0, 9),
    )
    for old, new in (
        (b'"u":7', b'"u":07'),
        (b'"u":7', b'"u":1234567890123456789'),
        (b'"u":7', b'"u":"7"'),
        (b"1.5", b"1.75"),  # not below the ask
        (b"1.5", b"0"),
        (b"1.5", b"1."),
        (b"1.5", b".5"),
        (b"1.5", b"01.5"),
        (b"1.5", b"1.5e0"),
        (b'"2"', b"2"),
        (b'"3"', b'"9007199254740993"'),  # above 2**53: not every integer is a float
        (b'"3"', b'"1000000000000000001"'),
        (b"}", b"} "),
        (b"}", b""),
        (b"{", b" {"),
    ):
        assert read(QUOTE.replace(old, new), 9) is None, (old, new)
    assert read(bytearray(QUOTE), 9) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "members",
    [
        b'{"u":7, "b":"1.5","B":"2","a":"1.75","A":"3"}',
        b'{"u":7,"u":7,"b":"1.5","B":"2","a":"1.75","A":"3"}',
        b'{"u":7,"b":"1.5","B":"2","a":"1.75","A":"3","x":[]}',
        b'{"u":7,"b":"1.5","B":"2","a":"1.75","A":"3","x":{}}',
        b'{"\\u0075":7,"b":"1.5","B":"2","a":"1.75","A":"3"}',
        b'{"u":7,"b":"1.5","B":"2","a":"1.75","A":"3"',
        b"[]",
        b"",
    ],
)
def test_nothing_is_learned_from_a_frame_that_is_not_plain(members: bytes) -> None:
    assert learn(SHAPE, members, EVENT) is None


def test_nothing_is_learned_that_the_decoder_reads_in_another_way() -> None:
    assert learn(SHAPE, QUOTE, EVENT._replace(seq=8)) is None


def test_a_time_is_read_as_the_decoder_reads_it_or_not_at_all() -> None:
    assert kernel.FORM is not None
    form = kernel.FORM(QuoteTick, SHAPE.fields, recv=8, parts=[b'{"t":', ("time", 7), b"}"])
    years = (
        *range(1969, 1974),
        *range(1999, 2002),
        *range(2096, 2105),
        *range(2199, 2202),
        2255,
        2256,
    )
    read = left = 0
    for year in years:
        for month in range(14):
            for day in (0, 1, 28, 29, 30, 31, 32):
                text = f"{year}-{month:02}-{day:02}T23:59:{day:02}.{month:0{1 + day % 9}}Z"
                events = form.read(b'{"t":"%s"}' % text.encode(), 1)
                if events is None:
                    left += 1
                else:
                    assert events[0].exchange_ns == iso_ns(text), text
                    read += 1
    leap = sum(calendar.isleap(year) for year in years[1:-1])
    assert read == (len(years) - 2) * (2 * 12 + 2 * 11 + 7) + leap
    assert left


def test_a_form_that_cannot_be_is_refused() -> None:
    assert kernel.FORM is not None
    wrong = (
        {"parts": [("whole", 9)]},
        {"parts": [("whole", 2)], "rising": (3, 5)},
        {"parts": [b"x"] * 41},
    )
    for each in wrong:
        with pytest.raises(ValueError, match=r"field|rises|parts"):
            kernel.FORM(QuoteTick, SHAPE.fields, recv=8, **each)
