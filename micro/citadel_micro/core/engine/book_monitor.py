"""Monitoring the books: ages, gaps and crossed books, and their publication."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.order_flow import publish_book
from citadel_micro.core.model.commands import PublishFeed, RequestSnapshot
from citadel_micro.core.model.time_units import FAR

if TYPE_CHECKING:
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.model.events import FeedStatus
    from citadel_micro.core.orders.instrument_state import InstrumentState

SNAPSHOT_RETRY_NS: Final = 10_000_000_000
SHOW_PROOF_NS: Final = 400_000_000
"""A published book that has not changed is published again when its proof is newer by this: a
quarter of the age at which macro and the gate consider a book stale."""


class BookMonitor:
    """Everything about the books except the hot path of their updates."""

    def __init__(self, context: EngineContext, executor: SmartOrderExecutor) -> None:
        self._config = context.config
        self._inst_states = context.inst_states
        self._executor = executor
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._next_book_ns = 0
        self._next_feed_ns = 0

    def due_ns(self, *, feeds: bool) -> int:
        """Before then ``on_tick`` does nothing as long as the only book is LIVE and neither old nor crossed.

        ``feeds``: what it says of its feed counts.
        """
        if len(self._inst_states) != 1:
            return 0
        (inst,) = self._inst_states.values()
        if not inst.followed or inst.crossed_since_ns:
            return 0
        publishes = self._config.book_publish_interval_ns > 0
        return min(self._next_feed_ns if feeds else FAR, self._next_book_ns if publishes else FAR)

    def on_tick(self, now_ns: int) -> None:
        """Check the age of every book; publish what is due."""
        config = self._config
        books_due = config.book_publish_interval_ns > 0 and now_ns >= self._next_book_ns
        if books_due:
            self._next_book_ns = now_ns + config.book_publish_interval_ns
        for inst in self._inst_states.values():
            if inst.followed:
                self._tick_instrument(inst, now_ns, publish=books_due)
        if now_ns >= self._next_feed_ns:
            self._next_feed_ns = now_ns + config.feed_publish_interval_ns
            for inst in self._inst_states.values():
                if inst.followed:
                    self._publish_feed(inst)

    def on_feed(self, status: FeedStatus, now_ns: int) -> None:
        """The connection of one book changed."""
        inst = self._inst_states.get((status.venue, status.symbol))
        if inst is None:
            return
        inst.followed = status.followed
        before = (inst.market.state, inst.market.reason)
        inst.market.on_status(status)
        inst.dirty = True
        if status.up and inst.market.state == "SYNCING":
            self._request_snapshot(inst, status.reason or "connected", now_ns)
        if (inst.market.state, inst.market.reason) != before:
            self._feed_changed(inst, now_ns)

    def on_change(self, inst: InstrumentState, change: int, now_ns: int) -> None:
        """An update did more to a book than change its levels (``Change`` flags)."""
        if change & Change.GAP:
            self._out.note(
                "warning", "gap", venue=inst.key[0], symbol=inst.key[1], why=inst.market.reason
            )
            self._request_snapshot(inst, inst.market.reason, now_ns)
        if change & Change.STATE:
            if not inst.crossed_since_ns and inst.market.crossed:
                inst.crossed_since_ns = now_ns
            self._feed_changed(inst, now_ns)

    def mark(self, inst: InstrumentState, now_ns: int) -> None:
        """Give the portfolio the mark of a book, or that there is none."""
        mid = inst.mark(now_ns, self._risk.limits.mark_stale_ns)
        self._view.portfolio.mark(*inst.key, mid)

    def _request_snapshot(self, inst: InstrumentState, reason: str, now_ns: int) -> None:
        inst.asked_ns = now_ns
        venue, symbol = inst.key
        mute = inst.market.mute
        self._out.commands.append(
            RequestSnapshot(venue=venue, symbol=symbol, reason=reason, mute=mute)
        )

    def _feed_changed(self, inst: InstrumentState, now_ns: int) -> None:
        self._publish_feed(inst)
        self.mark(inst, now_ns)
        market = inst.market
        if not inst.followed:
            self._risk.feed_dropped(*inst.key)
            return
        self._out.commands.extend(
            self._risk.on_feed(*inst.key, now_ns, live=market.state == "LIVE", reason=market.reason)
        )

    def _publish_feed(self, inst: InstrumentState) -> None:
        market = inst.market
        self._out.commands.append(
            PublishFeed(
                venue=inst.key[0],
                symbol=inst.key[1],
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
    def _proven_anew(inst: InstrumentState) -> bool:
        """A quiet book is published again with its new proof, or its readers would consider it old."""
        market = inst.market
        return market.state == "LIVE" and market.proof_ns - inst.shown_proof_ns >= SHOW_PROOF_NS

    def _tick_instrument(self, inst: InstrumentState, now_ns: int, *, publish: bool) -> None:
        market = inst.market
        if market.check_age(now_ns, self._risk.limits.stale_ns):
            inst.dirty = True
            self._feed_changed(inst, now_ns)
            if market.mute:
                self._request_snapshot(inst, market.reason, now_ns)
            if (inst.parents or inst.held.waiting) and not self._view.reconciling:
                self._executor.on_market(inst, now_ns)
        elif market.state == "STALE":
            self.mark(inst, now_ns)  # until it is too old
        if market.crossed and market.state in ("LIVE", "STALE"):
            if not inst.crossed_since_ns:
                inst.crossed_since_ns = now_ns
            elif now_ns - inst.crossed_since_ns >= self._config.crossed_resync_ns:
                self._executor.resync(inst, "crossed or locked for too long", now_ns)
                self._feed_changed(inst, now_ns)
        else:
            inst.crossed_since_ns = 0
        waiting = (market.state == "SYNCING" and inst.asked_ns > 0) or market.mute
        if waiting and now_ns - inst.asked_ns >= SNAPSHOT_RETRY_NS:
            why = market.reason if market.mute else f"no snapshot yet: {market.reason}"
            self._request_snapshot(inst, why, now_ns)
        if publish and (inst.dirty or self._proven_anew(inst)):
            inst.dirty = False
            inst.shown_proof_ns = market.proof_ns
            self.mark(inst, now_ns)
            self._out.commands.append(publish_book(market, inst.features, now_ns))
