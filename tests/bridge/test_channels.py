"""Publisher, readers and conflation on real sockets, with asyncio's loop and with uvloop."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
import uvloop
import zmq

from citadel_bridge.channels import (
    BookConflator,
    Inbox,
    Publisher,
    SubscriberFD,
)
from citadel_bridge.receiver import SubscriberThread
from citadel_bridge.sockets import Endpoint
from citadel_proto import topics
from citadel_proto.codec import decode_market
from citadel_proto.messages import BookSnapshot, MarketChannel, RiskState

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from citadel_bridge.channels import Context


@pytest.fixture
def context() -> Iterator[Context]:
    context: Context = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def publisher(context: Context) -> Publisher:
    return Publisher(context, "tcp://127.0.0.1:0", stamp={"instance": "m"})


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[object, object, None]], None]:
    runner: Callable[[Coroutine[object, object, None]], None] = request.param
    return runner


def risk(scope: str) -> RiskState:
    return RiskState(scope=scope, state="ACTIVE", instance="", seq=0)


def book(symbol: str, seq: int) -> BookSnapshot:
    return BookSnapshot(
        venue="v",
        symbol=symbol,
        state="LIVE",
        exchange_ns=0,
        recv_ns=0,
        venue_seq=seq,
        bids=b"",
        asks=b"",
        microprice=0.0,
        imbalance=0.0,
        spread=0.0,
        signed_flow=0.0,
        flow_window_ms=0,
        published_ns=0,
        instance="",
        seq=0,
    )


class Collector:
    """A sink that keeps frames, and notes the batches."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.batches: list[int] = []
        self._in_batch = 0

    def feed(self, frame: bytes) -> None:
        self.frames.append(frame)
        self._in_batch += 1

    def flush(self) -> None:
        self.batches.append(self._in_batch)
        self._in_batch = 0


async def joined(publisher: Publisher, sink: Collector) -> None:
    """Publish until the subscription is in place: the first messages are lost, as always."""
    deadline = time.monotonic() + 60
    while not sink.frames:
        publisher.publish(risk("join"))
        await asyncio.sleep(0.005)
        assert time.monotonic() < deadline
    # What is on its way comes before this one.
    publisher.publish(risk("joined"))
    await eventually(lambda: any(b"joined" in frame for frame in sink.frames))
    sink.frames.clear()
    sink.batches.clear()


async def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        await asyncio.sleep(0.002)
        assert time.monotonic() < deadline


def test_a_burst_is_drained_to_the_last_frame(
    run: Callable[[Coroutine[object, object, None]], None],
    context: Context,
    publisher: Publisher,
) -> None:
    """The descriptor tells once; a reader that takes one frame per wake-up would hang here."""

    async def main() -> None:
        sink = Collector()
        reader = SubscriberFD(
            asyncio.get_running_loop(), context, [Endpoint(publisher.address)], [b""], sink
        )
        await joined(publisher, sink)
        for n in range(2_000):
            publisher.publish(risk(str(n)))
        await eventually(lambda: len(sink.frames) == 2_000)
        publisher.publish(risk("one more"))
        await eventually(lambda: len(sink.frames) == 2_001)
        reader.close()
        reader.close()

    run(main())


def test_a_flood_does_not_starve_the_loop(
    run: Callable[[Coroutine[object, object, None]], None],
    context: Context,
    publisher: Publisher,
) -> None:
    async def main() -> None:
        sink = Collector()
        loop = asyncio.get_running_loop()
        reader = SubscriberFD(loop, context, [Endpoint(publisher.address)], [b""], sink, batch=50)
        await joined(publisher, sink)
        for n in range(1_000):
            publisher.publish(risk(str(n)))
        turns: list[int] = []  # how much had been read at each turn of somebody else
        while len(sink.frames) < 1_000:
            await asyncio.sleep(0)
            turns.append(len(sink.frames))
        assert max(sink.batches) <= 50
        assert max(b - a for a, b in zip([0, *turns], turns, strict=False)) <= 100
        reader.close()

    run(main())


def test_an_error_in_the_sink_does_not_strand_the_rest(
    run: Callable[[Coroutine[object, object, None]], None],
    context: Context,
    publisher: Publisher,
) -> None:
    class Failing(Collector):
        def feed(self, frame: bytes) -> None:
            super().feed(frame)
            if b"bad" in frame:
                raise RuntimeError("a bug in a handler")

    async def main() -> None:
        sink, errors = Failing(), []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, facts: errors.append(facts["exception"]))
        reader = SubscriberFD(loop, context, [Endpoint(publisher.address)], [b""], sink)
        await joined(publisher, sink)
        for scope in ("a", "bad", "b", "c"):
            publisher.publish(risk(scope))
        await eventually(lambda: len(sink.frames) == 4)
        assert [str(error) for error in errors] == ["a bug in a handler"]
        reader.close()

    run(main())


