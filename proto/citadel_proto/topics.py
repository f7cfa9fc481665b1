r"""Topics: what a frame is about, readable without decoding it.

A frame is one ZeroMQ part: ``topic + b"\0" + body``. The topic comes first so that a subscription,
which is a prefix match on the bytes, selects by it. (Two parts cost three times as much to send,
and CONFLATE drops the first of them.)

Every message class declares its own, as ``TOPIC``: ``("book", "venue", "symbol")`` makes
``book/<venue>/<symbol>``.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Final, get_args

from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.messages import MarketChannel, SignalChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MESSAGES: Final[Mapping[str, type[SignalChannel | MarketChannel]]] = {
    kind.__name__: kind for kind in (*get_args(SignalChannel), *get_args(MarketChannel))
}
"""Every message of both channels, by its name."""
_KIND_AND_PAIR: Final = 3
KINDS: Final = frozenset(kind.TOPIC[0] for kind in MESSAGES.values())
"""First words of all topics."""
MAX_TOPIC: Final = 256
"""Longest topic in bytes."""

HEARTBEAT: Final = b"hb"
QUERY: Final = b"query"
RISK: Final = b"risk"

_PAIRS: Final[Mapping[type, Callable[[object], tuple[str, str]]]] = {
    kind: attrgetter(*kind.TOPIC[1:])
    for kind in MESSAGES.values()
    if len(kind.TOPIC) == _KIND_AND_PAIR
}
"""How the names of the commonest topics, a pair or an order's, are read at once: half of what a topic costs."""

ALL: Final = b""
"""Subscription prefixes. Those with a slash take every topic of the kind."""
SIGNALS: Final = b"signal/"
CANCELS: Final = b"cancel/"
BOOKS: Final = b"book/"
TRADES: Final = b"trades/"
REPORTS: Final = b"report/"
ANSWERS: Final = b"answer/"
FEEDS: Final = b"feed/"
CONSOLIDATED: Final = b"consolidated/"

_SEPARATOR: Final = b"\0"


def signal(venue: str, symbol: str) -> bytes:
    """Topic of the signals for one instrument."""
    return _topic("signal", venue, symbol)


def cancel(venue: str, symbol: str) -> bytes:
    """Topic of the cancels for one instrument."""
    return _topic("cancel", venue, symbol)


def book(venue: str, symbol: str) -> bytes:
    """Topic of one venue's book."""
    return _topic("book", venue, symbol)


def trades(venue: str, symbol: str) -> bytes:
    """Topic of one instrument's public trades."""
    return _topic("trades", venue, symbol)


def report(strategy: str, symbol: str) -> bytes:
    """Topic of one strategy's execution reports on one symbol."""
    return _topic("report", strategy, symbol)


def answer(reply_to: str) -> bytes:
    """Topic of the answers to one macro instance."""
    return _topic("answer", reply_to)


def feed(venue: str, symbol: str) -> bytes:
    """Topic of the state of one book subscription."""
    return _topic("feed", venue, symbol)


def consolidated(symbol: str) -> bytes:
    """Topic of the consolidated book of one symbol."""
    return _topic("consolidated", symbol)


def exactly(topic: bytes) -> bytes:
    """Subscription to exactly this topic, not to those that it is a prefix of."""
    return topic + _SEPARATOR


def of_venue(kind: bytes, venue: str) -> bytes:
    """Subscription to every topic of a kind, such as ``BOOKS``, of one venue."""
    return kind + _topic(venue) + b"/"


def topic_of(message: SignalChannel | MarketChannel, reply_to: str = "") -> bytes:
    """Topic that a message is sent under.

    Args:
        message: any message of either channel.
        reply_to: for an Answer, the ``reply_to`` of its Query.
    """
    pair = _PAIRS.get(type(message))
    if pair is not None:
        return _topic(message.TOPIC[0], *pair(message))
    kind, *names = message.TOPIC
    fields = [reply_to if name == "reply_to" else getattr(message, name) for name in names]
    return _topic(kind, *fields)


def join(topic: bytes, body: bytes) -> bytes:
    """Make a frame."""
    return topic + _SEPARATOR + body


def split(frame: bytes) -> tuple[bytes, bytes]:
    """Split a frame into topic and body.

    Raises:
        DecodeError: when the frame has no topic of at most 256 bytes.
    """
    end = frame.find(_SEPARATOR, 0, MAX_TOPIC + 1)
    if end < 1:
        raise DecodeError(f"no topic in a frame that starts with {frame[:16].hex()}")
    return frame[:end], frame[end + 1 :]


@lru_cache(maxsize=4_096)
def _topic(*parts: str) -> bytes:
    text = "/".join(parts)
    topic = text.encode()
    if "\0" in text or len(topic) > MAX_TOPIC:
        raise BadInput(
            f"{text[:80]!r} cannot be a topic",
            allowed=f"at most {MAX_TOPIC} bytes and no NUL, venue, symbol and strategy together",
        )
    return topic
