"""The private channels: executions and balances, each with a snapshot and numbered messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from citadel_micro.sim.exchange.model import OrderEvent
from citadel_micro.simulator.knobs import UNKNOWN_STATUS
from citadel_micro.simulator.kraken.names import make_id, number, stamp
from citadel_micro.simulator.kraken.order_json import (
    accepted,
    balance_row,
    changed,
    order_status,
    traded,
    whole,
)
from citadel_micro.simulator.private.user_streams import (
    Subscription,
    UserStreams,
    encode,
    kind_of,
)

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import AccountEvent, BalanceEvent, Order

Json = dict[str, Any]
Channel = Literal["executions", "balances"]
CHANNELS: Final[tuple[Channel, ...]] = ("executions", "balances")
SNAPSHOT_TRADES: Final = 50
MAINTENANCE: Final = {"channel": "status", "type": "update", "data": [{"system": "maintenance"}]}


@dataclass(slots=True, eq=False, kw_only=True)
class KrakenSubscription(Subscription):
    """One channel of one account on one connection."""

    channel: Channel
    sequence: int = 0

    def frame(self, event: Json) -> bytes:
        """Return rows in their envelope, numbered."""
        return self.wrap([event], "update")

    def wrap(self, rows: list[Json], kind: str) -> bytes:
        """Return a message of the channel."""
        self.sequence += 1
        return encode(
            {"channel": self.channel, "type": kind, "data": rows, "sequence": self.sequence}
        )


class KrakenStreams(UserStreams):
    """Kraken's events."""

    def __init__(self) -> None:
        """Start with no subscription."""
        super().__init__()
        self._totals: dict[str, dict[str, int]] = {}
        self._entries = 0

    # ------------------------------------------------------------------ snapshots

    def begin(self, subscription: KrakenSubscription, *, orders: bool, trades: bool) -> None:
        """Send the snapshot of a subscription, and from then on what happens."""
        venue, account = self.venue, subscription.key.account
        if venue is None:
            return
        exchange = venue.exchange
        rows: list[Json] = []
        if subscription.channel == "balances":
            held = exchange.balances(account)
            self._totals[account] = {asset: sum(parts) for asset, parts in held.items()}
            rows = [balance_row(asset, sum(parts)) for asset, parts in held.items()]
        else:
            if trades:
                fills = [
                    f for symbol in exchange.rules for f in exchange.my_trades(account, symbol)
                ]
                fills.sort(key=lambda fill: fill.number)
                for fill in fills[-SNAPSHOT_TRADES:]:
                    order = exchange.order(account, fill.symbol, order_id=fill.order_id)
                    rows.append(traded(venue.spec(fill.symbol), order, fill))
            if orders:
                for order in exchange.open_orders(account):
                    status = order_status(order)
                    kind = "trade" if order.filled_lots else "new"
                    rows.append(whole(venue.spec(order.symbol), order, kind, status))
        subscription.push(subscription.wrap(rows, "snapshot"))
        self.add(subscription)

    # ------------------------------------------------------------------ events

    def tell(self, account: str, kind: str, body: Json) -> None:
        """Send a row to the subscriptions of its channel."""
        for subscription in list(self._subscriptions.get(account, ())):
            if isinstance(subscription, KrakenSubscription) and (
                subscription.channel == body["channel"]
            ):
                self._deliver(subscription, body["row"], kind)

    def _bodies(self, event: AccountEvent) -> list[tuple[str, Json]]:
        if self.venue is None:
            return []
        if not isinstance(event, OrderEvent):
            return [("BALANCE", {"channel": "balances", "row": row}) for row in self._moves(event)]
        rows = self._reports(event)
        return [(kind_of(event), {"channel": "executions", "row": row}) for row in rows]

    def _reports(self, event: OrderEvent) -> list[Json]:
        if self.venue is None:
            return []
        order = event.order
        spec = self.venue.spec(order.symbol)
        if event.cause == "NEW":
            return [whole(spec, order, "pending_new", "pending_new"), accepted(order)]
        if event.fill is not None:
            rows = [traded(spec, order, event.fill)]
            return [*rows, changed(spec, order, "filled")] if order.status == "FILLED" else rows
        if event.cause == "REPLACED":
            return [changed(spec, order, "amended")]
        return [changed(spec, order, _end_of(order))]

    def _moves(self, event: BalanceEvent) -> list[Json]:
        """Return what was booked: holds of orders are no entries of the ledger."""
        totals = self._totals.setdefault(event.account_id, {})
        rows = []
        for asset, free, locked in event.balances:
            before = totals.get(asset)
            totals[asset] = free + locked
            if before is None or before == free + locked:
                continue
            self._entries += 1
            kind = "trade" if event.reason == "order" else event.reason
            rows.append(
                {
                    "ledger_id": make_id("L", self._entries),
                    "ref_id": make_id("T", event.sequence),
                    "timestamp": stamp(event.time_ns),
                    "type": kind,
                    "asset": asset,
                    "asset_class": "currency",
                    "category": kind,
                    "wallet_type": "spot",
                    "wallet_id": "main",
                    "amount": number(free + locked - before),
                    "fee": 0,
                    "balance": number(free + locked),
                }
            )
        return rows

    # ------------------------------------------------------------------ faults

    def remove(self, subscription: Subscription, *, tell: bool) -> None:
        """End a subscription; a client is told only in answer to an ``unsubscribe`` of its own."""
        super().remove(subscription, tell=False)
        if tell:
            subscription.client.push(encode(MAINTENANCE))

    def _shutdown_frame(self) -> Json:
        return MAINTENANCE

    def _unknown_status(self, body: Json) -> Json:
        return body | {"order_status": UNKNOWN_STATUS} if "order_status" in body else body

    def _shrunk(self, body: Json) -> Json:
        """Return the report of a fill with half of its total."""
        if "cum_qty" not in body:
            return body
        whole_e8 = round(float(bytes(body["cum_qty"])) * 1e8)
        return body | {"cum_qty": number(whole_e8 // 2)}


def _end_of(order: Order) -> str:
    if order.open:
        return "restated"
    return "expired" if order.expiry == "GTD" else "canceled"
