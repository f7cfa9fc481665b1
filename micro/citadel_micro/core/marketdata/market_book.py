"""One instrument's book, best prices and trades, and their integrity.

``MarketBook`` joins a book, an integrity strategy and a state machine, without clock, input or output; a change
that needs a fresh snapshot is ``Change.GAP``: the caller fetches one and feeds it back through ``on_depth``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.core.marketdata.book_change import Change
from citadel_micro.core.marketdata.cross_check import CrossCheck
from citadel_micro.core.marketdata.kernel import Book
from citadel_micro.core.marketdata.plain_events import quick_market
from citadel_micro.core.marketdata.readings import Readings
from citadel_micro.core.marketdata.sequence_verdict import APPLY, BUFFER, GAP
from citadel_micro.core.marketdata.sequencing import Unnumbered, make_integrity
from citadel_micro.core.marketdata.snapshot_buffer import (
    BELOW_LIMIT_NS,
    BUFFER_LIMIT,
    CROSSED_LIMIT_NS,
    OLDER_NS,
    QUOTE_NS,
    STAMP_NS,
    USELESS_LIMIT_NS,
    crosses,
    deepen,
    keep,
    received,
    recent_of,
)
from citadel_micro.core.marketdata.streams import Stream
from citadel_micro.core.marketdata.trade_news import News

if TYPE_CHECKING:
    from citadel_micro.core.model.events import (
        BookLook,
        DepthUpdate,
        FeedStatus,
        QuoteTick,
        TradeTick,
    )

BookState = Literal["SYNCING", "LIVE", "STALE", "BROKEN"]
"""SYNCING: no usable content yet. LIVE: complete as of ``last_seq``. STALE: was complete, but nothing
was received on its stream for too long, or it is crossed. BROKEN: the venue will not serve it."""

UNVERIFIED: Final = "unverified: nobody can say whether updates were lost"
"""Reason of a LIVE book from a generic connector."""


@quick_market
class MarketBook(Readings):
    """One instrument on one venue. See the module.

    Args:
        venue: venue id.
        symbol: unified symbol.
        integrity: name of the integrity strategy, as ``core.marketdata.sequencing`` lists them.
    """

    __slots__ = (
        "_buffer",
        "_check",
        "_checksum",
        "_crossed_ns",
        "_depth",
        "_depths",
        "_integrity",
        "_judge",
        "_judge_trade",
        "_last_quote",
        "_news",
        "_proving",
        "_quote_seq",
        "_quoted_ns",  # receipt of the first quote that differed after the last update
        "_recent",
        "_traded_ns",  # and of the first trade after it
        "_unproven",
        "_useless_ns",
        "_was_live",
        "deltas",
        "exchange_ns",
        "gaps",
        "last_recv_ns",
        "last_seq",
        "last_trade",
        "mute",
        "news",
        "on_demand",
        "reason",
        "resyncs",
        "state",
        "stream",
        "symbol",
        "traded",
        "venue",
    )

    def __init__(self, venue: str, symbol: str, integrity: str) -> None:
        self.venue: Final = venue
        self.symbol: Final = symbol
        rules = make_integrity(integrity)
        deepest = rules.depths[-1] if rules.depths else 0
        super().__init__(Book(keep_text=rules.checksum is not None, depth=deepest))
        self.state: BookState = "SYNCING"
        self.reason = "no snapshot yet"
        self.last_seq = -1
        self.last_recv_ns = 0
        """When its last valid update came: the last change of a quiet book may be long ago."""
        self.stream = Stream()
        self.on_demand = False
        """Followed only while somebody may trade it."""
        self.mute = False
        """STALE because its depth lags its other streams: its own next update ends it, or a new connection."""
        self.exchange_ns = 0
        self.gaps = 0
        self.resyncs = 0
        self.deltas = 0
        self.last_trade: TradeTick | None = None
        self.news: TradeTick | None = None
        """The trade that came last, if it was news."""
        self.traded = 0.0
        """Sum of the sizes of all new trades."""
        self._unproven = False
        self._integrity: Final = rules.sequence
        self._judge: Final = rules.sequence.judge
        self._checksum: Final = rules.checksum
        self._depths: Final = rules.depths
        self._depth = 0
        # Strategies without numbers are asked what they prove; the others always do.
        self._proving: Final = bool(
            rules.checksum is not None or rules.depths or isinstance(rules.sequence, Unnumbered)
        )
        self._check: Final = CrossCheck(counts_changes=integrity.startswith("range_bridge_spot"))
        self._crossed_ns = 0
        self._buffer: Final[deque[DepthUpdate]] = deque(maxlen=BUFFER_LIMIT)
        self._quote_seq = -1
        self._last_quote: QuoteTick | None = None
        self._quoted_ns = self._traded_ns = 0
        self._recent: deque[DepthUpdate] | None = None
        self._useless_ns = 0
        self._was_live = False
        self._news: Final = News()
        self._judge_trade: Final = self._news.judge

    # --- events -------------------------------------------------------------------------------

    def on_depth(self, update: DepthUpdate) -> int:
        """Check one update, and apply, buffer or reject it. Returns ``Change`` flags.

        While the book is not LIVE, updates are buffered for their snapshot. After a
        gap the old levels stay readable, but ``state`` marks them as unusable.
        """
        if update.snapshot:
            return self._on_snapshot(update)
        verdict = self._judge(update)
        if verdict == APPLY:
            return self._apply(update)
        if verdict == GAP:
            self.gaps += 1
            self._buffer.clear()
            self._lose(self._integrity.reason)
            self._keep(update)
            return Change.GAP | Change.STATE
        if verdict == BUFFER:
            self._keep(update)
            return self._useless(update, "no snapshot")
        self.last_recv_ns = update.recv_ns
        below = self._useless(update, "nothing newer than the snapshot", BELOW_LIMIT_NS)
        return below or self._revive()

    def on_quote(self, quote: QuoteTick) -> bool:
        """Apply a best bid and ask if it is newer than the depth. True when the best changed.

        Where the venue numbers both channels in one space (``seq`` >= 0) the number decides, else
        the venue's time.
        """
        # By position and once: names take twice the time, and most events are quotes.
        _, _, seq, bid, bid_size, ask, ask_size, stamp, recv_ns = quote
        if seq >= 0:
            if seq <= self.last_seq:
                return False
            # One that is lower than the last quote's is older, as long as that one is recent.
            if seq < self._quote_seq and recv_ns - received(self._last_quote) < OLDER_NS:
                return False
            self._quote_seq = seq
        elif stamp < self.exchange_ns < stamp + STAMP_NS:
            return False
        else:
            self._quote_seq = -1
        new = (bid, bid_size, ask, ask_size)
        if new == (self._quote or self.best()):
            return False
        if self._quoted_ns <= self.last_recv_ns:
            self._quoted_ns = recv_ns
        self._quote = new
        self._last_quote = quote
        return True

    def on_trade(self, trade: TradeTick) -> bool:
        """Store a new trade as the last one, and its signed size for ``signed_flow``.

        False, and nothing stored, for a repeated or old one (``core.marketdata.trade_news``).
        """
        lag_ns = self.last_recv_ns - self.exchange_ns if self.exchange_ns else None
        if not self._judge_trade(trade, lag_ns):
            self.news = None
            return False
        self.last_trade = self.news = trade
        self.traded += trade.size
        if self._traded_ns <= self.last_recv_ns and trade.exchange_ns > self.exchange_ns:
            self._traded_ns = trade.recv_ns
        self._flow.add(trade.size if trade.side == "buy" else -trade.size, trade.recv_ns)
        return True

    def on_poll(self, poll: BookLook) -> None:
        """A polled book: if it is ahead, this one must catch up soon (``check_age``)."""
        if poll.last_seq > self.last_seq:
            self._check.poll = poll

    def on_status(self, status: FeedStatus) -> None:
        """The connection changed: the book is void until the next snapshot."""
        if status.refused:
            self._lose(status.reason, "BROKEN")
        elif status.up and self.state == "SYNCING":
            self.reason = status.reason or "waiting for a snapshot"
        else:
            self._lose(status.reason)
        self._buffer.clear()
        self._useless_ns = 0
        self._quote = None
        self._quote_seq = -1
        self._check.poll = None

    @property
    def proof_ns(self) -> int:
        """When the book was last proven current: its last update, or its stream's proof."""
        return max(self.last_recv_ns, self.stream.proof_ns)

    def check_age(self, now_ns: int, stale_ns: int) -> bool:
        """LIVE becomes STALE without a proof for ``stale_ns``, and LIVE again with one.

        STALE as well when its depth is ``mute``. True if the state has just changed.
        """
        age_ns = now_ns - self.proof_ns
        if self.state == "LIVE":
            if age_ns > stale_ns:
                reason = f"nothing heard of its stream for {age_ns / 1e9:.1f} s"
            else:
                reason = self._check.why(
                    self, self._quote, (self._quoted_ns, self._traded_ns), now_ns
                )
                self.mute = bool(reason)
            if reason:
                self.state = "STALE"
                self.reason = reason
            return bool(reason)
        if self.state == "STALE" and age_ns <= stale_ns and not (self._crossed_ns or self.mute):
            return self._revive() != Change.NONE
        return False

    # --- integrity ----------------------------------------------------------------------------

    @property
    def verified(self) -> bool:
        """Whether a lost update would be detected, by the venue's numbers or its checksums."""
        if self._integrity.proves:
            return True
        return self._checksum is not None and not self._unproven

    @property
    def last_trade_ns(self) -> int:
        """Latest engine time at which the last trade can have happened; 0 before the first.

        A younger order was not in the book for it.
        """
        return self._news.happened_ns

    @property
    def checksums(self) -> tuple[int, int]:
        """How many of the venue's checksums agreed, and how many did not."""
        return (0, 0) if self._checksum is None else (self._checksum.passed, self._checksum.failed)

    # --- state --------------------------------------------------------------------------------

    def _apply(self, update: DepthUpdate) -> int:
        self._useless_ns = 0
        self.book.apply(update.bids, update.asks, update.texts)
        self.last_seq = update.last_seq
        self.last_recv_ns = update.recv_ns
        self.exchange_ns = update.exchange_ns
        self.deltas += 1
        if self._recent is not None:
            self._recent.append(update)
        if self._quote is not None and (
            self._quote_seq <= update.last_seq
            or update.recv_ns - received(self._last_quote) > QUOTE_NS
        ):
            self._quote = None
        if self._proving and not self._proven(update):
            return self._gap(self._checksum.reason if self._checksum is not None else "")
        if self.book.crossed:
            return self._cross(update.recv_ns)
        if self.state == "LIVE":
            return Change.UPDATED
        return Change.UPDATED | self._revive()

    def _cross(self, now_ns: int) -> int:
        """Complete but crossed: STALE until it uncrosses, resynchronized if it does not."""
        if self.state == "SYNCING":
            return Change.UPDATED  # its replay ends LIVE, and the next update comes by here
        if self.state != "STALE" or not self._crossed_ns:
            self._crossed_ns = now_ns
        elif now_ns - self._crossed_ns > CROSSED_LIMIT_NS:
            self._crossed_ns = 0
            return self._gap("the book stays crossed")
        bid, _, ask, _ = self.book.best() or (0.0, 0.0, 0.0, 0.0)
        changed = self.state != "STALE"
        self.state = "STALE"
        self.reason = f"the book is crossed: bid {bid}, ask {ask}"
        return Change.UPDATED | (Change.STATE if changed else Change.NONE)

    def _on_snapshot(self, update: DepthUpdate) -> int:
        if self._integrity.snapshot(update) != APPLY:
            return self._deepen(update)
        if crosses(update.bids, update.asks):
            self._lose("the snapshot is crossed")
            return Change.GAP | Change.STATE
        self._useless_ns = 0
        self._recent = recent_of(update) if self._integrity.bridges else None
        self.book.replace(update.bids, update.asks, update.texts)
        self.last_seq = update.last_seq
        self.last_recv_ns = update.recv_ns
        self.exchange_ns = update.exchange_ns
        if self._quote is not None and self._quote_seq <= update.last_seq:
            self._quote = None
        if self._depths or update.covers:
            self._depth = update.covers or self._depth_of(self.book.bid_count, self.book.ask_count)
        if self._proving and not self._proven(update):
            return self._gap(self._checksum.reason if self._checksum is not None else "")
        return self._replay()

    def _deepen(self, whole: DepthUpdate) -> int:
        """Add the levels that a book of few lacks from a full snapshot that is older than it."""
        if self.state != "LIVE" or not deepen(self.book, whole, self._recent):
            return Change.NONE
        self._recent = None
        return Change.UPDATED

    def _replay(self) -> int:
        """Apply the buffered updates to the snapshot just received."""
        buffer = self._buffer
        joined = False
        while buffer:
            update = buffer[0]
            if 0 <= update.last_seq < self.last_seq:
                # The snapshot contains it. Old ones are expected in a buffer, so they
                # do not count against the stream.
                buffer.popleft()
                continue
            verdict = self._judge(update)
            if verdict == GAP:
                # Before the first joins, the snapshot is only older than the buffer.
                if joined:
                    self.gaps += 1
                self._integrity.reset()
                self.state = "SYNCING"
                self.reason = self._integrity.reason
                return Change.GAP | Change.STATE
            buffer.popleft()
            if verdict == APPLY:
                joined = True
                if self._apply(update) & Change.GAP:
                    return Change.GAP | Change.STATE
        if self.state == "LIVE":
            return Change.UPDATED
        if self._was_live:
            self.resyncs += 1
        self._was_live = True
        self._crossed_ns = 0
        self.mute = False
        self.state = "LIVE"
        self.reason = "" if self.verified else UNVERIFIED
        return Change.UPDATED | Change.STATE

    def _proven(self, update: DepthUpdate) -> bool:
        """Truncate as the venue does, and verify its checksum."""
        if self._depth:
            if update.covers:
                self._depth = update.covers
            self.book.truncate(self._depth)
        if update.checksum is not None and self._checksum is not None:
            self._unproven = False
            return self._checksum.verify(update, self.book)
        if not update.snapshot and not self._unproven and not self._integrity.proves:
            # Neither a number nor a sum: losses from here on cannot be detected.
            self._unproven = True
            if self.state == "LIVE":
                self.reason = UNVERIFIED
        return True

    def _depth_of(self, bids: int, asks: int) -> int:
        """Which of the venue's depths a snapshot has."""
        for depth in self._depths:
            if bids == asks == depth:
                return depth
        return self._depths[-1]

    def _gap(self, reason: str) -> int:
        """The applied levels are not the venue's book any more."""
        if self.state in ("LIVE", "STALE"):
            self.gaps += 1
        self._buffer.clear()
        self._lose(reason)
        return Change.GAP | Change.STATE

    def _useless(self, update: DepthUpdate, reason: str, limit_ns: int = USELESS_LIMIT_NS) -> int:
        """An update that did not fit: one is ignored, a series of them requests a new snapshot."""
        if not self._useless_ns:
            self._useless_ns = update.recv_ns
        elif update.recv_ns - self._useless_ns > limit_ns:
            self._useless_ns = update.recv_ns
            self._lose(f"{reason}, after {limit_ns // 10**9} s of updates")
            return Change.GAP | Change.STATE
        return Change.NONE

    def _revive(self) -> int:
        """A valid update or a proof of its stream ends staleness, nothing else."""
        if self.state != "STALE":
            return Change.NONE
        if self.book.crossed:
            return Change.NONE
        self._crossed_ns = 0
        self.mute = False
        self.state = "LIVE"
        self.reason = "" if self.verified else UNVERIFIED
        return Change.STATE

    def _lose(self, reason: str, state: BookState = "SYNCING") -> None:
        self.state = state
        self.reason = reason
        self.mute = False
        self._integrity.reset()

    def _keep(self, update: DepthUpdate) -> None:
        if not self._integrity.bridges:
            return
        keep(self._buffer, update)
