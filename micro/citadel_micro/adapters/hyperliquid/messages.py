"""Hyperliquid's answers and events, from bytes to facts. No socket, no clock, no state."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.core.model.account_events import FundingPayment
from citadel_micro.core.model.events import MarkPrice
from citadel_micro.core.model.exact_fill import in_units, whole_lots
from citadel_micro.shell.venue.facts import Anomaly, OrderFact, StreamAlive, StreamEnds, TradeFact
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Request
    from citadel_micro.shell.venue.facts import Fact, OrderStanding

MS_NS: Final = 1_000_000
HOUR_NS: Final = 3_600_000_000_000
ZERO: Final = Decimal(0)
_STANDINGS: Final[Mapping[str, OrderStanding]] = {
    "open": "open",
    "triggered": "open",
    "filled": "filled",
    "canceled": "canceled",
    "scheduledCancel": "canceled",
    "rejected": "rejected",
    # An immediate order of which nothing could fill: an end like that of one that filled in part.
    "iocCancelRejected": "expired",
}
_REJECTS: Final = {
    "badAloPxRejected": "POST_ONLY",
    "tickRejected": "BAD_PRICE",
    "minTradeNtlRejected": "BELOW_MIN",
    "perpMarginRejected": "INSUFFICIENT_FUNDS",
    "reduceOnlyRejected": "NOTHING_TO_REDUCE",
}
LIQUIDATED: Final = "liquidation:"
DELEVERAGED: Final = "adl:"
"""Beginnings of the client ids that stand in for those that the venue's own orders do not have."""


def standing_of(status: str) -> OrderStanding | None:
    """State of an order; None for a status that is not known."""
    known = _STANDINGS.get(status)
    if known is None and status.endswith("Canceled"):
        return "canceled"
    if known is None and status.endswith("Rejected"):
        return "rejected"
    return known


class Order(msgspec.Struct, rename="camel"):
    """An order in any list, answer or event. ``sz`` is what is left of it."""

    coin: str
    side: str
    limit_px: Decimal
    sz: Decimal
    oid: int
    timestamp: int
    orig_sz: Decimal
    cloid: str | None = None


class OrderState(msgspec.Struct, rename="camel"):
    """An order with its status."""

    order: Order
    status: str
    status_timestamp: int


class StatusAnswer(msgspec.Struct):
    """The answer to ``orderStatus``: ``order``, or ``unknownOid`` and nothing else."""

    status: str
    order: OrderState | None = None


class Liquidation(msgspec.Struct, rename="camel"):
    """Of a fill that was a liquidation."""

    liquidated_user: str = ""


class Fill(msgspec.Struct, rename="camel"):
    """A fill of the account. ``crossed``: it was the taker."""

    coin: str
    px: Decimal
    sz: Decimal
    side: str
    time: int
    oid: int
    tid: int
    crossed: bool
    fee: Decimal
    fee_token: str = "USDC"  # noqa: S105 - a coin
    dir: str = ""
    cloid: str | None = None
    liquidation: Liquidation | None = None


class Leverage(msgspec.Struct):
    """Leverage and margin mode of a perpetual: ``isolated`` or ``cross``."""

    type: str
    value: int


class Position(msgspec.Struct, rename="camel"):
    """One position."""

    coin: str
    szi: Decimal
    leverage: Leverage
    margin_used: Decimal = ZERO
    unrealized_pnl: Decimal = ZERO


class AssetPosition(msgspec.Struct):
    """One of ``clearinghouseState``."""

    position: Position


class MarginSummary(msgspec.Struct, rename="camel"):
    """Sums over the account."""

    account_value: Decimal


class Clearing(msgspec.Struct, rename="camel"):
    """``clearinghouseState``: money and positions of an account's perpetuals."""

    margin_summary: MarginSummary
    withdrawable: Decimal
    asset_positions: list[AssetPosition]
    time: int = 0

    @property
    def wallet(self) -> Decimal:
        """The account's money without profit that is not realized yet."""
        profits = (each.position.unrealized_pnl for each in self.asset_positions)
        return self.margin_summary.account_value - sum(profits, ZERO)


class Delta(msgspec.Struct):
    """What a payment of funding was for."""

    coin: str
    usdc: Decimal


