"""A market whose plain events compiled code handles, beside one that Python does, and events for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.core.marketdata import kernel
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import FlowFeatures
from citadel_micro.core.model.events import DepthUpdate, FeedStatus, QuoteTick, TradeTick
from citadel_micro.shell.marketdata.decode import make

if TYPE_CHECKING:
    import random

    from citadel_micro.core.marketdata.book import Style
    from citadel_micro.core.model.events import Event

STYLES: Final[tuple[Style, ...]] = ("kraken", "colon")


class PythonBook(MarketBook):
    """A subclass is left to its own methods."""

    __slots__ = ()


class PythonFeatures(FlowFeatures):
    """The same."""

    __slots__ = ()


@dataclass
class Twins:
    """A market and its features, twice."""

    quick: MarketBook
    plain: MarketBook
    quick_flow: FlowFeatures
    plain_flow: FlowFeatures

    def take(self, event: Event) -> None:
        """Both take an event, and answer the same."""
        answers = []
        for market, flow in ((self.quick, self.quick_flow), (self.plain, self.plain_flow)):
            if isinstance(event, DepthUpdate):
                answers.append(repr(market.on_depth(event)))
                flow.on_book(event.recv_ns)
            elif isinstance(event, QuoteTick):
                answers.append(repr(market.on_quote(event)))
                flow.on_book(event.recv_ns)
            elif isinstance(event, TradeTick):
                answers.append(repr(market.on_trade(event)))
            elif isinstance(event, FeedStatus):
                market.on_status(event)
        assert not answers or answers[0] == answers[1], event

    def compare(self) -> None:
        """All that they hold is the same."""
        assert state_of(self.quick) == state_of(self.plain)
        assert state_of(self.quick_flow) == state_of(self.plain_flow)
        assert repr(self.quick.best()) == repr(self.plain.best())


def twins(venue: str, symbol: str, integrity: str) -> Twins:
    """Two of the same market."""
    quick, plain = (of(venue, symbol, integrity) for of in (MarketBook, PythonBook))
    return Twins(quick, plain, FlowFeatures(quick), PythonFeatures(plain))


def state_of(of: Any) -> object:  # noqa: ANN401 - whatever a market holds
    """The values of an object's slots; of a book its levels and checksum."""
    if isinstance(of, kernel.Book):
        sums = [of.checksum(style, count) for style in STYLES for count in (10, 25)]
        return (of.top(50), of.bid_count, of.ask_count, sums)
    slots = {name for each in type(of).__mro__ for name in getattr(each, "__slots__", ())}
    if not slots or isinstance(of, tuple):
        return repr(of)
    names = sorted(slots - {"_market", "_judge", "_judge_trade", "_remember", "stream"})
    return {name: state_of(getattr(of, name, "unset")) for name in names}


def random_events(rng: random.Random, count: int, integrity: str) -> list[Event]:
    """A snapshot and what follows it, plain but for what ``damaged`` does: of no venue."""
    events: list[Event] = []
    seq, at_ns = 1_000, 1_700_000_000_000_000_000
    texts = "crc" in integrity
    for number in range(count):
        at_ns += rng.randint(0, 40_000_000)
        kind = rng.random() if number else 0.0
        if kind < 0.5:
            sides = [
                [
                    (100 + sign * rng.randint(1, 40) / 8, rng.choice((0.0, 0.5, 2.25)))
                    for _ in range(3)
                ]
                for sign in (-1, 1)
            ]
            digits = None
            if texts:
                digits = tuple(
                    [(f"{price:.3f}", f"{size:.2f}") for price, size in side] for side in sides
                )
            numbers = (not number, seq + 1, seq + 1, seq, None)
            fields = ("v", "s", *numbers, *sides, at_ns, at_ns + 5, digits, 0)
            events.append(make(DepthUpdate, fields))
            seq += 1
        elif kind < 0.8:
            bid = 100 - rng.randint(0, 3) / 8
            quote = (seq + rng.randint(-1, 3), bid, 1.5, bid + 0.125, rng.choice((1.0, 2.0)))
            events.append(make(QuoteTick, ("v", "s", *quote, at_ns, at_ns + 5)))
        else:
            side = rng.choice(("buy", "sell"))
            times = (at_ns - rng.randint(0, 9), at_ns + rng.randint(0, 9))
            events.append(
                make(TradeTick, ("v", "s", str(number), 100.0, 0.25, side, *times, False))
            )
    return events


def damaged(events: list[Any], rng: random.Random) -> list[Any]:
    """Some lost, repeated, swapped or changed, and a few that say that the connection is gone."""
    changed: list[Any] = []
    for event in events:
        chance = rng.random()
        if chance < 0.97:
            changed.append(event)
        elif chance < 0.975:
            continue
        elif chance < 0.98:
            changed += [event, event]
        elif chance < 0.985:
            changed.insert(max(0, len(changed) - 1), event)
        elif chance < 0.987:
            symbol = event.symbol
            changed.append(FeedStatus(venue="", symbol=symbol, up=rng.random() < 0.5, reason="x"))
        else:
            changed.append(odd(event, rng))
    return changed


def odd(event: Any, rng: random.Random) -> Any:  # noqa: ANN401 - of the same type
    """One with a field that is not as it was."""
    number = rng.choice((-(10**6), -2, -1, 1, 2, 10**6, 10**11, -(10**11), 2**63))
    times: dict[str, Any] = {
        "recv_ns": event.recv_ns + number,
        "exchange_ns": rng.choice((0, event.exchange_ns + number)),
    }
    name = rng.choice(list(times))
    if isinstance(event, QuoteTick):
        fields: dict[str, Any] = {
            "seq": rng.choice((-1, event.seq + number)),
            "bid": rng.choice((int(event.bid), event.bid * 1.001)),
            "ask_size": rng.choice((1, 0.0)),
        }
    elif isinstance(event, TradeTick):
        fields = {
            "trade_id": rng.choice(("", "7")),
            "size": rng.choice((1, event.size * 2)),
            "side": "buy",
            "history": True,
        }
    else:
        fields = {
            "first_seq": event.first_seq + number,
            "last_seq": event.last_seq + number,
            "prev_seq": rng.choice((-1, event.prev_seq + number)),
            "checksum": rng.choice((None, 7, 0)),
            "bids": rng.choice((list(event.bids), [*event.bids, (event.bids or [(1.0, 1.0)])[0]])),
            "asks": rng.choice(([], list(event.asks))),
            "texts": None,
            "covers": rng.choice((0, 10)),
            "snapshot": rng.choice((True, 0)),
        }
        if event.texts is not None:
            del fields["bids"], fields["asks"]
    chosen = {**times, **fields}
    name = rng.choice(list(chosen))
    return event._replace(**{name: chosen[name]})
