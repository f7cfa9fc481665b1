"""Parameters of a request, as a form or JSON has them, and orders out of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, cast

from citadel_micro.sim.exchange.model import OrderRequest
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.kraken.errors import KrakenError, invalid
from citadel_micro.simulator.query import Query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.sim.exchange.model import OrderType, Side, StpMode, TimeInForce

_SECOND_NS: Final = 1_000_000_000
SHORTEST_NS: Final = 500_000_000
"""A ``deadline`` is at least that far ahead, and at most a minute."""
LONGEST_NS: Final = 60 * _SECOND_NS
_CLIENT_ID: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32}|[!-~ ]{1,18}"
)
"""A UUID, its digits alone, or up to 18 characters of text."""
_TIMES: Final[Mapping[str, TimeInForce]] = {"gtc": "GTC", "ioc": "IOC", "fok": "FOK"}
_STP: Final[Mapping[str, StpMode]] = {
    "cancel_newest": "EXPIRE_TAKER",
    "cancel_oldest": "EXPIRE_MAKER",
    "cancel_both": "EXPIRE_BOTH",
}


class Params(Query):
    """Values are texts and flags; of lists and tables a request of orders has none."""

    def __init__(self, values: Mapping[str, Any], symbols: Mapping[str, str]) -> None:
        """``symbols`` maps every name of a pair to the unified one."""
        super().__init__(values, symbols)
        self._names = symbols

    def word(self, *names: str) -> str:
        """Return the first of these that was given; empty where none was."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, str) and value:
                return value
        return ""

    def is_set(self, name: str) -> bool:
        """Return a flag, which a form writes as text."""
        value: Any = self.values.get(name)
        return value is True or value == "true"

    def amount_e8(self, *names: str) -> int:
        """Return an amount in 1e-8; 0 where none was given.

        Raises:
            KrakenError: it is no amount, or finer than that.
        """
        text = self.word(*names)
        if not text:
            return 0
        try:
            scaled = Decimal(text) * E8
        except InvalidOperation:
            raise invalid(names[0]) from None
        if not scaled.is_finite() or scaled < 0 or scaled != int(scaled):
            raise invalid(names[0])
        return int(scaled)

    def whole(self, name: str, default: int) -> int:
        """Return a whole number.

        Raises:
            KrakenError: it is none.
        """
        text = self.word(name)
        if not text:
            return default
        if not text.isdecimal():
            raise invalid(name)
        return int(text)

    def symbol(self) -> str:
        """Return the unified name of the pair.

        Raises:
            KrakenError: there is no such pair.
        """
        name = self.word("symbol", "pair")
        found = self._names.get(name)
        if found is None:
            what = f"Currency pair not supported {name}" if "symbol" in self.values else ""
            raise KrakenError(what or "EQuery:Unknown asset pair")
        return found

    def time_ns(self, name: str) -> int | None:
        """Return a time in seconds of Unix time as ns; None where none was given.

        Raises:
            KrakenError: it is none.
        """
        text = self.word(name)
        if not text:
            return None
        try:
            return int(Decimal(text) * _SECOND_NS)
        except (InvalidOperation, ValueError):
            raise invalid(name) from None

    def deadline_ns(self, now_ns: int) -> int:
        """Return the time after which the matching engine refuses it; 0 for none.

        Raises:
            KrakenError: it is no time, or not within the range.
        """
        text = self.word("deadline")
        if not text:
            return 0
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            raise invalid("deadline") from None
        if at.tzinfo is None:
            raise invalid("deadline")
        since = at - datetime(1970, 1, 1, tzinfo=UTC)
        at_ns = (since.days * 86_400 + since.seconds) * _SECOND_NS + since.microseconds * 1_000
        if not SHORTEST_NS <= at_ns - now_ns <= LONGEST_NS:
            raise invalid("deadline")
        return at_ns

    def client_id(self) -> str:
        """Return ``cl_ord_id``; empty where none was given.

        Raises:
            KrakenError: it is in none of the three forms.
        """
        text = self.word("cl_ord_id")
        if text and not _CLIENT_ID.fullmatch(text):
            raise invalid("cl_ord_id")
        return text

    def _post_only(self) -> bool:
        return self.is_set("post_only") or "post" in self.word("oflags").split(",")

    def order(self) -> OrderRequest:
        """Return the order that AddOrder or ``add_order`` asks for.

        Raises:
            KrakenError: it cannot be read, or is of a kind that is not simulated.
        """
        symbol = self.symbol()
        side = self.word("side", "type")
        if side not in {"buy", "sell"}:
            raise invalid("side")
        flags = self.word("oflags").split(",")
        base_fee = self.word("fee_preference") == "base" or "fcib" in flags
        for name, given in {
            "fee_preference": base_fee,
            "reduce_only": self.is_set("reduce_only"),
            "margin": self.is_set("margin") or self.word("leverage") not in {"", "none"},
            "time_in_force": self.word("time_in_force", "timeinforce").lower() == "gtd",
        }.items():
            if given:
                raise invalid(name)
        kind = self.word("order_type", "ordertype")
        time = _TIMES.get(self.word("time_in_force", "timeinforce").lower() or "gtc")
        if time is None:
            raise invalid("time_in_force")
        stp = self.word("stp_type") or "cancel_newest"
        if stp not in _STP:
            raise invalid("stp_type")
        quantity = self.amount_e8("order_qty", "volume")
        quote = self.amount_e8("cash_order_qty")
        if "viqc" in flags:
            quantity, quote = 0, quantity
        type_: OrderType = "LIMIT_MAKER" if self._post_only() else "LIMIT"
        if kind == "market":
            type_ = "MARKET"
        elif kind != "limit":
            raise invalid("ordertype")
        return OrderRequest(
            symbol=symbol,
            side=cast("Side", side.upper()),
            type=type_,
            time_in_force="GTC" if type_ != "LIMIT" else time,
            quantity_e8=quantity,
            quote_e8=quote,
            price_e8=0 if type_ == "MARKET" else self.amount_e8("limit_price", "price"),
            client_id=self.client_id(),
            stp=_STP[stp],
        )
