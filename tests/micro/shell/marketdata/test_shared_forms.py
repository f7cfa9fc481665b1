"""Forms of many streams that share all but a name: each reads its own stream's frames, whatever the name."""

from __future__ import annotations

from typing import Any

import pytest

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.model.events import DepthUpdate
from citadel_micro.shell.marketdata.decode import Symbols
from citadel_micro.shell.marketdata.spec import venue_spec

pytestmark = pytest.mark.skipif(not kernel.COMPILED, reason="the compiled kernel is not in use")

FIELDS = ("v", "s", False, 0, 0, -1, None, (), (), 0, 0, None, 0)
PARTS = (b'{"s":"', ("name", -1), b'","u":', ("whole", 3), b',"again":"', ("name", -1), b'"}')


def decoder() -> Any:  # noqa: ANN401 - the venue's own
    spec = venue_spec("bybit-linear")
    return spec.decoder(Symbols(spec.unify))


def frame(topic: str, name: str, update: int, kind: str = "delta") -> bytes:
    return (
        f'{{"topic":"orderbook.50.{topic}","type":"{kind}","ts":1700000000001,"data":{{"s":"{name}",'
        f'"b":[["1.5","2"]],"a":[["1.7","0"]],"u":{update},"seq":9}},"cts":1700000000000}}'
    ).encode()


def test_streams_are_told_apart_by_names_of_any_length() -> None:
    names = [letter * count for count in (1, 2, 7, 8, 11, 23, 24, 25, 26, 60) for letter in "AB"]
    # These differ in their last character, behind what is kept of a text beside its form.
    names += ["Z" * 40 + last for last in "123"]
    one = decoder()
    for kind in ("snapshot", "delta"):
        for name in names:
            one.frame(frame(name, name, 5, kind), 1)
    assert one.forms == 2 * len(names)
    for update in (6, 7):
        for name in names:
            (event,) = one.quick(frame(name, name, update), update)
            assert (event.symbol, event.last_seq, event.recv_ns) == (name, update, update)
            assert not event.snapshot
            assert list(event.bids) == [(1.5, 2.0)]
    for name in names:
        other = names[names.index(name) - 1]
        assert one.quick(frame(name, other, 8), 8) is None, "the frame contradicts itself"
        assert one.quick(frame(name + "C", name + "C", 8), 8) is None, (
            "of a stream that is not known"
        )
        assert one.quick(frame(name[:-1], name[:-1], 8), 8) is None or name[:-1] in names


def test_a_form_of_another_name_reads_that_and_nothing_else() -> None:
    assert kernel.FORM is not None
    first = kernel.FORM(DepthUpdate, FIELDS, recv=10, parts=PARTS, name=b"A", named=1)
    second = first.renamed(b"B" * 30, "t")

    def text(one: bytes, two: bytes) -> bytes:
        return b'{"s":"%s","u":7,"again":"%s"}' % (one, two)

    for form, name, symbol in ((first, b"A", "s"), (second, b"B" * 30, "t")):
        read = form.read(text(name, name), 3)
        assert read is not None
        assert read == (DepthUpdate(*FIELDS)._replace(symbol=symbol, first_seq=7, recv_ns=3),)
        for one, two in ((name, b"C"), (b"C", name), (name + b"x", name), (name, name[:-1])):
            assert form.read(text(one, two), 3) is None
        assert form.read(text(name, name)[:-5], 3) is None
        assert form.read(b'{"s":"', 3) is None
    again = second.renamed(b"A", "u").read(text(b"A", b"A"), 4)
    assert again is not None
    assert again[0].symbol == "u"


