"""Watching the markets: ages, gaps and crossed books, and what is published about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata.market_book import Change
from citadel_micro.core.model.commands import PublishBook, PublishFeed, RequestSnapshot

if TYPE_CHECKING:
    from citadel_micro.core.execution.engine_context import Parts
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.events import FeedStatus
    from citadel_micro.core.orders.instrument_state import Desk

SNAPSHOT_RETRY_NS: Final = 10_000_000_000
SHOW_PROOF_NS: Final = 400_000_000
"""A published book that has not changed is published again when its proof is younger by this: a
quarter of the age at which macro and the gate take a book for stale."""


class MarketWatch:
    """Everything about the books but the quick path of their updates."""

    def __init__(self, parts: Parts, executor: SmartOrderExecutor) -> None:
        self._config = parts.config
        self._desks = parts.desks
        self._executor = executor
        self._risk = parts.risk
        self._view = parts.view
        self._out = parts.out
        self._next_book_ns = 0
        self._next_feed_ns = 0

    def on_tick(self, now_ns: int) -> None:
        """Look at the age of every book; publish what is due."""
        config = self._config
        books_due = config.book_publish_interval_ns > 0 and now_ns >= self._next_book_ns
        if books_due:
            self._next_book_ns = now_ns + config.book_publish_interval_ns
        for desk in self._desks.values():
            self._tick_desk(desk, now_ns, publish=books_due)
        if now_ns >= self._next_feed_ns:
            self._next_feed_ns = now_ns + config.feed_publish_interval_ns
            for desk in self._desks.values():
                self._publish_feed(desk)

    def on_feed(self, status: FeedStatus, now_ns: int) -> None:
        """The connection below one book changed."""
        desk = self._desks.get((status.venue, status.symbol))
        if desk is None:
            return
        before = (desk.market.state, desk.market.reason)
        desk.market.on_status(status)
        desk.dirty = True
        if status.up and desk.market.state == "SYNCING":
            self._request_snapshot(desk, status.reason or "connected", now_ns)
        if (desk.market.state, desk.market.reason) != before:
            self._feed_changed(desk, now_ns)

    def on_change(self, desk: Desk, change: int, now_ns: int) -> None:
        """An update did more to a book than change its levels (``Change`` flags)."""
        if change & Change.GAP:
            self._out.note(
                "warning", "gap", venue=desk.key[0], symbol=desk.key[1], why=desk.market.reason
            )
            self._request_snapshot(desk, desk.market.reason, now_ns)
        if change & Change.STATE:
            if not desk.crossed_since_ns and desk.market.crossed:
                desk.crossed_since_ns = now_ns
            self._feed_changed(desk, now_ns)

    def mark(self, desk: Desk, now_ns: int) -> None:
        """Tell the portfolio what the book says a holding is worth, or that it cannot."""
        mid = desk.mark(now_ns, self._risk.limits.mark_stale_ns)
        self._view.portfolio.mark(*desk.key, mid)

    def _request_snapshot(self, desk: Desk, reason: str, now_ns: int) -> None:
        desk.asked_ns = now_ns
        venue, symbol = desk.key
        mute = desk.market.mute
        self._out.commands.append(
            RequestSnapshot(venue=venue, symbol=symbol, reason=reason, mute=mute)
        )

    def _feed_changed(self, desk: Desk, now_ns: int) -> None:
        self._publish_feed(desk)
        self.mark(desk, now_ns)
        market = desk.market
        self._out.commands.extend(
            self._risk.on_feed(*desk.key, now_ns, live=market.state == "LIVE", reason=market.reason)
        )

    def _publish_feed(self, desk: Desk) -> None:
        market = desk.market
        self._out.commands.append(
            PublishFeed(
                venue=desk.key[0],
                symbol=desk.key[1],
                state=market.state,
                reason=market.reason,
                last_seq=market.last_seq,
                last_recv_ns=market.last_recv_ns,
                last_proof_ns=market.proof_ns,
                gaps=market.gaps,
                resyncs=market.resyncs,
            )
        )

    @staticmethod
    def _proven_anew(desk: Desk) -> bool:
        """A quiet book is shown again with its new proof, or its readers would think it old."""
        market = desk.market
        return market.state == "LIVE" and market.proof_ns - desk.shown_proof_ns >= SHOW_PROOF_NS

    def _tick_desk(self, desk: Desk, now_ns: int, *, publish: bool) -> None:
        market = desk.market
        if market.check_age(now_ns, self._risk.limits.stale_ns):
            desk.dirty = True
            self._feed_changed(desk, now_ns)
            if market.mute:
                self._request_snapshot(desk, market.reason, now_ns)
            if (desk.parents or desk.held.waiting) and not self._view.reconciling:
                self._executor.on_market(desk, now_ns)
        elif market.state == "STALE":
            self.mark(desk, now_ns)  # until it is too old
        if market.crossed and market.state in ("LIVE", "STALE"):
            if not desk.crossed_since_ns:
                desk.crossed_since_ns = now_ns
            elif now_ns - desk.crossed_since_ns >= self._config.crossed_resync_ns:
                self._executor.resync(desk, "crossed or locked for too long", now_ns)
                self._feed_changed(desk, now_ns)
        else:
            desk.crossed_since_ns = 0
        waiting = (market.state == "SYNCING" and desk.asked_ns > 0) or market.mute
        if waiting and now_ns - desk.asked_ns >= SNAPSHOT_RETRY_NS:
            why = market.reason if market.mute else f"no snapshot yet: {market.reason}"
            self._request_snapshot(desk, why, now_ns)
        if publish and (desk.dirty or self._proven_anew(desk)):
            desk.dirty = False
            desk.shown_proof_ns = market.proof_ns
            self.mark(desk, now_ns)
            self._out.commands.append(PublishBook(venue=desk.key[0], symbol=desk.key[1]))
