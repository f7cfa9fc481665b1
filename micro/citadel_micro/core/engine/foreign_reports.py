"""Trades of others, told to macros as orders that are closed: a person at the exchange, another program.

Who holds a position is not only who asked for it. A macro whose position somebody else has closed must
book that, at its price and with its fee, or it goes on trading what is not there. So trades of others are
reported as orders of micro's own are that it makes without a signal, and repeated to who asks later.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, cast

from citadel_micro.core.model.commands import FillView, PublishReport
from citadel_micro.core.model.exact_fill import traded
from citadel_micro.core.orders.execution_reports import balance_views, currencies, position_view
from citadel_proto.reason_codes import OWN_ID

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.model.account_events import AccountTrade
    from citadel_micro.core.model.events import QueryReceived
    from citadel_micro.core.orders.instrument_state import InstrumentState

KEY: Final = "foreign/"
MOST: Final = 200
"""Of these reports kept, over all symbols; the oldest are dropped."""
TAG: Final = "exchange"
STRATEGY: Final = "unknown"
MOST_WEIGHT: Final = 800_000
"""Bytes of them in one answer, at most: an answer may have 3,000,000 of orders, and a frame 4 MiB."""
REPORT_BYTES: Final = 1_500
FILL_BYTES: Final = 200
"""At most, each (``query_answers``)."""
LONGEST_NAME: Final = 80
"""Bytes of an id that every reader accepts (``citadel_proto.bounds``)."""
_ONE: Final = Decimal(1)
_ZERO: Final = Decimal(0)


def is_foreign(report: PublishReport) -> bool:
    """Whether a report is of trades of others: no order of micro's."""
    return report.own and not report.owner and report.strategy == STRATEGY


class ForeignReports:
    """Every report of a trade of others, by its id, oldest first."""

    def __init__(self, context: EngineContext) -> None:
        self._inst_states = context.inst_states
        self._view = context.view
        self._out = context.out
        self._kept: dict[str, dict[str, Any]] = {}

    def restore(self, state: Mapping[str, object]) -> None:
        """Load those of the last run."""
        rows = {
            key[len(KEY) :]: cast("dict[str, Any]", value)
            for key, value in state.items()
            if key.startswith(KEY)
        }
        self._kept = dict(sorted(rows.items(), key=lambda each: (each[1]["ns"], each[0])))

    def report(self, inst: InstrumentState, trades: Iterable[AccountTrade], now_ns: int) -> None:
        """Report new trades: those of one order and side as one closed order."""
        orders: dict[tuple[str, str], list[AccountTrade]] = {}
        for trade in trades:
            orders.setdefault((trade.venue_order_id or trade.client_id, trade.side), []).append(
                trade
            )
        for (order_id, side), its in orders.items():
            name = _name(inst, order_id, its[0].trade_id)
            row: dict[str, Any] = {
                "venue": inst.key[0],
                "symbol": inst.key[1],
                "side": side,
                "ns": now_ns,
                "fills": [_fill(inst, trade) for trade in its],
            }
            self._kept[name] = row
            self._out.durable[KEY + name] = row
            self._out.commands.append(self._report(name, row, inst))
        while len(self._kept) > MOST:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            self._out.durable[KEY + oldest] = None

    def answer(self, query: QueryReceived) -> tuple[PublishReport, ...]:
        """Those that a query asks for, oldest first; of more than fit, the newest."""
        if query.kind == "order":
            row = self._kept.get(query.signal_id)
            names = [] if row is None else [query.signal_id]
        elif query.kind == "orders" and not query.working and not query.cursor:
            names = [
                name
                for name, row in self._kept.items()
                if row["ns"] >= query.since_ns
                and query.venue in ("", row["venue"])
                and query.symbol in ("", row["symbol"])
            ]
        else:
            return ()
        found: list[PublishReport] = []
        weight = 0
        for name in reversed(names):
            row = self._kept[name]
            weight += REPORT_BYTES + FILL_BYTES * len(row["fills"])
            if weight > MOST_WEIGHT and found:
                break
            inst = self._inst_states.get((row["venue"], row["symbol"]))
            if inst is not None:
                found.append(self._report(name, row, inst))
        return tuple(reversed(found))

    # inside

    def _report(self, name: str, row: Mapping[str, Any], inst: InstrumentState) -> PublishReport:
        fills = tuple(
            FillView(
                trade_id=each["trade"],
                child_id=each["order"],
                price=Decimal(each["price"]),
                quantity=Decimal(each["quantity"]),
                fee=Decimal(each["fee"]),
                fee_currency=each["currency"],
                liquidity=each["liquidity"],
                ts_ns=each["ns"],
            )
            for each in row["fills"]
        )
        filled = sum((fill.quantity for fill in fills), _ZERO)
        cost = sum((fill.price * fill.quantity for fill in fills), _ZERO)
        portfolio, rules = self._view.portfolio, inst.instrument
        position = portfolio.position(*inst.key)
        return PublishReport(
            signal_id=name,
            revision=1,
            venue=row["venue"],
            symbol=row["symbol"],
            side=row["side"],
            kind="order",
            order_type="market",
            status="filled",
            quantity=filled,
            filled=filled,
            average=cost / filled,
            limit_price=None,
            stop_price=None,
            triggered=False,
            reason_code="",
            reason="",
            permitted=None,
            fills=fills,
            balances=balance_views(portfolio, rules.venue, currencies(rules)),
            position=None if position is None else position_view(portfolio, position, _ONE),
            strategy=STRATEGY,
            tag=TAG,
            algo="",
            arrival_mid=0.0,
            reprices=0,
            own=True,
            created_ns=min(fill.ts_ns for fill in fills),
            updated_ns=row["ns"],
        )


def _name(inst: InstrumentState, order_id: str, trade_id: str) -> str:
    """Unique over venues and symbols: ids of venues are not. Their last characters differ most."""
    tail = f"-{order_id}-{trade_id}"
    head = f"{OWN_ID}{inst.key[0]}-{''.join(c for c in inst.key[1] if c.isalnum())}"
    room = max(len(OWN_ID), LONGEST_NAME - len(tail.encode()))
    return (head.encode()[:room].decode(errors="ignore") + tail)[:LONGEST_NAME]


def _fill(inst: InstrumentState, trade: AccountTrade) -> dict[str, Any]:
    rules = inst.instrument
    price, quantity = traded(rules, trade)
    return {
        "trade": trade.trade_id,
        "order": trade.client_id or trade.venue_order_id,
        "price": str(price),
        "quantity": str(quantity * rules.contract_size),
        "fee": str(trade.fee),
        "currency": trade.fee_currency,
        "liquidity": trade.liquidity,
        "ns": trade.exchange_ns,
    }
