"""Between the wire's messages and the core's events and commands; decimals stay exact.

``wire_in`` decodes what comes in; what goes out is encoded here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from citadel_micro.shell.bridge.wire_in import REASON_LENGTH, event_of
from citadel_proto.feed_parts import VenueQuote
from citadel_proto.messages import (
    Answer,
    Balance,
    BookSnapshot,
    ConsolidatedBook,
    ExecutionReport,
    FeedState,
    Fill,
    Position,
    RiskState,
    Trade,
    Trades,
)
from citadel_proto.packed_levels import pack_levels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from citadel_micro.core.marketdata.consolidated import Consolidated
    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.commands import (
        BalanceView,
        FillView,
        PositionView,
        PublishAnswer,
        PublishFeed,
        PublishReport,
        PublishRisk,
    )
    from citadel_micro.core.model.events import TradeTick

__all__ = [
    "answer_of",
    "book_of",
    "consolidated_of",
    "event_of",
    "feed_of",
    "report_of",
    "risk_of",
    "text_of",
    "trades_of",
]

FLOW_WINDOW_MS: Final = 10_000
"""Window of ``BookSnapshot.signed_flow``: some hundred trades of a busy symbol."""


def text_of(value: Decimal) -> str:
    """Decimal text without an exponent, every digit kept."""
    return format(value, "f")


def _text_or_none(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def report_of(command: PublishReport, instance: str, seq: int) -> ExecutionReport:
    """The wire form of a report."""
    return ExecutionReport(
        signal_id=command.signal_id,
        revision=command.revision,
        venue=command.venue,
        symbol=command.symbol,
        side=command.side,
        kind=command.kind,
        order_type=command.order_type,
        status=command.status,  # type: ignore[arg-type]  # the engine's table has these names only
        quantity=text_of(command.quantity),
        filled=text_of(command.filled),
        average=_text_or_none(command.average),
        limit_price=_text_or_none(command.limit_price),
        stop_price=_text_or_none(command.stop_price),
        triggered=command.triggered,
        reason_code=command.reason_code,
        reason=command.reason[:REASON_LENGTH],
        permitted=_text_or_none(command.permitted),
        fills=tuple(_fill(fill) for fill in command.fills),
        balances=_balances(command.balances),
        position=None if command.position is None else _position(command.position),
        strategy=command.strategy,
        tag=command.tag,
        algo=command.algo,
        arrival_mid=command.arrival_mid,
        reprices=command.reprices,
        own=command.own,
        created_ns=command.created_ns,
        updated_ns=command.updated_ns,
        instance=instance,
        seq=seq,
        owner=command.owner,
    )


def answer_of(command: PublishAnswer, instance: str, seq: int, now_ns: int) -> Answer:
    """The wire form of an answer. Its reports carry the sequence of the answer itself."""
    return Answer(
        query_id=command.query_id,
        kind=command.kind,  # type: ignore[arg-type]  # echoes the query's
        found=command.found,
        reports=tuple(report_of(report, instance, seq) for report in command.reports),
        balances=_balances(command.balances),
        positions=tuple(_position(position) for position in command.positions),
        limits=dict(command.limits),
        error=command.error[:REASON_LENGTH],
        instance=instance,
        seq=seq,
        answered_ns=now_ns,
        truncated=command.truncated,
        cursor=command.cursor,
    )


def risk_of(command: PublishRisk, instance: str, seq: int) -> RiskState:
    """The wire form of a risk scope's state."""
    return RiskState(
        scope=command.scope,
        state=command.state,
        trip_id=command.trip_id,
        code=command.code,
        reason=command.reason[:REASON_LENGTH],
        manual_reset=command.manual_reset,
        since_ns=command.since_ns,
        instance=instance,
        seq=seq,
    )


def feed_of(command: PublishFeed, instance: str, seq: int) -> FeedState:
    """The wire form of a book's state."""
    return FeedState(
        venue=command.venue,
        symbol=command.symbol,
        state=command.state,  # type: ignore[arg-type]  # MarketBook has these states only
        reason=command.reason[:REASON_LENGTH],
        last_seq=command.last_seq,
        last_recv_ns=command.last_recv_ns,
        gaps=command.gaps,
        resyncs=command.resyncs,
        instance=instance,
        seq=seq,
        last_proof_ns=command.last_proof_ns,
    )


