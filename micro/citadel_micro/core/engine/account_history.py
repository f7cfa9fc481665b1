"""The account's trades: unreported fills of ours, and trades of others.

A user stream can lose a fill, and a closed order is not queried any more. So the trades
of every traded symbol are read again now and then, after every interruption and whenever a
position or a coin is not what it should be. A trade of an order of ours is a fill like any other,
and counted once. All others are foreign: manual ones, of another program, or of the venue itself. A
derivative position follows them, since the account has only one; an order of the venue's own
against the position (liquidation, ADL, settlement) halts the symbol.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from citadel_micro.core.engine.foreign_reports import ForeignReports
from citadel_micro.core.model.commands import PublishRisk, QueryTrades
from citadel_micro.core.model.events import OrderFilled
from citadel_micro.core.model.exact_fill import traded
from citadel_micro.core.model.time_units import FAR, SECOND
from citadel_micro.core.risk.circuit_breakers import symbol_scope
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from citadel_micro.core.execution.engine_context import EngineContext
    from citadel_micro.core.execution.executor import SmartOrderExecutor
    from citadel_micro.core.execution.report_handler import ChildReport
    from citadel_micro.core.model.account_events import AccountTrade, AccountTrades
    from citadel_micro.core.model.events import OrderState, SignalReceived, VenueSnapshot
    from citadel_micro.core.orders.children import Child
    from citadel_micro.core.orders.instrument_state import InstrumentState

OVERLAP_NS: Final = 60 * SECOND
"""Each query begins this much before the end of the last answer: a venue may list a trade late
(Binance answers from memory, then from a database that lags)."""
MOST_BACK_NS: Final = 24 * 3_600 * SECOND
"""So far back is asked at most (Binance: a day a question). Orders that were out are asked about one by
one whatever their age; what others did before that, the comparison of positions finds."""
FOREIGN: Final = "FOREIGN_ACTIVITY"
"""Code of the message that reports it; it stops nothing."""
_MICRO: Final = re.compile(r"sc[a-z0-9]{6}[A-Za-z0-9]{1,12}-[0-9a-z]+-[0-9a-z]+")
"""Client ids of a micro with a mark, ours or another's (``OrderSender.client_id``)."""
_Key = tuple[str, str]


