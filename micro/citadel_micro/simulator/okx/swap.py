"""OKX's linear perpetuals: their requests, public data, channels, and the venue that they make.

An account has a wallet of its own here: at OKX it is one with spot's. It is in Futures mode and in net
mode; the margin mode is an order's (``tdMode``), leverage an instrument's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web

from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
from citadel_micro.sim.exchange.model import BalanceEvent, OrderRefused
from citadel_micro.sim.exchange.rules import SymbolRules
from citadel_micro.simulator.keys import Permission
from citadel_micro.simulator.okx import swap_json
from citadel_micro.simulator.okx.app import Okx
from citadel_micro.simulator.okx.channels import Channels
from citadel_micro.simulator.okx.errors import OkxError, parameter
from citadel_micro.simulator.okx.methods import methods
from citadel_micro.simulator.okx.names import Json, SwapSpec, inst_id, number, pair, stamp
from citadel_micro.simulator.okx.public import Public
from citadel_micro.simulator.okx.records import Records, page, within
from citadel_micro.simulator.okx.trading import Trading
from citadel_micro.simulator.okx.user_stream import OkxStreams
from citadel_micro.simulator.private.method import Method

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from citadel_micro.sim.flow_feed import Feed
    from citadel_micro.simulator.accounts import AccountConfig
    from citadel_micro.simulator.config import SimulatorConfig
    from citadel_micro.simulator.okx.auth import OkxQuery
    from citadel_micro.simulator.okx.names import Names
    from citadel_micro.simulator.okx.user_stream import OkxSubscription
    from citadel_micro.simulator.private.venue import Call, Venue
    from citadel_micro.simulator.venues import VenueParts

NAME: Final = "okx-swap"
NET: Final = "net_mode"
HEDGE: Final = "long_short_mode"
_MODES: Final[Mapping[str, bool]] = {"isolated": True, "cross": False}
_MAX_AMENDS: Final = 10_000
_MOST_ASKED: Final = 20
_MOST_FAMILIES: Final = 5


class SwapTrading(Trading):
    """As spot's, of orders that have a margin mode and may reduce alone."""

    modes = tuple(_MODES)

    def __init__(self, venue: Venue, exchange: FuturesExchange) -> None:
        """Trade there."""
        super().__init__(venue)
        self._futures = exchange

    def _prepare(self, call: Call, symbol: str) -> None:
        """Give the position its margin mode: one instrument has one at a time here."""
        isolated = _MODES[cast("OkxQuery", call.query).get("tdMode")]
        if self._futures.position(call.account, symbol).isolated is isolated:
            return
        try:
            self._futures.set_isolated(call.account, symbol, isolated=isolated)
        except OrderRefused as refused:
            text = "There is a position or an order in the other margin mode."
            raise OkxError(51010, text, row=True) from refused