def book_of(
    market: MarketBook,
    levels: int,
    instance: str,
    seq: int,
    now_ns: int,
    *,
    features: dict[str, float] | None = None,
) -> BookSnapshot:
    """The current top ``levels`` of a book, with its age and state.

    It is consistent: levels start at the best bid and ask from which spread and microprice are computed.
    """
    bids, asks, imbalance = market.packed(levels)
    microprice, spread = market.microprice(), market.spread()
    best = market.best()
    if microprice is not None and best is not None and best[0] <= best[2]:
        microprice = min(max(microprice, best[0]), best[2])  # against rounding
    return BookSnapshot(
        venue=market.venue,
        symbol=market.symbol,
        state=market.state,
        reason=market.reason[:REASON_LENGTH],
        exchange_ns=market.exchange_ns,
        recv_ns=market.last_recv_ns,
        venue_seq=market.last_seq,
        bids=bids,
        asks=asks,
        microprice=math.nan if microprice is None else microprice,
        imbalance=imbalance,
        spread=math.nan if spread is None else spread,
        signed_flow=market.signed_flow(now_ns, FLOW_WINDOW_MS * 1_000_000),
        flow_window_ms=FLOW_WINDOW_MS,
        published_ns=now_ns,
        instance=instance,
        seq=seq,
        features=features or {},
        proof_ns=market.proof_ns,
    )


def consolidated_of(view: Consolidated, instance: str, seq: int, now_ns: int) -> ConsolidatedBook:
    """The wire form of a consolidated view."""
    return ConsolidatedBook(
        symbol=view.symbol,
        bids=pack_levels(list(view.bids)),
        asks=pack_levels(list(view.asks)),
        venues=tuple(
            VenueQuote(
                venue=each.venue,
                bid=each.bid,
                bid_size=each.bid_size,
                ask=each.ask,
                ask_size=each.ask_size,
                age_ns=each.age_ns,
                verified=each.verified,
                proof_age_ns=each.proof_age_ns,
            )
            for each in view.venues
        ),
        left_out=dict(view.left_out),
        published_ns=now_ns,
        instance=instance,
        seq=seq,
    )


def trades_of(ticks: Sequence[TradeTick], instance: str, seq: int) -> Trades:
    """One message of public trades; ``ticks`` are of one venue and symbol, and at least one."""
    return Trades(
        venue=ticks[0].venue,
        symbol=ticks[0].symbol,
        trades=tuple(
            Trade(
                price=tick.price,
                quantity=tick.size,
                side=tick.side,
                exchange_ns=tick.exchange_ns,
                trade_id=tick.trade_id,
            )
            for tick in ticks
        ),
        recv_ns=ticks[-1].recv_ns,
        instance=instance,
        seq=seq,
    )


def _fill(fill: FillView) -> Fill:
    return Fill(
        trade_id=fill.trade_id,
        child_id=fill.child_id,
        price=text_of(fill.price),
        quantity=text_of(fill.quantity),
        fee=text_of(fill.fee),
        fee_currency=fill.fee_currency,
        liquidity=fill.liquidity,
        ts_ns=fill.ts_ns,
    )


def _balances(rows: tuple[BalanceView, ...]) -> tuple[Balance, ...]:
    return tuple(
        Balance(
            currency=row.currency,
            free=text_of(row.free),
            used=text_of(row.used),
            total=text_of(row.free + row.used),
        )
        for row in rows
    )


def _position(view: PositionView) -> Position:
    return Position(
        venue=view.venue,
        symbol=view.symbol,
        quantity=text_of(view.quantity),
        entry_price=text_of(view.entry_price),
        realised=text_of(view.realised),
        unrealised=text_of(view.unrealised),
        leverage=text_of(view.leverage),
        liquidation_price=(
            None if view.liquidation_price is None else text_of(view.liquidation_price)
        ),
        valued=view.valued,
        funding=text_of(view.funding),
    )