class Funding(msgspec.Struct):
    """One of ``userFunding``."""

    time: int
    delta: Delta

    def payment(self) -> FundingPayment:
        """In the engine's form. One payment per coin and hour: the venue gives it no other name."""
        return FundingPayment(
            payment_id=f"{self.delta.coin}:{self.time}",
            amount=self.delta.usdc,
            currency="USDC",
            exchange_ns=self.time * MS_NS,
        )


class _Resting(msgspec.Struct):
    oid: int
    cloid: str | None = None


class _Filled(msgspec.Struct, rename="camel"):
    oid: int
    total_sz: Decimal
    cloid: str | None = None


class _Status(msgspec.Struct):
    resting: _Resting | None = None
    filled: _Filled | None = None


class _Statuses(msgspec.Struct):
    statuses: list[_Status]


class _Response(msgspec.Struct):
    data: _Statuses


class _Placed(msgspec.Struct):
    response: _Response


class _UserFills(msgspec.Struct, rename="camel"):
    fills: list[Fill]
    is_snapshot: bool = False
    """The account's last fills, of whatever age, which begin a subscription."""


class _Payment(msgspec.Struct):
    time: int


class _UserFundings(msgspec.Struct, rename="camel"):
    fundings: list[_Payment] = []
    is_snapshot: bool = False


class _Context(msgspec.Struct, rename="camel"):
    funding: Decimal
    oracle_px: Decimal
    mark_px: Decimal


class _AssetContext(msgspec.Struct):
    coin: str
    ctx: _Context


