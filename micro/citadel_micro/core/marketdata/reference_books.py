"""Books that are followed but not traded on, and the consolidated view built from them.

A reference venue has market data only: it has no instrument, no order ever goes there, and an outage of
it stops nothing. Its books are compared with the traded venue's book.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.consolidated import Source, consolidate
from citadel_micro.core.marketdata.market_book import MarketBook
from citadel_micro.core.marketdata.order_flow import FlowFeatures, publish_book
from citadel_micro.core.model.commands import (
    PublishConsolidated,
    PublishFeed,
    RequestSnapshot,
)
from citadel_micro.core.model.events import DepthUpdate, QuoteTick
from citadel_micro.core.model.risk_limits import listed
from citadel_micro.core.model.time_units import FAR

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.marketdata.consolidated import Consolidated
    from citadel_micro.core.model.command_buffer import CommandBuffer
    from citadel_micro.core.model.config import EngineConfig
    from citadel_micro.core.model.events import FeedStatus, MarketEvent
    from citadel_micro.core.model.instrument import Instrument

SNAPSHOT_RETRY_NS: Final = 10_000_000_000
_Key = tuple[str, str]


class _Reference:
    """One book without an instrument."""

    __slots__ = ("asked_ns", "dirty", "features", "market")

    def __init__(self, market: MarketBook, features: FlowFeatures | None) -> None:
        self.market = market
        self.features = features
        """Order flow of the book, where it is published."""
        self.dirty = False
        self.asked_ns = 0


class ReferenceBooks:
    """All books without an instrument, and the sources of each symbol that more than one venue has."""

    def __init__(
        self,
        config: EngineConfig,
        markets: Iterable[tuple[Instrument, MarketBook]],
        out: CommandBuffer,
    ) -> None:
        self._config = config
        self.limits = config.limits
        self._out = out
        self._books: dict[_Key, _Reference] = {}
        sources: dict[str, dict[str, Source]] = {}
        for rules, market in markets:
            source = Source(market, float(rules.contract_size), rules.kind == "inverse")
            sources.setdefault(rules.symbol, {})[rules.venue] = source
        for venue, reference in config.references.items():
            for symbol, contract_size in reference.symbols.items():
                market = MarketBook(venue, symbol, reference.integrity)
                published = config.book_publish_interval_ns > 0
                features = FlowFeatures(market) if published else None
                self._books[venue, symbol] = _Reference(market, features)
                source = Source(market, contract_size, inverse=_inverse(symbol))
                sources.setdefault(symbol, {})[venue] = source
        self._sources = {symbol: of for symbol, of in sources.items() if len(of) > 1}
        self._published: dict[str, tuple[object, ...]] = {}
        self._next_publish_ns = 0
        self._next_feed_ns = 0

    @property
    def markets(self) -> dict[_Key, MarketBook]:
        """The books by (venue, symbol)."""
        return {key: each.market for key, each in self._books.items()}

    def consolidated(self, symbol: str, now_ns: int, levels: int = 0) -> Consolidated | None:
        """The view over all venues that have this symbol; None when fewer than two do."""
        sources = self._sources.get(symbol)
        if sources is None:
            return None
        stale_ns = self.limits.stale_ns
        return consolidate(symbol, sources.values(), now_ns, stale_ns, levels)

    def mid(self, venue: str, symbol: str, now_ns: int) -> float | None:
        """Consolidated mid of all venues but this one, in quote units; None when none is included.

        The venue's own book is excluded, or a lone one would always agree with itself. So are
        unverified books: a limit must not depend on them.
        """
        sources = self._sources.get(symbol)
        if sources is None:
            return None
        others = [
            source for name, source in sources.items() if name != venue and source.market.verified
        ]
        return consolidate(symbol, others, now_ns, self.limits.stale_ns).mid

    def for_gate(self, venue: str, symbol: str, now_ns: int) -> float | None:
        """``mid`` where the risk gate compares with one (``reference_symbols``), else None."""
        wanted = self.limits.reference_symbols
        if not wanted or not listed(wanted, venue, symbol):
            return None
        return self.mid(venue, symbol, now_ns)

    # events

    def on_market(self, event: MarketEvent, now_ns: int) -> None:
        """A depth update, quote or trade of a book that has no instrument."""
        each = self._books.get((event.venue, event.symbol))
        if each is None:
            return
        market = each.market
        if isinstance(event, DepthUpdate):
            change = market.on_depth(event)
            if each.features is not None:
                each.features.on_book(event.recv_ns)
            if change == Change.NONE:
                return
            each.dirty = True
            if change & Change.GAP:
                self._request_snapshot(each, market.reason, now_ns)
            if change & Change.STATE:
                self._publish_feed(market)
        elif isinstance(event, QuoteTick):
            each.dirty = market.on_quote(event) or each.dirty
            if each.features is not None:
                each.features.on_book(event.recv_ns)
        else:
            market.on_trade(event)

    def on_feed(self, status: FeedStatus, now_ns: int) -> None:
        """The connection of one book without an instrument changed."""
        each = self._books.get((status.venue, status.symbol))
        if each is None:
            return
        market = each.market
        before = (market.state, market.reason)
        market.on_status(status)
        each.dirty = True
        if status.up and market.state == "SYNCING":
            self._request_snapshot(each, status.reason or "connected", now_ns)
        if (market.state, market.reason) != before:
            self._publish_feed(market)

    def due_ns(self, *, feeds: bool) -> int:
        """Before then ``on_tick`` does nothing; ``feeds``: what it says of feeds counts."""
        if self._books:
            return 0
        publishes = self._config.book_publish_interval_ns > 0
        return min(
            self._next_feed_ns if feeds else FAR, self._next_publish_ns if publishes else FAR
        )

    def on_tick(self, now_ns: int) -> None:
        """Check ages; publish books, states and consolidated views that are due."""
        config = self._config
        for each in self._books.values():
            market = each.market
            if market.check_age(now_ns, self.limits.stale_ns):
                each.dirty = True
                self._publish_feed(market)
                if market.mute:
                    self._request_snapshot(each, market.reason, now_ns)
            waiting = (market.state == "SYNCING" and each.asked_ns > 0) or market.mute
            if waiting and now_ns - each.asked_ns >= SNAPSHOT_RETRY_NS:
                why = market.reason if market.mute else f"no snapshot yet: {market.reason}"
                self._request_snapshot(each, why, now_ns)
        if now_ns >= self._next_feed_ns:
            self._next_feed_ns = now_ns + config.feed_publish_interval_ns
            for each in self._books.values():
                self._publish_feed(each.market)
        if config.book_publish_interval_ns > 0 and now_ns >= self._next_publish_ns:
            self._next_publish_ns = now_ns + config.book_publish_interval_ns
            self._publish(now_ns)

    # inside

    def _publish(self, now_ns: int) -> None:
        for each in self._books.values():
            if each.dirty:
                each.dirty = False
                self._out.commands.append(publish_book(each.market, each.features, now_ns))
        stale_ns = self.limits.stale_ns
        for symbol, sources in self._sources.items():
            shown: list[object] = []
            for source in sources.values():
                market = source.market
                young = now_ns - market.proof_ns <= stale_ns
                shown += (market.state, market.last_recv_ns, market.best(), young)
            state = tuple(shown)
            if self._published.get(symbol) != state:
                self._published[symbol] = state
                self._out.commands.append(PublishConsolidated(symbol=symbol))

    def _request_snapshot(self, each: _Reference, reason: str, now_ns: int) -> None:
        each.asked_ns = now_ns
        market = each.market
        self._out.commands.append(
            RequestSnapshot(
                venue=market.venue, symbol=market.symbol, reason=reason, mute=market.mute
            )
        )

    def _publish_feed(self, market: MarketBook) -> None:
        self._out.commands.append(
            PublishFeed(
                venue=market.venue,
                symbol=market.symbol,
                state=market.state,
                reason=market.reason,
                last_seq=market.last_seq,
                last_recv_ns=market.last_recv_ns,
                last_proof_ns=market.proof_ns,
                gaps=market.gaps,
                resyncs=market.resyncs,
            )
        )


def _inverse(symbol: str) -> bool:
    """Whether a unified symbol settles in its base: ``BTC/USD:BTC``."""
    pair, _, settle = symbol.partition(":")
    return bool(settle) and settle.partition("-")[0] == pair.partition("/")[0]