def test_only_a_form_with_a_field_of_its_own_has_another_name() -> None:
    assert kernel.FORM is not None
    plain = kernel.FORM(DepthUpdate, FIELDS, recv=10, parts=PARTS, name=b"A")
    for form in (plain, kernel.FORM.__new__(kernel.FORM)):
        with pytest.raises(ValueError, match="of its own"):
            form.renamed(b"B", "t")
    assert kernel.FORM.__new__(kernel.FORM).read(b"{}", 1) is None
    with pytest.raises(ValueError, match="no field"):
        kernel.FORM(DepthUpdate, FIELDS, recv=10, parts=PARTS, named=13)


def test_frames_are_read_as_before_when_the_books_of_their_streams_are_gone() -> None:
    """Where a book lay is noted for its next frame, which must not matter to what is read."""
    one = decoder()
    names = [f"C{number}USDT" for number in range(300)]
    for life in range(3):
        update = 10 * life + 5
        markets: dict[str, MarketBook] = {}
        for kind in ("snapshot", "delta", "delta"):
            for name in names:
                (event,) = one.frame(frame(name, name, update, kind), update)
                market = markets.setdefault(
                    event.symbol, MarketBook("bybit-linear", event.symbol, "contiguous")
                )
                assert market.on_depth(event) & Change.UPDATED
                assert market.best() is None
                assert market.top(5) == ([(1.5, 2.0)], [])
            update += 1
        assert {each.last_seq for each in markets.values()} == {update - 1}
        assert {each.state for each in markets.values()} == {"LIVE"}


BOOK = b'{"arg":{"channel":"books","instId":"%s"},"action":"%s","data":[{"asks":[["8.5","4","0","1"]],"bids":[],"ts":"5",'
AS_DOCUMENTED = b'"checksum":0,"prevSeqId":%d,"seqId":%d}]}'
OTHERWISE = b'"prevSeqId":%d,"checksum":0,"seqId":%d}]}'


def subscribed(*names: str) -> Any:  # noqa: ANN401 - the venue's own
    spec = venue_spec("okx")
    symbols = Symbols(spec.unify)
    symbols.update({name: spec.unify(name) for name in names})
    return spec.decoder(symbols)


def book(name: bytes, end: bytes, seq: int, action: bytes = b"update") -> bytes:
    return BOOK % (name, action) + end % (-1 if action == b"snapshot" else seq - 1, seq)


def test_frames_of_streams_that_are_subscribed_are_read_at_once_from_the_first() -> None:
    one = subscribed("A-B", "C-D")
    assert one.forms == 4
    for name, symbol in ((b"A-B", "A/B"), (b"C-D", "C/D")):
        for seq, action in enumerate((b"snapshot", b"update", b"update"), 5):
            known = one.quick(book(name, AS_DOCUMENTED, seq, action), 9)
            assert known is not None
            assert known[0][1:6] == (
                symbol,
                action == b"snapshot",
                seq,
                seq,
                -1 if seq == 5 else seq - 1,
            )
    assert one.quick(book(b"E-F", AS_DOCUMENTED, 5), 9) is None, "nobody has subscribed it"
    assert one.forms == 4


def test_a_form_that_no_frame_is_of_gives_way_to_the_one_that_comes() -> None:
    one = subscribed("A-B")
    for seq in (5, 6):
        (event,) = one.frame(book(b"A-B", OTHERWISE, seq), 9)
        assert (event.symbol, event.last_seq, list(event.asks)) == ("A/B", seq, [(8.5, 4.0)])
    assert one.quick(book(b"A-B", OTHERWISE, 7), 9) is not None, "learned from the first"
    assert one.quick(book(b"A-B", AS_DOCUMENTED, 7), 9) is None


def test_one_odd_frame_does_not_take_the_place_of_a_form_that_has_read_some() -> None:
    one = subscribed("A-B")
    assert one.quick(book(b"A-B", AS_DOCUMENTED, 5), 9) is not None
    (event,) = one.frame(book(b"A-B", OTHERWISE, 6), 9)
    assert event.last_seq == 6
    assert one.quick(book(b"A-B", AS_DOCUMENTED, 7), 9) is not None