def test_the_sink_may_close_the_reader(
    run: Callable[[Coroutine[object, object, None]], None],
    context: Context,
    publisher: Publisher,
) -> None:
    async def main() -> None:
        sink = Collector()
        reader = SubscriberFD(
            asyncio.get_running_loop(), context, [Endpoint(publisher.address)], [b""], sink
        )
        await joined(publisher, sink)

        def closing(frame: bytes) -> None:
            sink.frames.append(frame)
            reader.close()

        sink.feed = closing  # type: ignore[method-assign]
        for n in range(10):
            publisher.publish(risk(str(n)))
        await eventually(lambda: sink.frames)
        await asyncio.sleep(0.05)
        assert len(sink.frames) == 1

    run(main())


def test_one_reader_follows_many_publishers_and_reconnects(
    run: Callable[[Coroutine[object, object, None]], None],
    context: Context,
    publisher: Publisher,
) -> None:
    other = Publisher(context, "tcp://127.0.0.1:0", stamp={"instance": "other"})

    async def main() -> None:
        sink = Collector()
        reader = SubscriberFD(
            asyncio.get_running_loop(), context, [Endpoint(publisher.address)], [b""], sink
        )
        reader.connect(Endpoint(other.address))
        for source in (publisher, other):
            await joined(source, sink)
        reader.reconnect()
        for source in (publisher, other):
            await joined(source, sink)
        reader.close()

    run(main())
    other.close()


def test_a_subscription_selects_by_prefix(context: Context, publisher: Publisher) -> None:
    sink, everything = Collector(), Collector()
    end = [Endpoint(publisher.address)]
    readers = [
        SubscriberThread(context, end, [topics.exactly(topics.book("v", "BTC/USDT"))], sink),
        SubscriberThread(context, end, [topics.ALL], everything),
    ]
    for reader in readers:
        reader.start()
    deadline = time.monotonic() + 60
    while not (sink.frames and everything.frames) and time.monotonic() < deadline:
        publisher.publish(book("BTC/USDT", 1))
        publisher.publish(book("BTC/USDT:USDT", 1))
        time.sleep(0.01)
    for reader in readers:
        reader.close()
        reader.close()
    assert {topics.split(f)[0] for f in sink.frames} == {b"book/v/BTC/USDT"}
    assert len({topics.split(f)[0] for f in everything.frames}) == 2


def test_sequences_count_per_topic_and_the_sender_is_stamped(
    context: Context, publisher: Publisher
) -> None:
    assert [publisher.publish(risk("x")) for _ in range(3)] == [1, 2, 3]
    assert publisher.publish(book("A/B", 1)) == 1
    assert publisher.published == 4
    assert not context.closed
    publisher.close()
    publisher.close()
    assert publisher.publish(risk("x")) == 0


# --- conflation ---------------------------------------------------------------------------------


def frame_of(message: MarketChannel) -> bytes:
    from citadel_proto.codec import encode  # noqa: PLC0415

    return topics.join(topics.topic_of(message), encode(message))


def test_books_of_a_batch_are_conflated_per_symbol_and_nothing_else_is() -> None:
    got: list[MarketChannel] = []
    inbox = Inbox(decode_market, lambda _topic, message: got.append(message))
    for n in range(3):
        inbox.feed(frame_of(book("A/B", n)))
        inbox.feed(frame_of(book("C/D", n)))
        inbox.feed(frame_of(risk(str(n))))
    assert [m.scope for m in got if isinstance(m, RiskState)] == ["0", "1", "2"]
    inbox.flush()
    books = [(m.symbol, m.venue_seq) for m in got if isinstance(m, BookSnapshot)]
    assert books == [("A/B", 2), ("C/D", 2)]
    assert inbox.conflated == 4
    assert inbox.received == 9


def test_the_publishing_side_keeps_the_latest_book_per_interval() -> None:
    sent: list[tuple[str, int]] = []

    def publish(message: MarketChannel) -> None:
        assert isinstance(message, BookSnapshot)
        sent.append((message.symbol, message.venue_seq))

    conflator = BookConflator(publish, interval_ns=100)
    assert conflator.next_due() is None
    for now, seq in ((0, 1), (10, 2), (50, 3)):
        conflator.offer(book("A/B", seq), now)
    conflator.offer(book("C/D", 1), 50)  # another topic has an interval of its own
    assert sent == [("A/B", 1), ("C/D", 1)]
    assert conflator.next_due() == 100
    conflator.flush(99)
    assert len(sent) == 2
    conflator.flush(100)
    assert sent[2:] == [("A/B", 3)]
    assert conflator.conflated == 1
    assert conflator.next_due() is None
    conflator.offer(book("A/B", 4), 150)
    conflator.offer(book("A/B", 5), 200)  # due: sent at once, and the older one never
    assert sent[3:] == [("A/B", 5)]
