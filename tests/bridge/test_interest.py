"""A connector takes the books of its own pairs, and a recorder those of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import zmq

from citadel_bridge.channels import Publisher
from citadel_bridge.interest import ROOM, Interest
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_bridge.upstream import WARY_OCTETS
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.messages import Trade, Trades

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.bridge.conftest import Pair

    Until = Callable[..., None]

BTC, ETH, SOL = "BTC/USDT", "ETH/USDT", "SOL/USDT"
HEARTBEATS = topics.exactly(topics.HEARTBEAT)


class Wanted:
    """Subscriptions as they would be sent."""

    def __init__(self) -> None:
        self.sent: list[frozenset[bytes]] = []
        self.interest = Interest(self.sent.append, [HEARTBEATS])


def of(*pairs: tuple[str, str]) -> set[bytes]:
    exact = [topics.exactly(kind(*pair)) for pair in pairs for kind in (topics.book, topics.trades)]
    return {HEARTBEATS, *exact}


def test_everything_comes_until_pairs_are_named_and_then_theirs() -> None:
    wanted = Wanted()
    wanted.interest.ask("paper", BTC)
    assert wanted.interest.current == {HEARTBEATS, topics.BOOKS, topics.TRADES}
    assert not wanted.sent
    wanted.interest.name([("paper", BTC), ("paper", ETH)])
    assert wanted.sent == [of(("paper", BTC), ("paper", ETH))]
    wanted.interest.name([("paper", ETH), ("paper", BTC)])
    assert len(wanted.sent) == 1, "nothing has changed"
    wanted.interest.name([("paper", ETH)])
    assert wanted.sent[-1] == of(("paper", ETH))


def test_a_pair_that_is_looked_at_is_followed_from_then_on() -> None:
    wanted = Wanted()
    wanted.interest.name([("paper", BTC)])
    wanted.interest.ask("paper", SOL)
    wanted.interest.ask("paper", SOL)
    wanted.interest.ask("paper", BTC)
    assert wanted.sent[1:] == [of(("paper", BTC), ("paper", SOL))]
    wanted.interest.name([("paper", ETH)])
    assert wanted.sent[-1] == of(("paper", ETH), ("paper", SOL))


def test_a_book_over_all_venues_comes_when_it_is_asked_for() -> None:
    wanted = Wanted()
    wanted.interest.ask_consolidated(BTC)
    wanted.interest.ask_consolidated(BTC)
    assert wanted.sent == [
        {HEARTBEATS, topics.BOOKS, topics.TRADES, topics.exactly(topics.consolidated(BTC))}
    ]


def test_too_many_pairs_are_taken_as_whole_venues() -> None:
    wanted = Wanted()
    many = [("binance-spot", f"C{n}/USDT") for n in range(1_000)]
    wanted.interest.name([*many, ("okx-spot", BTC)])
    whole = {b"book/binance-spot/", b"trades/binance-spot/", b"book/okx-spot/", b"trades/okx-spot/"}
    assert wanted.sent == [{HEARTBEATS, *whole}]
    wanted.interest.ask("binance-spot", "NEW/USDT")
    assert len(wanted.sent) == 1
    wanted.interest.name(many[:50])
    assert wanted.sent[-1] == of(*many[:50], ("binance-spot", "NEW/USDT"))
    assert wanted.interest.current is wanted.sent[-1]


def test_a_pair_of_another_venue_comes_when_it_is_asked_for_beside_whole_venues() -> None:
    wanted = Wanted()
    wanted.interest.name([("binance-spot", f"C{n}/USDT") for n in range(1_000)])
    wanted.interest.ask("okx-spot", BTC)
    whole = {b"book/binance-spot/", b"trades/binance-spot/", b"book/okx-spot/", b"trades/okx-spot/"}
    assert wanted.sent[-1] == {HEARTBEATS, *whole}


def test_what_is_sent_at_a_reconnect_is_within_the_strictest_bound() -> None:
    """Also with CURVE, whose envelope is the larger part of a subscription."""
    assert ROOM + 2_048 < WARY_OCTETS


def trades(symbol: str) -> Trades:
    one = Trade(price=1.0, quantity=1.0, side="buy", exchange_ns=1, trade_id="1")
    return Trades(venue="paper", symbol=symbol, trades=(one,), recv_ns=1, instance="", seq=0)


def test_a_connector_takes_the_books_of_its_pairs_only(pair: Pair, until: Until) -> None:
    connector, micro = pair.connector, pair.micro
    books = connector.mirror.books
    prices = iter(range(1, 1_000_000))

    def comes(symbol: str, beside: str = BTC) -> bool:
        """Whether a book comes that is published before two of a pair whose books are known to come."""
        books.pop(("paper", symbol), None)
        micro.publisher.publish(micro.book(symbol))
        for price in (next(prices), next(prices)):
            micro.publisher.publish(micro.book(beside, price=price))
            until(lambda price=price: (it := books.get(("paper", beside))) and it.mid == price)
        return ("paper", symbol) in books

    def published(symbol: str) -> bool:
        micro.publisher.publish(micro.book(symbol))
        micro.publisher.publish(trades(symbol))
        return ("paper", symbol) in books

    until(lambda: published(BTC) and published(SOL), what="all books while no pairs are named")
    connector.pairs = (("paper", BTC),)
    until(lambda: not comes(SOL), what="no book of others any more")
    until(lambda: published(BTC) and connector.trades("paper", BTC))
    for _ in range(20):
        assert not comes(SOL)
    missing = connector.mirror.sequences.missing
    assert connector.book("paper", SOL) is None
    until(lambda: comes(SOL), what="it was asked for")
    assert connector.mirror.sequences.missing == missing, "what nobody wanted is not lost"
    connector.pairs = (("paper", ETH),)
    until(lambda: published(ETH), what="a pairlist that has changed")
    assert comes(SOL, beside=ETH), "it was asked for by name"
    until(lambda: not comes(BTC, beside=ETH))


class Frames:
    def __init__(self) -> None:
        self.numbers: list[int] = []

    def feed(self, frame: bytes) -> None:
        self.numbers.append(decode_market(topics.split(frame)[1]).seq)

    def flush(self) -> None:
        pass


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    yield context
    context.destroy(linger=0)


def test_subscriptions_that_stay_lose_nothing_while_others_change(
    context: zmq.Context[zmq.Socket[bytes]], until: Until
) -> None:
    publisher = Publisher(context, "tcp://127.0.0.1:0", stamp={"instance": "m-1"})
    sink = Frames()
    kept = topics.exactly(topics.trades("paper", BTC))
    reader = SubscriberThread(context, [Endpoint(publisher.address)], [kept], sink)
    reader.start()
    try:
        until(lambda: publisher.publish(trades(BTC)) and sink.numbers)
        first = publisher.publish(trades(BTC))
        for n in range(100):
            reader.subscribe(frozenset([kept, topics.exactly(topics.trades("paper", f"C{n}"))]))
            publisher.publish(trades(BTC))
        last = publisher.publish(trades(BTC))
        until(lambda: sink.numbers[-1] == last)
        assert sink.numbers[-102:] == list(range(first, last + 1))
    finally:
        reader.close()
        publisher.close()