class SwapRecords(Records):
    """What spot has, and positions, leverage and funding."""

    kind = "SWAP"
    permission = Permission.FUTURES
    level = "2"

    def __init__(self, venue: Venue, exchange: FuturesExchange, trading: Trading) -> None:
        """Read there."""
        super().__init__(venue, trading)
        self._futures = exchange
        self._hedged: set[str] = set()

    def currency(self, account: str, name: str, held: tuple[int, int], time_ns: int) -> Json:
        """Return one currency of an account, with its margin."""
        return swap_json.currency(self._futures, account, name, held, time_ns)

    def position_mode(self, account: str) -> str:
        """Return ``posMode``."""
        return HEDGE if account in self._hedged else NET

    def set_position_mode(self, call: Call) -> list[Json]:
        """Set it, while there is nothing that has one."""
        wanted = cast("OkxQuery", call.query).get("posMode")
        if wanted not in {NET, HEDGE}:
            raise parameter("posMode", row=False)
        if self._futures.positions(call.account) or self._futures.open_orders(call.account):
            raise OkxError(59000, "Cancel all open orders and close all positions first.")
        self.hedge(call.account, on=wanted == HEDGE)
        return [{"posMode": wanted}]

    def hedge(self, account: str, *, on: bool = True) -> None:
        """Put an account in long/short mode, or back in net mode."""
        (self._hedged.add if on else self._hedged.discard)(account)

    def positions(self, call: Call) -> list[Json]:
        """Return the positions that are not flat, and one that is asked for."""
        query, exchange = cast("OkxQuery", call.query), self._futures
        symbol = self._symbol(call)
        if query.get("instId"):
            views = [exchange.position(call.account, query.symbol())]
            views = [view for view in views if view.lots or view.update_ns]
        else:
            views = [] if symbol == "" else exchange.positions(call.account)
        return [swap_json.position(exchange, view) for view in views]

    def _mode(self, call: Call) -> str:
        mode = cast("OkxQuery", call.query).get("mgnMode")
        if mode not in _MODES:
            raise parameter("mgnMode", row=False)
        return mode

    def leverage(self, call: Call) -> list[Json]:
        """Return the leverage of instruments, of each side in long/short mode."""
        mode, query = self._mode(call), cast("OkxQuery", call.query)
        sides = ("long", "short") if call.account in self._hedged else ("net",)
        named = query.get("instId").split(",")
        if len(named) > _MOST_ASKED:
            raise parameter("instId", row=False)
        return [
            {
                "ccy": "",
                "instId": name,
                "lever": str(self._futures.position(call.account, query.of(name)).leverage),
                "mgnMode": mode,
                "posSide": side,
            }
            for name in named
            for side in sides
        ]

    def set_leverage(self, call: Call) -> list[Json]:
        """Set the leverage of an instrument."""
        query = cast("OkxQuery", call.query)
        mode, symbol, text = self._mode(call), query.symbol(), query.get("lever")
        if not text.isdecimal():
            raise parameter("lever", row=False)
        try:
            self._futures.set_leverage(call.account, symbol, int(text))
        except OrderRefused as refused:
            if refused.reason == "INSUFFICIENT_BALANCE":
                raise OkxError(59104, "The borrowed or margin amount is insufficient.") from refused
            raise OkxError(59102, "Leverage exceeds the maximum limit.") from refused
        name = inst_id(self._futures.rules[symbol].spec)
        return [{"instId": name, "lever": text, "mgnMode": mode, "posSide": "net"}]

    def bills(self, call: Call) -> list[Json]:
        """Return payments of funding, newest first; other bills are not kept here."""
        query, exchange, account = cast("OkxQuery", call.query), self._futures, call.account
        symbol = self._symbol(call)
        if symbol == "" or query.get("type") not in {"", swap_json.FUNDING}:
            return []
        rows = [
            each
            for each in swap_json.fundings(exchange, account)
            if symbol in (None, each[1].symbol) and within(call, each[1].time_ns)
        ]
        return [
            swap_json.bill(exchange, account, movement, count)
            for count, movement in page(call, rows, lambda row: row[0])
        ]

    def methods(self) -> dict[str, Method]:
        """Return what spot has not, by name."""
        table = (
            Method("position.list", "GET /api/v5/account/positions", self.positions),
            Method("leverage.info", "GET /api/v5/account/leverage-info", self.leverage),
            Method(
                "leverage", "POST /api/v5/account/set-leverage", self.set_leverage, trades=True
            ),
            Method(
                "positionMode", "POST /api/v5/account/set-position-mode",
                self.set_position_mode, trades=True,
            ),
            Method("income", "GET /api/v5/account/bills", self.bills),
            Method("income.archive", "GET /api/v5/account/bills-archive", self.bills),
        )  # fmt: skip
        return {each.name: each for each in table}


class SwapPublic(Public):
    """What spot has, and marks, funding and tiers."""

    def __init__(self, feed: Feed, exchange: FuturesExchange, names: Names) -> None:
        """Show ``feed``."""
        super().__init__(feed, exchange, names)
        self._futures = exchange

    def more(self) -> dict[str, Callable[[Mapping[str, str]], list[Json]]]:
        """Return further endpoints, below ``public``."""
        return {
            "mark-price": self.mark_prices,
            "funding-rate": self.funding_rates,
            "funding-rate-history": self.funded,
            "position-tiers": self.tiers,
        }

    def mark_prices(self, params: Mapping[str, str]) -> list[Json]:
        """Return the mark price of one, or of all."""
        chosen = [self._symbol(params)] if params.get("instId") else self._of_kind(params)
        return [swap_json.mark_price(self._futures, symbol) for symbol in chosen]

    def funding_rates(self, params: Mapping[str, str]) -> list[Json]:
        """Return the funding to come."""
        return [swap_json.funding_rate(self._futures, self._symbol(params))]

    def funded(self, params: Mapping[str, str]) -> list[Json]:
        """Return the fundings that were exchanged, newest first."""
        symbol = self._symbol(params)
        return [
            {
                "formulaType": "withRate",
                "fundingRate": number(each.rate_e8),
                "fundingTime": stamp(each.time_ns),
                "instId": inst_id(self.specs[symbol]),
                "instType": "SWAP",
                "method": "current_period",
                "realizedRate": number(each.rate_e8),
            }
            for each in reversed(self._futures.funded[symbol])
        ]

    def tiers(self, params: Mapping[str, str]) -> list[Json]:
        """Return the tiers of margin of one family."""
        if self._kind(params) != "SWAP" or params.get("tdMode") not in _MODES:
            raise parameter("tdMode", row=False)
        wanted = (params.get("instFamily") or params.get("uly") or "").split(",")
        chosen = [symbol for symbol, spec in self.specs.items() if pair(spec) in wanted]
        if not chosen or len(wanted) > _MOST_FAMILIES:
            raise parameter("instFamily", row=False)
        return [row for symbol in chosen for row in swap_json.tiers(self._futures, symbol)]


