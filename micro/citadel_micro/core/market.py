"""What everybody reads: one instrument's book, best prices and trades, and how far to trust them.

``MarketBook`` joins a book, an integrity strategy and a state machine. It holds no clock and does
no input or output; a change that needs a fresh snapshot is returned as ``Change.GAP``, and whoever
drives it fetches one and feeds it back through ``on_depth``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from citadel_micro.core.crosscheck import CrossCheck
from citadel_micro.core.integrity import Unnumbered, make_integrity
from citadel_micro.core.kernel import Book
from citadel_micro.core.streams import Stream
from citadel_micro.core.trades import News
from citadel_micro.core.verdicts import APPLY, BUFFER, GAP
from citadel_micro.core.windows import CellSums

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.book import Best, Level
    from citadel_micro.core.events import BookLook, DepthUpdate, FeedStatus, QuoteTick, TradeTick

BookState = Literal["SYNCING", "LIVE", "STALE", "BROKEN"]
"""SYNCING: no trustworthy content yet. LIVE: complete as of ``last_seq``. STALE: was complete, but
nobody has heard of its stream for too long, or it is crossed. BROKEN: the venue will not serve it."""

BUFFER_LIMIT: Final = 2_000
"""Updates kept while a snapshot is fetched: 200 s of a 100 ms stream, 20 s of the quickest seen.
The oldest go first; a snapshot that they would have joined then counts as too old."""
CROSSED_LIMIT_NS: Final = 5_000_000_000
"""A book that stays crossed for this long is fetched anew. Auctions and single-change streams may
cross for a moment; a wrong level stays."""
USELESS_LIMIT_NS: Final = 5_000_000_000
"""Updates that come for this long without a snapshot to put them on say that it was lost."""
FEW_LEVELS: Final = 100
"""A snapshot with so many levels on its longer side may have been cut there: a whole one follows."""
RECENT: Final = 64
"""Updates of such a book that are kept: some seconds, longer than a snapshot is under way."""
BELOW_LIMIT_NS: Final = 2_000_000_000
"""The same for updates that are all older than the snapshot: streams lag it by less than a second."""
OLDER_NS: Final = 250_000_000
"""Quotes of one stream come in order, but for some that come twice; one of a lower number that comes
later than this says that the number before was wrong."""
QUOTE_NS: Final = 1_000_000_000
"""A best bid and ask whose number is ahead of the depth is believed against it for so long. Depth
follows within a second, so a number that is farther ahead is wrong."""
STAMP_NS: Final = 60_000_000_000
"""A stamp that is ahead of all others by more than this is wrong, and orders nothing."""
FLOW_NS: Final = 60_000_000_000
"""Longest window of ``signed_flow``."""

UNVERIFIED: Final = "unverified: nobody can say whether updates were lost"
"""Reason of a LIVE book that a generic connector keeps."""


class Change:
    """What an update did to a MarketBook: plain ints that are joined with ``|``."""

    NONE: Final = 0
    """Nothing that a reader would see."""
    UPDATED: Final = 1
    """The levels changed."""
    GAP: Final = 2
    """The book lost its place: request a snapshot."""
    STATE: Final = 4
    """``state`` or its reason changed."""


class MarketBook:
    """One instrument on one venue. See the module.

    Args:
        venue: venue id.
        symbol: unified symbol.
        integrity: name of the integrity strategy, as ``core.integrity`` lists them.
    """

    __slots__ = (
        "_buffer",
        "_check",
        "_checksum",
        "_crossed_ns",
        "_depth",
        "_depths",
        "_flow",
        "_integrity",
        "_judge",
        "_judge_trade",
        "_last_quote",
        "_news",
        "_proving",
        "_quote",
        "_quote_seq",
        "_quoted_ns",
        "_recent",
        "_traded_ns",
        "_unproven",
        "_useless_ns",
        "_was_live",
        "book",
        "deltas",
        "exchange_ns",
        "gaps",
        "last_recv_ns",
        "last_seq",
        "last_trade",
        "mute",
        "news",
        "reason",
        "resyncs",
        "state",
        "stream",
        "symbol",
        "venue",
    )

    def __init__(self, venue: str, symbol: str, integrity: str) -> None:
        self.venue: Final = venue
        self.symbol: Final = symbol
        rules = make_integrity(integrity)
        deepest = rules.depths[-1] if rules.depths else 0
        self.book: Final = Book(keep_text=rules.checksum is not None, depth=deepest)
        self.state: BookState = "SYNCING"
        self.reason = "no snapshot yet"
        self.last_seq = -1
        self.last_recv_ns = 0
        """When its last valid update came: the last change of a quiet book may be long ago."""
        self.stream = Stream()
        self.mute = False
        """STALE because its depth does not follow its other streams: only its own next update, or a
        new subscription, ends that."""
        self.exchange_ns = 0
        self.gaps = 0
        self.resyncs = 0
        self.deltas = 0
        self.last_trade: TradeTick | None = None
        self.news: TradeTick | None = None
        """The trade that came last, if it was news."""
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
        self._quote: Best | None = None
        self._quote_seq = -1
        self._last_quote: QuoteTick | None = None
        self._quoted_ns = self._traded_ns = 0
        """Receipt of the first quote that differed, and of the first trade, after the last update."""
        self._recent: deque[DepthUpdate] | None = None
        """The last updates of a book of few levels: they join a whole one to it that is older."""
        self._useless_ns = 0
        self._was_live = False
        self._flow: Final = CellSums(FLOW_NS)
        self._news: Final = News()
        self._judge_trade: Final = self._news.judge

    # --- events -------------------------------------------------------------------------------

    def on_depth(self, update: DepthUpdate) -> int:
        """Judge one update, and apply, keep or refuse it. Returns ``Change`` flags.

        While the book is not LIVE, updates wait for their snapshot in a bounded buffer. After a
        gap the old levels stay readable, but ``state`` says that they are not to be trusted.
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
        """Take a best bid and ask if it is newer than the depth. True when the best changed.

        Where the venue numbers both channels in one space (``seq`` >= 0) the number decides, else
        the venue's time.
        """
        if quote.seq >= 0:
            if quote.seq <= self.last_seq:
                return False
            # One that is lower than the last quote's is older, as long as that one is young.
            if quote.seq < self._quote_seq and quote.recv_ns - self._quote_ns() < OLDER_NS:
                return False
            self._quote_seq = quote.seq
        elif quote.exchange_ns < self.exchange_ns < quote.exchange_ns + STAMP_NS:
            return False
        else:
            self._quote_seq = -1
        new = quote[3:7]  # bid, bid_size, ask, ask_size
        if new == (self._quote or self.best()):
            return False
        if self._quoted_ns <= self.last_recv_ns:
            self._quoted_ns = quote.recv_ns
        self._quote = new
        self._last_quote = quote
        return True

    def on_trade(self, trade: TradeTick) -> bool:
        """Remember a trade that is news as the last one, and its signed size for ``signed_flow``.

        False, and nothing remembered, for what has been or was over before (``core.trades``).
        """
        lag_ns = self.last_recv_ns - self.exchange_ns if self.exchange_ns else None
        if not self._judge_trade(trade, lag_ns):
            self.news = None
            return False
        self.last_trade = self.news = trade
        if self._traded_ns <= self.last_recv_ns and trade.exchange_ns > self.exchange_ns:
            self._traded_ns = trade.recv_ns
        self._flow.add(trade.size if trade.side == "buy" else -trade.size, trade.recv_ns)
        return True

    def on_look(self, look: BookLook) -> None:
        """The venue's own book, if it is ahead, must soon be this one's as well (``check_age``)."""
        if look.last_seq > self.last_seq:
            self._check.look = look

    def on_status(self, status: FeedStatus) -> None:
        """The connection changed: whatever was known is void until the next snapshot."""
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
        self._check.look = None

    @property
    def proof_ns(self) -> int:
        """When this book was last known to be the venue's: its last update, or its stream's proof."""
        return max(self.last_recv_ns, self.stream.proof_ns)

    def check_age(self, now_ns: int, stale_ns: int) -> bool:
        """LIVE becomes STALE without a proof for ``stale_ns``, and LIVE again with one.

        STALE as well when its depth has fallen ``mute``. True if the state has just changed.
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

    # --- readings -----------------------------------------------------------------------------

    def best(self) -> Best | None:
        """(bid, bid size, ask, ask size), the fresher of depth and quote; None if one-sided."""
        if self._quote is not None:
            return self._quote
        return self.book.best()

    def top(self, count: int) -> tuple[list[Level], list[Level]]:
        """Up to ``count`` levels of each side, (bids, asks), best first and beginning at ``best``.

        A quote may be newer than the depth: what the depth shows better than it is gone.
        """
        bids, asks = self.book.top(count)
        if self._quote is None or count <= 0:
            return bids, asks
        bid, bid_size, ask, ask_size = self._quote
        return (
            [(bid, bid_size), *(level for level in bids if level[0] < bid)][:count],
            [(ask, ask_size), *(level for level in asks if level[0] > ask)][:count],
        )

    def mid(self) -> float | None:
        """Half-way between best bid and ask, in price units; None if one-sided."""
        best = self.best()
        return None if best is None else (best[0] + best[2]) / 2

    def spread(self) -> float | None:
        """Best ask minus best bid, in price units; None if one-sided."""
        best = self.best()
        return None if best is None else best[2] - best[0]

    def microprice(self) -> float | None:
        """Mid weighted by the opposite sizes (Stoikov 2018, first order); None if one-sided."""
        best = self.best()
        if best is None:
            return None
        bid, bid_size, ask, ask_size = best
        total = bid_size + ask_size
        return (bid * ask_size + ask * bid_size) / total if total > 0 else (bid + ask) / 2

    def imbalance(self, count: int) -> float:
        """(bid size - ask size) / (bid size + ask size) over the best ``count`` levels; 0 if empty.

        In [-1, 1]; positive means more is bid than offered.
        """
        bids, asks = self.top(count)
        bid_size = sum(size for _, size in bids)
        ask_size = sum(size for _, size in asks)
        total = bid_size + ask_size
        return (bid_size - ask_size) / total if total > 0 else 0.0

    def signed_flow(self, now_ns: int, window_ns: int) -> float:
        """Taker buys minus taker sells of the last ``window_ns``, at most a minute, in size.

        Windows are as ``core.windows`` cuts them.
        """
        return self._flow.sums(now_ns, (window_ns,))[0]

    def signed_flows(self, now_ns: int, windows_ns: Sequence[int]) -> list[float]:
        """``signed_flow`` over several windows, shortest first, at the cost of the longest."""
        return self._flow.sums(now_ns, windows_ns)

    @property
    def verified(self) -> bool:
        """Whether a lost update would be noticed, by the venue's numbers or its checksums."""
        if self._integrity.proves:
            return True
        return self._checksum is not None and not self._unproven

    @property
    def last_trade_ns(self) -> int:
        """Engine time at which the last trade happened, at the latest; 0 before the first.

        An order that is younger was not there for it.
        """
        return self._news.happened_ns

    @property
    def crossed(self) -> bool:
        """Best bid at or above best ask. Locked counts: neither is a price to quote from."""
        best = self.best()
        return best is not None and best[0] >= best[2]

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
            self._quote_seq <= update.last_seq or update.recv_ns - self._quote_ns() > QUOTE_NS
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
        """Complete, and still no market: STALE until it uncrosses, anew if it does not."""
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
        bids, asks = update.bids, update.asks
        if self._integrity.snapshot(update) != APPLY:
            return self._deepen(update)
        if bids and asks and max(bids)[0] >= min(asks)[0]:
            self._lose("the snapshot is crossed")
            return Change.GAP | Change.STATE
        self._useless_ns = 0
        few = self._integrity.bridges and max(len(bids), len(asks)) == FEW_LEVELS
        self._recent = deque(maxlen=RECENT) if few else None
        self.book.replace(bids, asks, update.texts)
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
        """Put the updates since a whole snapshot onto it, which is older than this book of few levels.

        The book stays what and where it is, and gets the levels that it lacked.
        """
        recent = self._recent
        if self.state != "LIVE" or not recent or recent[0].last_seq > whole.last_seq:
            return Change.NONE
        if max(len(whole.bids), len(whole.asks)) <= FEW_LEVELS:
            return Change.NONE
        self.book.replace(whole.bids, whole.asks, whole.texts)
        for update in recent:
            if update.last_seq > whole.last_seq:
                self.book.apply(update.bids, update.asks, update.texts)
        self._recent = None
        return Change.UPDATED

    def _replay(self) -> int:
        """Join the waiting updates to the snapshot just taken."""
        buffer = self._buffer
        joined = False
        while buffer:
            update = buffer[0]
            if 0 <= update.last_seq < self.last_seq:
                # The snapshot holds it. Old ones are what a buffer is expected to have, so they
                # say nothing about the stream.
                buffer.popleft()
                continue
            verdict = self._judge(update)
            if verdict == GAP:
                # Before the first joins, the snapshot is only older than what is kept.
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
            # Neither a number nor a sum: whatever is lost from here on, nobody will notice.
            self._unproven = True
            if self.state == "LIVE":
                self.reason = UNVERIFIED
        return True

    def _depth_of(self, bids: int, asks: int) -> int:
        """Which of the venue's depths a snapshot is of."""
        for depth in self._depths:
            if bids == asks == depth:
                return depth
        return self._depths[-1]

    def _gap(self, reason: str) -> int:
        """What was applied is not the venue's book."""
        if self.state in ("LIVE", "STALE"):
            self.gaps += 1
        self._buffer.clear()
        self._lose(reason)
        return Change.GAP | Change.STATE

    def _useless(self, update: DepthUpdate, reason: str, limit_ns: int = USELESS_LIMIT_NS) -> int:
        """An update that did not fit: one is nothing, a series of them asks for a new snapshot."""
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

    def _quote_ns(self) -> int:
        """Receipt of the last quote that changed the best."""
        return 0 if self._last_quote is None else self._last_quote.recv_ns

    def _keep(self, update: DepthUpdate) -> None:
        if not self._integrity.bridges:
            return
        buffer = self._buffer
        seq = update.last_seq
        if buffer and seq <= buffer[-1].last_seq:
            # The order of receipt is that of the stream, so a number above those that follow it was
            # wrong; but for what comes twice.
            if any(each.last_seq == seq for each in buffer):
                return
            while buffer and buffer[-1].last_seq > seq:
                buffer.pop()
        buffer.append(update)
