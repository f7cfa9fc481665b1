"""What the simulated exchange's own records say of a live run, and whether the engine agrees."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.client_ids import ClientIds
from citadel_micro.sim.flow_symbols import E8

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtual_venue import VirtualVenue

    from citadel_micro.core.engine.engine import Engine
    from citadel_micro.core.model.commands import PublishReport
    from citadel_micro.core.orders.children import Child
    from citadel_micro.sim.exchange.model import Order

ACCOUNT: Final = "demo"
COINS: Final = ("BTC", "ADA")


class Records:
    """The account at the exchange: which orders are ours, what they hold and have filled."""

    def __init__(self, venue: VirtualVenue, mark: str) -> None:
        self._venue = venue
        self._mark = mark
        self._ids = ClientIds(venue.abilities.client_id_form, mark)
        self._names: dict[str, str] = {}
        """Client ids of the venue -> ours."""

    def sent(self, client_id: str) -> None:
        """An order of ours has this id."""
        self._names[self._ids.theirs(client_id)] = client_id

    def name(self, order: Order) -> str:
        """Our id of an order of ours."""
        return self._names[order.client_id]

    def ours(self) -> list[Order]:
        """Every order of ours that it knows."""
        exchange = self._venue.exchange
        return [
            order
            for symbol in self._venue.symbols
            for order in exchange.all_orders(ACCOUNT, self._venue.listed(symbol), limit=100_000)
            if self.is_ours(order.client_id)
        ]

    def is_ours(self, theirs: str) -> bool:
        return self._ids.ours(theirs).startswith(f"sc{self._mark}")

    def others_sold(self, symbol: str) -> bool:
        """Whether coins of ours may have been sold by the account's other client.

        Then their position is a mismatch, which an operator's reset accepts.
        """
        fills = self._venue.exchange.my_trades(ACCOUNT, self._venue.listed(symbol), limit=100_000)
        return any(
            (fill.side == "SELL" or self._venue.margined) and not self.is_ours(fill.client_id)
            for fill in fills
        )

    def check_fills(
        self, engine: Engine, reports: Mapping[str, PublishReport], counts: dict[str, int]
    ) -> None:
        """Every fill of the exchange is counted once, and no other."""
        exchange = self._venue.exchange
        held = dict.fromkeys(self._venue.symbols, Decimal(0))
        filled: dict[str, int] = {}
        for order in self.ours():
            counts["order"] = counts.get("order", 0) + 1
            found = engine.order_store.children.get(self.name(order))
            assert found is not None, f"forgotten: {order}"
            parent, child = found
            assert child.filled == child.seen_lots == order.filled_lots, (child, order)
            filled[parent.id] = filled.get(parent.id, 0) + order.filled_lots
            rules = self._venue.instruments[self._venue.unified(order.symbol)]
            fills = exchange.my_trades(ACCOUNT, order.symbol, order_id=order.order_id, limit=10_000)
            counts["fill"] = counts.get("fill", 0) + len(fills)
            assert _trade_ids(child) == sorted(map(self._venue.trade_name, fills)), (child, fills)
            for fill in fills:
                change = rules.quantity(fill.lots) * (1 if order.side == "BUY" else -1)
                if fill.fee_asset == rules.base:
                    change -= Decimal(fill.fee_e8) / E8
                held[self._venue.unified(order.symbol)] += change
        for parent in engine.order_store.known.values():
            assert parent.filled == filled.get(parent.id, 0), parent
            report = reports.get(parent.id)
            if report is not None and parent.instrument is not None:
                assert report.filled == parent.instrument.amount(parent.filled), (report, parent)
        for symbol, quantity in held.items():
            if self._venue.margined:
                continue
            position = engine.portfolio.quantity(self._venue.name, symbol)
            right = position <= quantity if self.others_sold(symbol) else position == quantity
            assert right, f"{symbol}: {position} for {quantity}"

        wrong = self.wrong_positions(engine)
        assert not wrong, wrong

    def wrong_positions(self, engine: Engine) -> str:
        """The first position that is not the exchange's; what others traded is found by a query."""
        for symbol in self._venue.symbols if self._venue.margined else ():
            position = engine.portfolio.quantity(self._venue.name, symbol)
            lots = self._venue.exchange.position(ACCOUNT, self._venue.listed(symbol)).lots
            theirs = self._venue.instruments[symbol].quantity(lots)
            if position != theirs:
                return f"{symbol}: {position} for {theirs}"
        return ""

    def wrong_balances(self, engine: Engine) -> str:
        """The first balance that is not the exchange's."""
        for asset, (free, used) in self._venue.exchange.balances(ACCOUNT).items():
            balance = engine.portfolio.balance(self._venue.name, asset)
            if balance is None:
                if asset == self._venue.money or (asset in COINS and not self._venue.margined):
                    return f"{asset}: none"
            elif self._venue.margined:
                # What of a wallet is free changes with every mark.
                if balance.total * E8 != free + used:
                    return f"{asset}: {balance} for {free + used}"
            elif balance.free * E8 != free or balance.used * E8 != used:
                return f"{asset}: {balance} for {free, used}"
        return ""


def _trade_ids(child: Child) -> list[str]:
    return sorted(fill.trade_id for fill in child.fills)
