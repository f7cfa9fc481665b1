"""Requests to Hyperliquid: actions, which are signed, and queries, which are not.

Source: the pages "Exchange endpoint", "Info endpoint", "Asset IDs" and "Rate limits" of its API
documentation. Queries name the account by its address; whoever knows it may ask.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.shell.venue.dialect import Request
from citadel_proto.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.adapters.hyperliquid.signing import Action
    from citadel_micro.core.model.commands import AmendOrder, CancelOrder, PlaceOrder
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.order_ids import OrderIds, OurOrder
    from citadel_micro.shell.venue.request_budget import Purpose

LIMITS: Final = {("weight", 60): 1_200, ("messages", 60): 2_000}
"""Of an address on the network: weights of requests, and messages over all its websockets."""
LIGHT: Final = frozenset(
    {"l2Book", "allMids", "clearinghouseState", "orderStatus", "spotClearinghouseState"}
    | {"exchangeStatus"}
)
"""Queries of weight 2."""
_WEIGHTS: Final = {"userRole": 60}
_OTHER_WEIGHT: Final = 20
UNKNOWN_ASSET: Final = -1
SIGNIFICANT: Final = 5
"""Digits of a price that is no whole number."""


def query(method: str, *, purpose: Purpose = "query", **params: str | int) -> Request:
    """A query: its type, and what else it has."""
    weight = 2 if method in LIGHT else _WEIGHTS.get(method, _OTHER_WEIGHT)
    return Request(
        purpose=purpose,
        method=method,
        params=params,
        costs={"weight": weight, "messages": 1},
        signed=False,
    )


def action(purpose: Purpose, method: str, expires_ns: int = 0, **params: str | int) -> Request:
    """An action of one order, or one setting."""
    return Request(
        purpose=purpose,
        method=method,
        params=params,
        costs={"weight": 1, "messages": 1},
        expires_ns=expires_ns,
    )


TIME: Final = query("exchangeStatus", purpose="upkeep")


def number(value: Decimal) -> str:
    """A price or size as the venue signs it: no exponent, no zeros at the end."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def permitted(price: Decimal, side: str) -> Decimal:
    """The nearest price that the venue takes now, never a worse one.

    It takes five significant digits, or whole numbers: a price that has risen to another power of ten since
    the rules were read has one decimal less.
    """
    step = Decimal(1).scaleb(-max(SIGNIFICANT - 1 - price.adjusted(), 0))
    steps, rest = divmod(price, step)
    return price if not rest else step * (steps if side == "buy" else steps + 1)


def action_of(request: Request) -> Action:
    """The action as JSON, its fields in the order in which they are signed."""
    params = request.params
    match request.method:
        case "order":
            order: dict[str, Any] = {
                "a": params["asset"],
                "b": bool(params["is_buy"]),
                "p": params["price"],
                "s": params["size"],
                "r": bool(params["reduce_only"]),
                "t": {"limit": {"tif": params["tif"]}},
                "c": params["cloid"],
            }
            return {"type": "order", "orders": [order], "grouping": "na"}
        case "cancel":
            return {"type": "cancel", "cancels": [{"a": params["asset"], "o": params["oid"]}]}
        case "cancelByCloid":
            one = {"asset": params["asset"], "cloid": params["cloid"]}
            return {"type": "cancelByCloid", "cancels": [one]}
        case "scheduleCancel":
            return {"type": "scheduleCancel", **params}
        case "updateLeverage":
            return {
                "type": "updateLeverage",
                "asset": params["asset"],
                "isCross": bool(params["is_cross"]),
                "leverage": params["leverage"],
            }
    raise InvariantError(f"hyperliquid: there is no action {request.method}")


class HyperRequests:
    """Builds requests about the orders of some perpetuals.

    Args:
        instruments: by unified symbol.
        account: address of the account.
    """

    def __init__(self, instruments: Mapping[str, Instrument], account: str) -> None:
        self._rules = instruments
        self.account = account
        self.assets: dict[str, int] = {}
        """Number of each coin in orders, as the venue lists them; empty before it has."""
        self.ids: OrderIds | None = None
        """Which orders are ours, and by which ids the venue knows them."""

    def _asset(self, symbol: str) -> int:
        return self.assets.get(self._rules[symbol].venue_symbol, UNKNOWN_ASSET)

    def cloid(self, client_id: str) -> str:
        """Our id in the venue's form: 128 bits in hexadecimal digits."""
        return client_id if self.ids is None else self.ids.theirs(client_id)

    def place(self, order: PlaceOrder) -> Request:
        """A limit order: Gtc, Ioc, or Alo (add liquidity only)."""
        rules = self._rules[order.symbol]
        tif = "Ioc" if order.time_in_force == "IOC" else "Gtc"
        return action(
            "place",
            "order",
            order.expires_ns,
            asset=self._asset(order.symbol),
            coin=rules.venue_symbol,
            is_buy=order.side == "buy",
            price=number(permitted(rules.price(order.price_ticks), order.side)),
            size=number(rules.quantity(order.quantity_lots)),
            reduce_only=order.reduce_only,
            tif="Alo" if order.post_only else tif,
            cloid=self.cloid(order.client_id),
        )

    def cancel(self, command: CancelOrder, order: OurOrder | None) -> Request:
        """By the venue's id where it is known."""
        asset = self._asset(command.symbol)
        if order is not None and order.venue_order_id:
            return action("cancel", "cancel", asset=asset, oid=int(order.venue_order_id))
        return action("cancel", "cancelByCloid", asset=asset, cloid=self.cloid(command.client_id))

    def amend(self, command: AmendOrder, order: OurOrder | None) -> str:
        """The venue's ``modify`` places another order, whose size does not know what filled before."""
        del command, order
        return "this venue changes no order in place"

    def leverage(self, symbol: str, leverage: int, *, cross: bool) -> Request:
        """Set leverage and margin mode of a perpetual."""
        asset = self._asset(symbol)
        return action("upkeep", "updateLeverage", asset=asset, is_cross=cross, leverage=leverage)

    def of_user(self, method: str, purpose: Purpose = "query", **params: str | int) -> Request:
        """A query about the account."""
        return query(method, purpose=purpose, user=self.account, **params)

    def status(self, name: str | int) -> Request:
        """One order, by the venue's id or by ours in the venue's form."""
        return self.of_user("orderStatus", oid=name)

    def fills_since(self, start_ms: int) -> Request:
        """All fills of the account since a time of the venue, oldest first, 2,000 at most."""
        return self.of_user("userFillsByTime", startTime=start_ms)