class AccountHistory:
    """Queries trades where the venue provides them, and books the answers."""

    def __init__(self, context: EngineContext, executor: SmartOrderExecutor) -> None:
        self._config = context.config
        self._inst_states = context.inst_states
        self._executor = executor
        self._order_store = context.order_store
        self._risk = context.risk
        self._view = context.view
        self._out = context.out
        self._foreign = context.view.portfolio.foreign
        self.reports = ForeignReports(context)
        self._due_ns: dict[_Key, int] = {}
        """When to query a symbol; it stays until the answer has come."""
        self._asked: dict[_Key, bool] = {}
        """Queries that are out: whether another was wanted since, of what their answers may lack."""
        self._on_demand = frozenset(
            (name, symbol)
            for name, its in context.config.venues.items()
            for symbol in its.on_demand
        )
        """Hundreds of pairs, of which few are ever traded: nothing is kept or queried of the others."""
        self._begun_ns: dict[str, int] = {}
        """Venue -> its time of the first statement of this run."""
        self.moved: dict[str, None] = {}
        """Venues where others have traded since their holdings were last asked for."""

    def has_trades(self, venue: str) -> bool:
        """Whether the venue provides its account's trades."""
        return self._config.venues[venue].tells_trades

    def covers(self, key: _Key, exchange_ns: int) -> bool:
        """Whether every trade up to a venue time is known, as far as it provides any.

        Without a time, whether every query is answered.
        """
        if not self.has_trades(key[0]):
            return True
        if not exchange_ns:
            return key not in self._due_ns
        return self._foreign.known_ns.get(key, 0) >= exchange_ns

    @property
    def waiting(self) -> bool:
        """Whether any query is pending."""
        return bool(self._due_ns)

    def begin(self, now_ns: int) -> None:
        """Query what happened before the start."""
        signals = (parent.signal for parent in self._order_store.known.values())
        ordered = {(each.venue, each.symbol) for each in signals}
        for key in self._inst_states:
            if key not in self._foreign.known_ns:
                continue
            ours = key in ordered or self._view.portfolio.quantity(*key)
            if key in self._on_demand and not ours:
                self._foreign.forget(key)
            else:
                self.want(key, now_ns)

    def want(self, key: _Key, now_ns: int) -> None:
        """Read the trades of a symbol as soon as a message can be spent on it."""
        if not self.has_trades(key[0]) or key not in self._inst_states:
            return
        if key in self._on_demand and key not in self._foreign.known_ns:
            begun_ns = self._begun_ns.get(key[0])
            if begun_ns is None:
                return  # the first statement is to come, and contains what has happened
            self._foreign.base_ns[key] = begun_ns
            self._foreign.read_to(key, begun_ns, OVERLAP_NS)
        self._due_ns.setdefault(key, now_ns)
        if key in self._asked:
            self._asked[key] = self._config.ask_trades_again

    def want_traded(self, venue: str, now_ns: int) -> None:
        """Read those of every symbol that was traded since its trades were last read."""
        for key, inst in self._inst_states.items():
            if key[0] == venue and (inst.parents or key in self._order_store.traded):
                self.want(key, now_ns)

    @property
    def due_ns(self) -> int:
        """Before then ``on_tick`` does nothing."""
        return min(self._due_ns.values(), default=FAR)

    def on_tick(self, now_ns: int) -> None:
        """Send the queries that are due."""
        sender = self._executor.sender
        for key, due_ns in self._due_ns.items():
            venue, symbol = key
            if now_ns < due_ns or venue in sender.down:
                continue
            if sender.buckets[venue].take_question(now_ns):
                continue
            self._due_ns[key] = now_ns + self._config.reconcile_retry_ns
            self._asked[key] = False
            since_ns = self._foreign.known_ns.get(key, 0) - OVERLAP_NS
            since_ns = max(0, since_ns, now_ns - MOST_BACK_NS)
            self._out.commands.append(QueryTrades(venue=venue, symbol=symbol, since_ns=since_ns))

    def on_first_snapshot(self, snapshot: VenueSnapshot, now_ns: int) -> None:
        """Trades of others before this moment are not queried: they are in the account's holdings.

        Where the venue says which was the last of them, every later one counts: one that came right
        after may have an earlier time than the statement, of an engine that lags behind.
        """
        venue, exchange_ns = snapshot.venue, snapshot.exchange_ns or now_ns
        self._begun_ns.setdefault(venue, exchange_ns)
        changed = dict(snapshot.changed)
        for key in self._inst_states:
            if key[0] != venue or key in self._on_demand:
                continue
            if self.has_trades(venue) and key not in self._foreign.known_ns:
                self._foreign.base_ns[key] = changed.get(key[1], exchange_ns)
                self._foreign.read_to(key, exchange_ns, OVERLAP_NS)

    def on_stray(self, report: ChildReport | OrderFilled, now_ns: int) -> None:
        """A report came on an order that is not ours, or no longer known."""
        key, client_id = (report.venue, report.symbol), report.client_id
        inst = self._inst_states.get(key)
        if inst is None:
            return
        self.want(key, now_ns)
        what = self._forced_by(inst, client_id)
        if what:
            self._halt(key, f"{what} by the venue: order {client_id}", now_ns)

    def on_foreign_order(self, order: OrderState, now_ns: int) -> None:
        """An open order of another: one of the venue's own announces its action."""
        inst = self._inst_states.get((order.venue, order.symbol))
        what = "" if inst is None else self._forced_by(inst, order.client_id)
        if inst is not None and what:
            self._halt(inst.key, f"{what} by the venue: order {order.client_id} is open", now_ns)

    def on_trades(self, answer: AccountTrades, now_ns: int) -> None:
        """Book what is new in the answer to one query."""
        key = (answer.venue, answer.symbol)
        inst = self._inst_states.get(key)
        known_ns = max(self._foreign.known_ns.get(key, 0), now_ns - MOST_BACK_NS)
        if inst is None or answer.since_ns > known_ns:
            return  # it does not continue what is known
        foreign: list[AccountTrade] = []
        whole = True
        for trade in answer.trades:
            child = self._child_of(inst, trade)
            if child is not None:
                self._our_fill(inst, child, trade, now_ns)
            elif not trade.client_id and self._may_be_ours(inst):
                whole = False  # its order may be one of ours whose venue id is not known yet
            elif self._foreign.is_new(key, trade):
                foreign.append(trade)
        for trade in foreign:
            self._book(inst, trade, now_ns)
        if foreign:
            if self._config.tell_foreign:
                self.reports.report(inst, foreign, now_ns)
                self.moved[answer.venue] = None
            self._report(inst, foreign, now_ns)
        self._book_funding(inst, answer, now_ns)
        again = self._asked.pop(key, False)
        if again:
            self._due_ns[key] = now_ns
        elif whole:
            self._due_ns.pop(key, None)
        if whole:
            if not inst.parents:
                self._order_store.traded.pop(key, None)
            self._foreign.read_to(key, answer.exchange_ns, OVERLAP_NS)
        self._order_store.holdings_changed()

    # inside

    def _child_of(self, inst: InstrumentState, trade: AccountTrade) -> Child | None:
        if trade.client_id:
            found = self._order_store.children.get(trade.client_id)
            if found is not None:
                return found[1] if _is_of(found[0].signal, inst.key) else None
        if not trade.venue_order_id:
            return None
        for parent, child in self._order_store.children.values():
            if child.venue_order_id == trade.venue_order_id and _is_of(parent.signal, inst.key):
                return child
        return None

    def _may_be_ours(self, inst: InstrumentState) -> bool:
        return any(not child.venue_order_id for parent in inst.parents for child in parent.live)

    def _our_fill(
        self, inst: InstrumentState, child: Child, trade: AccountTrade, now_ns: int
    ) -> None:
        if trade.trade_id in child.trade_ids:
            return
        self._out.note(
            "info",
            "fill_found_in_trades",
            venue=inst.key[0],
            symbol=inst.key[1],
            client_id=child.client_id,
            trade_id=trade.trade_id,
        )
        self._executor.on_report(_fill(inst, child.client_id, trade), now_ns)

    def _book(self, inst: InstrumentState, trade: AccountTrade, now_ns: int) -> None:
        key, rules = inst.key, inst.instrument
        _, quantity = traded(rules, trade)
        change = quantity if trade.side == "buy" else -quantity
        self._foreign.count(key, trade, change)
        if rules.kind == "spot":
            return  # the comparison of coins shows whose they are
        if self._other_micro(inst, trade.client_id):
            if inst.venue.shared_account:
                others = self._foreign.others
                others[key] = others.get(key, change * 0) + change
                return
            text = (
                f"another micro trades {key[1]} on this account (order {trade.client_id}), and its"
                " position is one with ours: give each its own symbols or its own account, or say"
                " shared_account = true in the configuration of the venue"
            )
            self._out.commands.extend(
                self._risk.trip(RiskCode.SHARED_POSITION, symbol_scope(*key), text, now_ns)
            )
        fill = _fill(inst, trade.client_id, trade)
        self._view.portfolio.apply_fill(rules, trade.side, fill, now_ns)

    def _book_funding(self, inst: InstrumentState, answer: AccountTrades, now_ns: int) -> None:
        portfolio = self._view.portfolio
        for payment in answer.funding:
            if not self._foreign.is_new_payment(inst.key, payment):
                continue
            portfolio.apply_funding(inst.instrument, payment.amount, payment.currency, now_ns)
            self._out.note(
                "info",
                "funding",
                venue=inst.key[0],
                symbol=inst.key[1],
                amount=str(payment.amount),
                currency=payment.currency,
            )

    def _report(self, inst: InstrumentState, trades: list[AccountTrade], now_ns: int) -> None:
        """Once per answer: to the log, and to subscribers of the risk topic."""
        rules, key = inst.instrument, inst.key
        amounts = [(t.side, traded(rules, t)[1] * rules.contract_size) for t in trades]
        net = f"{sum(each if side == 'buy' else -each for side, each in amounts):+} {rules.base}"
        ids = ", ".join(dict.fromkeys(t.client_id or t.venue_order_id for t in trades))
        text = f"{len(trades)} trades of others, {net} in all, by the orders {ids[:200]}"
        self._out.note("warning", "foreign_trades", venue=key[0], symbol=key[1], text=text)
        scope = symbol_scope(*key)
        if self._risk.breakers.worst(scope) is None:
            self._out.commands.append(
                PublishRisk(
                    scope=scope,
                    state="ACTIVE",
                    trip_id="",
                    code=FOREIGN,
                    reason=text,
                    manual_reset=False,
                    since_ns=now_ns,
                )
            )
        for trade in trades:
            what = self._forced_by(inst, trade.client_id)
            what = trade.kind if trade.kind != "trade" else what
            if what:
                each = f"{what} by the venue: {trade.side} {rules.amount(trade.quantity_lots)}"
                price = rules.price(trade.price_ticks)
                self._halt(key, f"{each} {rules.base} at {price}", now_ns)

    def _forced_by(self, inst: InstrumentState, client_id: str) -> str:
        """What the venue does with an order of this id; empty where it is none of its own."""
        found = (what for begin, what in inst.venue.forced_ids if client_id.startswith(begin))
        return next(found, "")

    def _other_micro(self, inst: InstrumentState, client_id: str) -> bool:
        own = self._executor.sender.is_own(inst.key[0], client_id)
        return not own and _MICRO.fullmatch(client_id) is not None

    def _halt(self, key: _Key, text: str, now_ns: int) -> None:
        scope = symbol_scope(*key)
        known = self._risk.breakers.find(RiskCode.FORCED_CLOSE, scope)
        if known is not None and known.phase == "tripped":
            return
        self._out.note("error", "forced_close", venue=key[0], symbol=key[1], text=text)
        self._out.commands.extend(self._risk.trip(RiskCode.FORCED_CLOSE, scope, text, now_ns))


def _is_of(signal: SignalReceived, key: _Key) -> bool:
    return (signal.venue, signal.symbol) == key


def _fill(inst: InstrumentState, client_id: str, trade: AccountTrade) -> OrderFilled:
    return OrderFilled(
        venue=inst.key[0],
        symbol=inst.key[1],
        client_id=client_id,
        trade_id=trade.trade_id,
        price_ticks=trade.price_ticks,
        quantity_lots=trade.quantity_lots,
        cumulative_lots=-1,
        fee=trade.fee,
        fee_currency=trade.fee_currency,
        liquidity=trade.liquidity,
        exchange_ns=trade.exchange_ns,
        exact=trade.exact,
    )
