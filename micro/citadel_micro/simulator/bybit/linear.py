"""Bybit's linear perpetuals: their methods, public data, streams, and the venue that they make.

An account here has a wallet of its own: at Bybit it is one with spot's. Margin is one mode for the whole
account, leverage by symbol, positions are one-way.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
from citadel_micro.sim.exchange.model import BalanceEvent, OrderRefused
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.simulator.bybit import linear_json, params
from citadel_micro.simulator.bybit.app import Bybit
from citadel_micro.simulator.bybit.envelope import BybitError, params_error, refusal
from citadel_micro.simulator.bybit.methods import methods as common
from citadel_micro.simulator.bybit.order_json import LINEAR, plain
from citadel_micro.simulator.bybit.private_streams import BybitStreams
from citadel_micro.simulator.bybit.public import Public, ticker
from citadel_micro.simulator.bybit.public_streams import PublicSocket
from citadel_micro.simulator.bybit.records import Records
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.private.method import Method

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.model import AccountEvent
    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.simulator.accounts import AccountConfig
    from citadel_micro.simulator.private.venue import Call, Venue
    from citadel_micro.simulator.query import Query
    from citadel_micro.simulator.venues import VenueParts

Json = dict[str, Any]
NAME: Final = "bybit-linear"
_MODES: Final = {"ISOLATED_MARGIN": True, "REGULAR_MARGIN": False}
_MS_NS: Final = 1_000_000
_MOST_AMENDS: Final = 10_000


class LinearRecords(Records):
    """What spot has, and positions, margin and funding."""

    def __init__(self, venue: Venue, exchange: FuturesExchange) -> None:
        """Read there."""
        super().__init__(venue, LINEAR)
        self._exchange = exchange

    def wallet(self, call: Call) -> Json:
        """Return the unified account."""
        if call.query.values.get("accountType", "") != "UNIFIED":
            raise params_error("accountType only support UNIFIED.")
        return {"list": [linear_json.coins(self._exchange, call.account)]}

    def executions(self, call: Call) -> Json:
        """Return fills, or payments of funding."""
        if call.query.values.get("execType") != "Funding":
            return super().executions(call)
        params.category(call.query, LINEAR)
        start, end = self._span(call)
        chosen = set(self._symbols(call))
        rows = [
            (number, each)
            for number, each in linear_json.fundings(self._exchange, call.account)
            if each.symbol in chosen and start <= each.time_ns // _MS_NS <= end
        ]
        return self._page(
            call,
            rows[::-1],
            lambda row: row[0],
            lambda row: linear_json.funding_row(self._exchange, row[1], row[0]),
            (50, 100),
        )

    def positions(self, call: Call) -> Json:
        """Return one position, flat or not, or all that are not: none of other categories."""
        given = call.query.values.get("category", "")
        if given in {"inverse", "option"}:
            return {"category": given, "list": [], "nextPageCursor": ""}
        params.category(call.query, LINEAR)
        exchange, account = self._exchange, call.account
        if call.query.values.get("symbol"):
            views = [exchange.position(account, call.query.symbol())]
        elif call.query.values.get("settleCoin"):
            views = exchange.positions(account)
        else:
            raise params_error("symbol or settleCoin is required")
        rows = [linear_json.position_row(exchange, account, view) for view in views]
        return {"category": LINEAR, "list": rows, "nextPageCursor": ""}

    def set_leverage(self, call: Call) -> Json:
        """Set the leverage of a symbol."""
        params.category(call.query, LINEAR)
        symbol = params.symbol(call.query)
        wanted = {call.query.values.get(name, "") for name in ("buyLeverage", "sellLeverage")}
        leverage = wanted.pop()
        if wanted or not leverage.isdecimal():
            raise params_error("leverage invalid")
        if self._exchange.position(call.account, symbol).leverage == int(leverage):
            raise BybitError(110043, "Set leverage has not been modified.")
        try:
            self._exchange.set_leverage(call.account, symbol, int(leverage))
        except OrderRefused as refused:
            raise refusal(refused, LINEAR) from refused
        return {}

    def set_margin_mode(self, call: Call) -> Json:
        """Set the margin mode of the account."""
        isolated = _MODES.get(call.query.values.get("setMarginMode", ""))
        if isolated is None:
            raise params_error("setMarginMode invalid")
        exchange = self._exchange
        for symbol in exchange.rules:
            if exchange.position(call.account, symbol).isolated is not isolated:
                try:
                    exchange.set_isolated(call.account, symbol, isolated=isolated)
                except OrderRefused as refused:
                    raise BybitError(3400045, "Set margin mode failed") from refused
        return {"reasons": []}

    def account_info(self, call: Call) -> Json:
        """Return how the account is set up."""
        first = next(iter(self._exchange.rules))
        isolated = self._exchange.position(call.account, first).isolated
        mode = next(name for name, value in _MODES.items() if value is isolated)
        return super().account_info(call) | {"marginMode": mode}

    def key_info(self, call: Call) -> Json:
        """Return what the key may do."""
        answer = super().key_info(call)
        trades = call.key.may(Permission.FUTURES)
        rights = {"Spot": [], "ContractTrade": ["Order", "Position"] if trades else []}
        return answer | {
            "readOnly": 0 if trades else 1,
            "permissions": answer["permissions"] | rights,
        }


def methods(venue: Venue, exchange: FuturesExchange) -> dict[str, Method]:
    """Return every signed method by name."""
    records = LinearRecords(venue, exchange)
    table = (
        Method("position.list", "GET /v5/position/list", records.positions, weight=1),
        Method(
            "leverage", "POST /v5/position/set-leverage",
            records.set_leverage, weight=1, trades=True,
        ),
        Method(
            "marginType", "POST /v5/account/set-margin-mode",
            records.set_margin_mode, weight=1, trades=True,
        ),
    )  # fmt: skip
    return common(venue, LINEAR, records) | {method.name: method for method in table}


class LinearPublic(Public):
    """Public data of perpetuals."""

    category = LINEAR

    def table(self) -> Any:  # noqa: ANN401 - as the base
        """Return the endpoints."""
        return {**super().table(), "risk-limit": self.risk_limit}

    @property
    def _futures(self) -> FuturesExchange:
        exchange = self._exchange
        assert isinstance(exchange, FuturesExchange)  # noqa: S101 - as it was made
        return exchange

    def instruments(self, query: Query) -> Json:
        """Return the trading rules."""
        rows = []
        symbols = self._chosen(query) if query.values.get("status") != "PreLaunch" else []
        for symbol in symbols:
            rules = self._exchange.rules[symbol]
            spec = rules.spec
            is_open = self._exchange.statuses[symbol] == "TRADING"
            rows.append(
                {
                    "symbol": spec.venue_symbol,
                    "contractType": "LinearPerpetual",
                    "status": "Trading" if is_open else "Closed",
                    "baseCoin": spec.base,
                    "quoteCoin": spec.quote,
                    "settleCoin": spec.quote,
                    "launchTime": "1585526400000",
                    "deliveryTime": "0",
                    "deliveryFeeRate": "",
                    "priceScale": "2",
                    "leverageFilter": {
                        "minLeverage": "1",
                        "maxLeverage": "125.00",
                        "leverageStep": "0.01",
                    },
                    "priceFilter": {
                        "minPrice": plain(rules.min_price_e8),
                        "maxPrice": plain(rules.max_price_e8),
                        "tickSize": plain(rules.tick_e8),
                    },
                    "lotSizeFilter": {
                        "maxOrderQty": plain(rules.max_quantity_e8),
                        "minOrderQty": plain(rules.min_quantity_e8),
                        "qtyStep": plain(rules.lot_e8),
                        "postOnlyMaxOrderQty": plain(rules.max_quantity_e8),
                        "maxMktOrderQty": plain(rules.max_market_quantity_e8),
                        "minNotionalValue": plain(rules.min_notional_e8),
                    },
                    "unifiedMarginTrade": True,
                    "fundingInterval": self._futures.funding_ns // 60_000_000_000,
                    "copyTrading": "none",
                }
            )
        return {"category": LINEAR, "list": rows, "nextPageCursor": ""}

    def tickers(self, query: Query) -> Json:
        """Return the last day, the mark and the funding."""
        rows = [futures_ticker(self._feed, self._futures, symbol) for symbol in self._chosen(query)]
        return {"category": LINEAR, "list": rows}

    def risk_limit(self, query: Query) -> Json:
        """Return the tiers of margin."""
        specs = [self._exchange.rules[symbol].spec for symbol in self._chosen(query)]
        rows = [row for spec in specs for row in linear_json.risk_limits(spec.venue_symbol)]
        return {"category": LINEAR, "list": rows, "nextPageCursor": ""}


def futures_ticker(feed: Feed, exchange: FuturesExchange, symbol: str) -> Json:
    """Return a ticker with its mark price and funding."""
    row = ticker(feed, exchange, symbol)
    del row["usdIndexPrice"]
    return row | {
        "markPrice": plain(exchange.mark_e8(symbol)),
        "indexPrice": plain(exchange.index_e8(symbol)),
        "openInterest": plain(exchange.open_lots(symbol) * exchange.rules[symbol].spec.lot_e8),
        "openInterestValue": "0",
        "fundingRate": plain(exchange.funding_e8[symbol]),
        "nextFundingTime": str(exchange.next_funding_ns() // _MS_NS),
        "deliveryTime": "0",
        "basisRate": "",
    }


class LinearSocket(PublicSocket):
    """Public streams. A ticker begins whole; then it has only what has changed."""

    def __init__(self, feed: Feed, exchange: FuturesExchange, config: Any) -> None:  # noqa: ANN401
        """Publish ``feed``."""
        super().__init__(feed, exchange, config)
        self._futures = exchange
        self._shown: dict[str, Json] = {}

    def _row(self, symbol: str) -> Json:
        return futures_ticker(self._feed, self._futures, symbol)

    def _ticker_change(self, topic: Any) -> Json | None:  # noqa: ANN401
        row = self._row(topic.symbol)
        before = self._shown.get(topic.symbol, {})
        self._shown[topic.symbol] = row
        changed = {name: value for name, value in row.items() if before.get(name) != value}
        if not changed:
            return None
        whole = self._ticker(topic)
        return whole | {"type": "delta", "data": {"symbol": row["symbol"], **changed}}


class LinearStreams(BybitStreams):
    """The events of spot, and positions and funding."""

    category = LINEAR

    def __init__(self, exchange: FuturesExchange) -> None:
        """Tell of ``exchange``."""
        super().__init__()
        self._exchange = exchange

    def _bodies(self, event: AccountEvent) -> list[tuple[str, Json]]:
        if not isinstance(event, BalanceEvent):
            return super()._bodies(event)
        exchange, account = self._exchange, event.account_id
        time_ms = event.time_ns // _MS_NS

        def body(topic: str, rows: list[Json]) -> tuple[str, Json]:
            return "BALANCE", {"topic": topic, "creationTime": time_ms, "data": rows}

        bodies = [body("wallet", [linear_json.coins(exchange, account)])]
        if event.positions:
            rows = [
                {"category": LINEAR, **linear_json.position_row(exchange, account, view)}
                for view in event.positions
            ]
            bodies.append(body("position", rows))
        if event.reason == "funding":
            paid = [
                {"category": LINEAR, **linear_json.funding_row(exchange, each, number)}
                for number, each in linear_json.fundings(exchange, account)
                if each.time_ns == event.time_ns
            ]
            bodies.append(body("execution", paid))
        return bodies


class BybitLinear(Bybit):
    """The venue, below ``/bybit-linear``."""

    name = NAME
    path = f"/{NAME}"
    market = LINEAR
    permission = Permission.FUTURES

    def _make(self, parts: VenueParts, feed: Feed) -> None:
        exchange = FuturesExchange(
            feed,
            {
                symbol: replace(
                    SymbolRules.linear(spec),
                    max_amends=_MOST_AMENDS,
                    default_stp="NONE",
                    in_place=True,
                    accepts_takers=True,
                )
                for symbol, spec in feed.specs.items()
            },
            funding_ns=parts.config.funding_s * 1_000_000_000,
        )
        self.exchange = self.futures = exchange
        self.streams = LinearStreams(exchange)
        self.public_socket = LinearSocket(feed, exchange, parts.config)
        self.public_kind = LinearPublic

    def _open(self, account: AccountConfig) -> None:
        held = {coin: amount for coin, amount in account.balances.items() if coin == "USDT"}
        fees = replace(account.futures_fees, asset="quote")
        self.exchange.open_account(account.name, held, fees=fees)

    def methods(self, venue: Venue) -> dict[str, Method]:
        """Return every signed method."""
        return methods(venue, self.futures)

    def routes(self) -> list[web.RouteDef]:
        """Return everything below its path."""
        return [
            web.route(each.method, f"{self.path}{each.path}", each.handler)
            for each in super().routes()
        ]