class _Head(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


head: Final = msgspec.json.Decoder(_Head).decode
_placed: Final = msgspec.json.Decoder(_Placed).decode
_updates: Final = msgspec.json.Decoder(list[OrderState]).decode
_fills: Final = msgspec.json.Decoder(_UserFills).decode
_fundings: Final = msgspec.json.Decoder(_UserFundings).decode
_context: Final = msgspec.json.Decoder(_AssetContext).decode


class HyperReader:
    """Decodes the venue's messages about the orders of some perpetuals.

    Args:
        instruments: by unified symbol.
        account: address of the account.
    """

    def __init__(self, instruments: Mapping[str, Instrument], account: str) -> None:
        self._rules = {each.venue_symbol: each for each in instruments.values()}
        self._account = account
        self.ours: Callable[[str], str] = str
        """Our id of the venue's form of it."""
        self.is_ours: Callable[[str, str, str], bool] = lambda _symbol, _name, _order_id: True
        """Whether an order, by symbol and both ids, is one that we know."""

    def rules(self, coin: str) -> Instrument | None:
        """The perpetual of a coin; None where it is not one of ours."""
        return self._rules.get(coin)

    # answers

    def placed(self, body: bytes, request: Request, now_ns: int) -> list[Fact]:
        """The answer to a new order. It has no fills: these come by the stream.

        Args:
            body: of the answer.
            request: that it answers.
            now_ns: the venue's time: the answer has none.

        Raises:
            MsgspecError, VenueViolation: it is not as documented.
        """
        params = request.params
        rules = self._rules[str(params["coin"])]
        lots = rules.lots(Decimal(params["size"]))
        status = _placed(body).response.data.statuses[0]
        named = status.resting or status.filled
        if named is None:
            raise VenueViolation("the order neither rests nor is filled")
        standing: OrderStanding = "open"
        total = -1
        if status.filled is not None:
            total = whole_lots(rules, status.filled.total_sz)
            if total >= lots:
                standing = "filled"
            elif params["tif"] == "Ioc":
                standing = "canceled"
        return [
            OrderFact(
                symbol=rules.symbol,
                client_id=self.ours(str(params["cloid"])),
                venue_order_id=str(named.oid),
                standing=standing,
                price_ticks=rules.ticks(Decimal(params["price"]), "nearest"),
                quantity_lots=lots,
                cumulative_lots=total,
                exchange_ns=now_ns,
            )
        ]

    def order(
        self, row: Order, status: str = "open", changed_ms: int = 0, *, stand_in: bool = False
    ) -> OrderFact | Anomaly | None:
        """State of an order; None for a coin that is not one of ours.

        Args:
            row: the order.
            status: of it.
            changed_ms: when, in ms of the venue's time.
            stand_in: give it a name where it has none.
        """
        rules = self._rules.get(row.coin)
        if rules is None:
            return None
        client_id = self.ours(row.cloid) if row.cloid else ""
        if stand_in and not client_id:
            client_id = f"oid:{row.oid}"
        standing = standing_of(status)
        if standing is None:
            text = f"order {row.oid} has the status {status!r}"
            return Anomaly(symbol=rules.symbol, client_id=client_id, text=text)
        total = whole_lots(rules, row.orig_sz - row.sz)
        return OrderFact(
            symbol=rules.symbol,
            client_id=client_id,
            venue_order_id=str(row.oid),
            standing=standing,
            price_ticks=rules.ticks(row.limit_px, "nearest"),
            quantity_lots=rules.lots(row.orig_sz),
            cumulative_lots=total,
            exchange_ns=(changed_ms or row.timestamp) * MS_NS,
            reason="" if status in {"open", "filled", "canceled"} else status,
            code=_REJECTS.get(status, "OTHER"),
        )

    def trade(self, fill: Fill) -> TradeFact | None:
        """One fill; its client id only where the venue has sent it."""
        rules = self._rules.get(fill.coin)
        if rules is None:
            return None
        return TradeFact(
            symbol=rules.symbol,
            client_id=self._name(fill),
            venue_order_id=str(fill.oid),
            trade_id=str(fill.tid),
            **in_units(rules, fill.px, fill.sz),
            cumulative_lots=-1,
            fee=fill.fee,
            fee_currency=fill.fee_token,
            liquidity="taker" if fill.crossed else "maker",
            exchange_ns=fill.time * MS_NS,
        )

    def _name(self, fill: Fill) -> str:
        if fill.cloid:
            return self.ours(fill.cloid)
        forced = fill.liquidation
        if forced is not None and forced.liquidated_user.lower() == self._account:
            return f"{LIQUIDATED}{fill.oid}"
        if fill.dir == "Auto-Deleveraging":
            return f"{DELEVERAGED}{fill.oid}"
        return ""

    # the stream

    def event(self, data: bytes) -> list[Fact]:
        """A frame of the stream."""
        try:
            frame = head(data)
            if frame.channel == "orderUpdates":
                facts: list[Fact] = []
                for each in _updates(frame.data):
                    found = self.order(each.order, each.status, each.status_timestamp)
                    facts.append(found or StreamAlive(exchange_ns=each.status_timestamp * MS_NS))
                return facts
            if frame.channel == "userFills":
                return self._user_fills(_fills(frame.data))
        except (msgspec.MsgspecError, VenueViolation) as error:
            # From here on our state of the orders is uncertain.
            return [
                StreamEnds(reason=f"a frame of the stream is not understood: {error}", blind=True)
            ]
        return []

    def _user_fills(self, told: _UserFills) -> list[Fact]:
        """Fills; of those that begin a subscription, our own that may have been missed.

        A liquidation of last week among them would halt its symbol with every connection. What others
        did meanwhile, the account's trades show.
        """
        found = [self.trade(fill) for fill in told.fills]
        return [
            each
            for each in found
            if each is not None
            and not (
                told.is_snapshot
                and not self.is_ours(each.symbol, each.client_id, each.venue_order_id)
            )
        ]

    @staticmethod
    def funded_ns(data: bytes) -> int:
        """Venue's time in ns of the settlement of funding that a frame reports; 0 for any other."""
        try:
            told = _fundings(data)
        except msgspec.MsgspecError:
            return 0
        if told.is_snapshot or not told.fundings:
            return 0
        return max(each.time for each in told.fundings) * MS_NS

    def mark(self, data: bytes, venue: str, venue_ns: int, now_ns: int) -> MarkPrice | None:
        """The data of an ``activeAssetCtx`` frame, which has no time; funding is paid every hour."""
        try:
            told = _context(data)
        except msgspec.MsgspecError:
            return None
        rules = self._rules.get(told.coin)
        if rules is None:
            return None
        ctx = told.ctx
        due_ns = (venue_ns // HOUR_NS + 1) * HOUR_NS
        prices = (float(ctx.mark_px), float(ctx.oracle_px), float(ctx.funding))
        return MarkPrice(venue, rules.symbol, *prices, due_ns, venue_ns, now_ns)