class SwapChannels(Channels):
    """What spot has, and marks and funding."""

    names = (*Channels.names, "mark-price", "funding-rate")

    def __init__(self, exchange: FuturesExchange, *args: Any, **more: Any) -> None:  # noqa: ANN401 - the base's
        """Publish ``exchange``."""
        super().__init__(*args, **more)
        self.rows["mark-price"] = lambda symbol: swap_json.mark_price(exchange, symbol)
        self.rows["funding-rate"] = lambda symbol: swap_json.funding_rate(exchange, symbol)


class SwapStreams(OkxStreams):
    """The events of spot, and positions and funding."""

    channels = (*OkxStreams.channels, "positions", "balance_and_position")

    def __init__(self, exchange: FuturesExchange) -> None:
        """Tell of ``exchange``."""
        super().__init__(exchange)
        self._futures = exchange

    def balance(self, account: str, currency: str, held: tuple[int, int], time_ns: int) -> Json:
        """Return one currency of an account, with its margin."""
        return swap_json.currency(self._futures, account, currency, held, time_ns)

    def _money(self, event: BalanceEvent) -> list[tuple[str, Json]]:
        bodies = super()._money(event)
        for view in event.positions:
            bodies.append(("BALANCE", self._position(swap_json.position(self._futures, view))))
        return [*bodies, ("BALANCE", self._both(event))]

    def _position(self, row: Json) -> Json:
        names = {"name": row["instId"], "currencies": ()}
        return {"channel": "positions", "kind": "SWAP", **names, "row": row}

    def _both(self, event: BalanceEvent) -> Json:
        """Return a change as ``balance_and_position`` has it, which says why it came."""
        reasons = {"funding": "funding_fee", "order": "filled"}
        row = {
            "balData": [
                {"cashBal": number(free + locked), "ccy": name, "uTime": stamp(event.time_ns)}
                for name, free, locked in event.balances
            ],
            "eventType": reasons.get(event.reason, "transferred"),
            "pTime": stamp(event.time_ns),
            "posData": [
                {
                    name: value
                    for name, value in swap_json.position(self._futures, view).items()
                    if name in _SHORT
                }
                for view in event.positions
            ],
            "trades": [],
        }
        names = {"name": "", "currencies": ()}
        return {"channel": "balance_and_position", "kind": "", **names, "row": row}

    def show(self, subscription: OkxSubscription, arg: Mapping[str, Any]) -> None:
        """Send what a new subscription gets first."""
        super().show(subscription, arg)
        if arg["channel"] == "positions":
            for view in self._futures.positions(subscription.key.account):
                body = self._position(swap_json.position(self._futures, view))
                if subscription.arg(body) is not None:
                    subscription.client.push(subscription.frame(body))


_SHORT: Final = frozenset(
    {"posId", "instId", "instType", "mgnMode", "posSide", "pos", "ccy", "avgPx", "uTime", "tradeId"}
)


class OkxSwap(Okx):
    """The venue, below ``/okx-swap``."""

    name = NAME
    path = f"/{NAME}"
    kind = Permission.FUTURES
    futures: FuturesExchange

    def _make(self, parts: VenueParts, feed: Feed) -> None:
        rules = {
            symbol: replace(
                SymbolRules.linear(SwapSpec.of(spec)),
                max_amends=_MAX_AMENDS,
                in_place=True,
                accepts_takers=True,
                min_notional_e8=0,
            )
            for symbol, spec in feed.specs.items()
        }
        funding_ns = parts.config.funding_s * 1_000_000_000
        self.exchange = self.futures = FuturesExchange(feed, rules, funding_ns=funding_ns)

    def _open(self, account: AccountConfig) -> None:
        held = {coin: amount for coin, amount in account.balances.items() if coin == "USDT"}
        fees = replace(account.futures_fees, asset="quote")
        self.exchange.open_account(account.name, held, fees=fees)

    def _show(self, feed: Feed, names: Names, config: SimulatorConfig) -> None:
        self.public = SwapPublic(feed, self.futures, names)
        self.channels = SwapChannels(
            self.futures,
            feed,
            self.public,
            names,
            drop=config.faults.drop_depth,
            seed=config.seed,
        )
        self.private = SwapStreams(self.futures)

    def _methods(self, venue: Venue) -> Mapping[str, Method]:
        self.trading = self.private.trading = SwapTrading(venue, self.futures)
        self.records = SwapRecords(venue, self.futures, self.trading)
        return methods(self.trading, self.records) | self.records.methods()

    def routes(self) -> list[web.RouteDef]:
        """Return everything below its path."""
        return [
            web.route(each.method, f"{self.path}{each.path}", each.handler)
            for each in super().routes()
        ]

    def addresses(self, rest_url: str, ws_url: str) -> dict[str, str]:
        """Return where clients find it."""
        return super().addresses(f"{rest_url}{self.path}", f"{ws_url}{self.path}")
