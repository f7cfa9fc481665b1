"""One order at the paper venue."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal

from citadel_micro.core.model.events import OrderFilled, OrderState, Side

if TYPE_CHECKING:
    from citadel_micro.core.model.commands import PlaceOrder


@dataclass(slots=True, kw_only=True)
class PaperOrder:
    """State of one order: its request, its fills, its lock."""

    client_id: str
    symbol: str
    side: Side
    price_ticks: int
    quantity_lots: int
    time_in_force: Literal["GTC", "IOC", "FOK"]
    venue_order_id: str
    placed_ns: int
    filled_lots: int = 0
    status: Literal["open", "filled", "canceled", "expired"] = "open"
    locked_currency: str = ""
    locked: Decimal = Decimal(0)
    fills: list[OrderFilled] = field(default_factory=list)

    @classmethod
    def of(cls, command: PlaceOrder, *, venue_order_id: str, now_ns: int) -> PaperOrder:
        """The order that a request asks for."""
        return cls(
            client_id=command.client_id,
            symbol=command.symbol,
            side=command.side,
            price_ticks=command.price_ticks,
            quantity_lots=command.quantity_lots,
            time_in_force=command.time_in_force,
            venue_order_id=venue_order_id,
            placed_ns=now_ns,
        )

    @property
    def open(self) -> bool:
        """Whether it can still fill."""
        return self.status == "open"

    @property
    def left(self) -> int:
        """Unfilled lots."""
        return self.quantity_lots - self.filled_lots

    def state(self, venue: str, now_ns: int) -> OrderState:
        """The answer of the order endpoint."""
        return OrderState(
            venue=venue,
            symbol=self.symbol,
            client_id=self.client_id,
            status=self.status,
            source="order",
            price_ticks=self.price_ticks,
            quantity_lots=self.quantity_lots,
            cumulative_lots=self.filled_lots,
            exchange_ns=now_ns,
        )

    def to_state(self) -> dict[str, object]:
        """Plain data; decimals as text."""
        fills = [self.fill_state(number) for number in range(len(self.fills))]
        return {**self.head_state(), "fills": fills}

    def head_state(self) -> dict[str, object]:
        """``to_state`` without the fills, of which there may be many."""
        row = {name: getattr(self, name) for name in _HEAD}
        row["locked"] = str(self.locked)
        return row

    def fill_state(self, number: int) -> dict[str, object]:
        """One row of the fills in ``to_state``; it never changes."""
        row = asdict(self.fills[number])
        row["fee"] = str(row["fee"])
        return row

    @classmethod
    def from_state(cls, row: dict[str, Any], venue: str) -> PaperOrder:
        """The order that ``to_state`` described."""
        fills = [
            OrderFilled(**{**fill, "fee": Decimal(fill["fee"]), "venue": venue})
            for fill in row["fills"]
        ]
        return cls(**{**row, "locked": Decimal(row["locked"]), "fills": fills})


_HEAD = tuple(each.name for each in fields(PaperOrder) if each.name != "fills")
_KEPT_DONE = 2_000
"""Terminal orders kept for queries; exchanges keep days, tests need the last few."""


def forget_old(orders: dict[str, PaperOrder]) -> None:
    """Drop the oldest terminal orders, once there are many."""
    if len(orders) <= 2 * _KEPT_DONE:
        return
    done = [key for key, order in orders.items() if not order.open]
    for key in done[:-_KEPT_DONE]:
        del orders[key]
