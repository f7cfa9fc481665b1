"""Parameters of Bybit's requests: read from JSON or a query, checked, as the exchange wants them."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.bybit.envelope import PARAMS, BybitError, params_error
from citadel_micro.simulator.bybit.order_json import LINEAR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.sim.exchange.model import OrderType, Side, StpMode, TimeInForce
    from citadel_micro.simulator.query import Query

_LINK_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,36}")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")
_WHOLE: Final = re.compile(r"[0-9]{1,20}")
_SIDES: Final = {"Buy": "BUY", "Sell": "SELL"}
_TIMES: Final = ("GTC", "IOC", "FOK", "PostOnly")
_SMP: Final[Mapping[str, StpMode]] = {
    "None": "NONE",
    "CancelTaker": "EXPIRE_TAKER",
    "CancelMaker": "EXPIRE_MAKER",
    "CancelBoth": "EXPIRE_BOTH",
}


def texts(values: Any) -> dict[str, str]:  # noqa: ANN401 - any JSON value
    """Return the parameters of a JSON body as texts.

    Raises:
        BybitError: 10001 where they are no object of plain values.
    """
    if not isinstance(values, dict):
        raise params_error("invalid request body")
    found: dict[str, str] = {}
    for name, value in values.items():
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        elif isinstance(value, str | int | float):
            found[name] = str(value)
        elif value is not None:
            raise params_error(f"{name} invalid")
    return found


def body_texts(raw: bytes) -> dict[str, str]:
    """Return the parameters of a body.

    Raises:
        BybitError: 10001 for what is no JSON object.
    """
    try:
        return texts(json.loads(raw, parse_float=str)) if raw else {}
    except (ValueError, RecursionError) as error:
        raise params_error("invalid request body") from error


def category(query: Query, wanted: str) -> None:
    """Refuse every category but that of this market.

    Raises:
        BybitError: 10001.
    """
    given = query.values.get("category", "")
    if given != wanted:
        raise params_error(f"category {given!r} invalid" if given else "category is required")


def symbol(query: Query) -> str:
    """Return the mandatory symbol as a unified name. Raises ApiError as ``Query``."""
    if not query.values.get("symbol"):
        raise params_error("symbol is required")
    return query.symbol()


def whole(query: Query, name: str) -> int | None:
    """Return a whole number; None where it was not sent."""
    text = query.values.get(name, "")
    if not text:
        return None
    if not _WHOLE.fullmatch(text):
        raise params_error(f"{name} invalid")
    return int(text)


def amount_e8(query: Query, name: str, *, finer: int) -> int:
    """Return an amount in 1e-8; 0 where it was not sent.

    ``finer`` is the code for more than eight decimals.
    """
    text = query.values.get(name, "")
    if not text:
        return 0
    if not _DECIMAL.fullmatch(text):
        raise params_error(f"{name} invalid")
    scaled = Decimal(text) * E8
    if scaled != int(scaled):
        raise BybitError(finer, f"{name} has too many decimals.")
    return int(scaled)


def names(query: Query, *, needed: bool = True) -> tuple[int, str]:
    """Return an order's id (0: not sent) and the client's.

    Raises:
        BybitError: 10001 where one is ``needed`` and neither was sent; 170213 for an id that is none.
    """
    order_id, link_id = query.values.get("orderId", ""), query.values.get("orderLinkId", "")
    if needed and not order_id and not link_id:
        raise params_error("orderId or orderLinkId is required")
    if order_id and not _WHOLE.fullmatch(order_id):
        raise BybitError(170213, "Order does not exist.")
    return int(order_id or 0), "" if order_id else link_id


def read_order(query: Query, wanted: str) -> OrderRequest:
    """Return the order that a request asks for.

    Raises:
        BybitError: 10001, 170115, 170116, 170117 for what is wrong with it.
    """
    category(query, wanted)
    values = query.values
    unified = symbol(query)
    side = _SIDES.get(values.get("side", ""))
    if side is None:
        raise BybitError(170117, "Invalid side.")
    kind = values.get("orderType", "")
    if kind not in {"Limit", "Market"}:
        raise BybitError(170116, "Invalid orderType.")
    how = values.get("timeInForce") or ("IOC" if kind == "Market" else "GTC")
    if how not in _TIMES or (kind == "Market" and how == "PostOnly"):
        raise BybitError(170115, "Invalid timeInForce.")
    link_id = values.get("orderLinkId", "")
    if link_id and not _LINK_ID.fullmatch(link_id):
        raise params_error("orderLinkId invalid")
    if values.get("orderFilter", "Order") != "Order" or values.get("isLeverage", "0") == "1":
        raise params_error("only plain orders without leverage are simulated")
    stp = _SMP.get(values.get("smpType") or "None")
    if stp is None:
        raise params_error("smpType invalid")
    quantity = amount_e8(query, "qty", finer=170137)
    if not quantity:
        raise BybitError(170136, "Order quantity is lower than the minimum.")
    price = 0
    if kind == "Limit":
        price = amount_e8(query, "price", finer=170134)
        if not price:
            raise BybitError(170133, "Order price is lower than the minimum.")
    unit = values.get("marketUnit") or ("quoteCoin" if side == "BUY" else "baseCoin")
    by_quote = kind == "Market" and unit == "quoteCoin" and wanted != LINEAR
    order_type: OrderType = "MARKET" if kind == "Market" else "LIMIT"
    if how == "PostOnly" and wanted == LINEAR:
        how = "GTX"
    elif how == "PostOnly":
        order_type, how = "LIMIT_MAKER", "GTC"
    if values.get("positionIdx", "0") != "0":
        raise BybitError(PARAMS, "position idx not match position mode")
    return OrderRequest(
        symbol=unified,
        side=cast("Side", side),
        type=order_type,
        time_in_force=cast("TimeInForce", "GTC" if kind == "Market" else how),
        quantity_e8=0 if by_quote else quantity,
        quote_e8=quantity if by_quote else 0,
        price_e8=price,
        client_id=link_id,
        stp=stp,
        reduce_only=wanted == LINEAR and values.get("reduceOnly") == "true",
    )
