"""Methods about the account: wallets, positions, leverage, margin, modes, commission."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.futures import BRACKETS
from citadel_micro.sim.exchange.model import OrderRefused
from citadel_micro.sim.flow_symbols import e8_text
from citadel_micro.simulator.binance_usdm import account_json
from citadel_micro.simulator.binance_usdm.account_json import Wallets
from citadel_micro.simulator.binance_usdm.order_params import flag
from citadel_micro.simulator.binance_usdm.refusals import refusal
from citadel_micro.simulator.binance_usdm.texts import plain
from citadel_micro.simulator.private.params import decimal_e8
from citadel_micro.simulator.query import ApiError

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import PositionView
    from citadel_micro.simulator.binance_usdm.settings import Settings
    from citadel_micro.simulator.binance_usdm.user_stream import UsdmUserStreams
    from citadel_micro.simulator.private.venue import Call, Venue

Json = dict[str, Any]
_DONE: Final = {"code": 200, "msg": "success"}


class AccountMethods:
    """The methods, over one venue."""

    def __init__(
        self,
        venue: Venue,
        exchange: FuturesExchange,
        settings: Settings,
        streams: UsdmUserStreams,
    ) -> None:
        """Answer there."""
        self._venue = venue
        self._exchange = exchange
        self._settings = settings
        self._streams = streams

    # ------------------------------------------------------------------ wallets and positions

    def _wallets(self, call: Call) -> Wallets:
        return Wallets(self._exchange, call.account)

    def balance(self, call: Call) -> list[Json]:
        """Return the wallets."""
        return self._wallets(call).balances()

    def account_v2(self, call: Call) -> Json:
        """Return wallets and positions of all symbols."""
        fees = self._exchange.fees(call.account)
        flags = {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "feeBurn": fees.asset == "bnb",
            "tradeGroupId": -1,
            "updateTime": 0,
            "multiAssetsMargin": self._settings.of(call.account).multi_assets,
        }
        return flags | self._wallets(call).account(every=True)

    def account_v3(self, call: Call) -> Json:
        """Return wallets, and positions where there is one or an order."""
        return self._wallets(call).account(every=False)

    def _views(self, call: Call, *, every: bool) -> list[PositionView]:
        query, exchange = call.query, self._exchange
        names = [query.symbol()] if query.optional("symbol") else sorted(exchange.rules)
        views = [exchange.position(call.account, name) for name in names]
        return [
            view
            for view in views
            if every or view.lots or exchange.open_orders(call.account, view.symbol)
        ]

    def risk_v2(self, call: Call) -> list[Json]:
        """Return the positions of all symbols, or of one."""
        cap = self._exchange.cap_e8
        return [
            account_json.position_v2(self._exchange, view, cap(view.leverage))
            for view in self._views(call, every=True)
        ]

    def risk_v3(self, call: Call) -> list[Json]:
        """Return positions where there is one or an order."""
        return [
            account_json.position_v3(self._exchange, call.account, view)
            for view in self._views(call, every=False)
        ]

    # ------------------------------------------------------------------ leverage and margin

    def brackets(self, call: Call) -> Any:  # noqa: ANN401 - an object or a list
        """Return the leverage brackets of a symbol, or of all."""
        rows = [
            {
                "symbol": self._venue.spec(name).venue_symbol,
                "notionalCoef": 1.0,
                "brackets": [
                    {
                        "bracket": each.number,
                        "initialLeverage": each.leverage,
                        "notionalCap": each.cap_e8 // 100_000_000,
                        "notionalFloor": each.floor_e8 // 100_000_000,
                        "maintMarginRatio": float(plain(each.rate_e8)),
                        "cum": float(plain(each.less_e8)),
                    }
                    for each in BRACKETS
                ],
            }
            for name in call.query.symbols()
        ]
        return rows[0] if call.query.optional("symbol") else rows

    def set_leverage(self, call: Call) -> Json:
        """Change a symbol's leverage."""
        symbol = call.query.symbol()
        leverage = call.query.integer("leverage")
        if leverage is None:
            call.query.text("leverage")
            leverage = 0
        held = self._exchange.position(call.account, symbol)
        if held.lots and held.isolated and 0 < leverage < held.leverage:
            text = "Leverage reduction is not supported in Isolated Margin Mode with open positions"
            raise ApiError(-4161, text)
        try:
            cap = self._exchange.set_leverage(call.account, symbol, leverage)
        except OrderRefused as refused:
            if refused.reason == "BAD_COMBINATION":
                raise ApiError(-4028, f"Leverage {leverage} is not valid") from refused
            if refused.reason == "INSUFFICIENT_BALANCE":
                text = "Leverage is smaller than permitted: insufficient margin balance."
                raise ApiError(-2028, text) from refused
            raise refusal(refused, "place") from refused
        name = self._venue.spec(symbol).venue_symbol
        self._config(call, {"ac": {"s": name, "l": leverage}})
        return {"leverage": leverage, "maxNotionalValue": plain(cap), "symbol": name}

    def _config(self, call: Call, what: Json) -> None:
        now = self._venue.now_ms
        event = {"e": "ACCOUNT_CONFIG_UPDATE", "E": now, "T": now, **what}
        self._streams.tell(call.account, "CONFIG", event)

    def set_margin_type(self, call: Call) -> Json:
        """Change a symbol's margin type."""
        symbol, kind = call.query.symbol(), call.query.text("marginType")
        if kind not in {"ISOLATED", "CROSSED"}:
            raise ApiError(-1130, "Data sent for parameter 'marginType' is not valid.")
        isolated = kind == "ISOLATED"
        exchange = self._exchange
        if exchange.position(call.account, symbol).isolated == isolated:
            raise ApiError(-4046, "No need to change margin type.")
        if isolated and self._settings.of(call.account).multi_assets:
            text = "Unable to adjust to isolated-margin mode under the Multi-Assets mode."
            raise ApiError(-4168, text)
        if exchange.open_orders(call.account, symbol):
            text = "Margin type cannot be changed if there exists open orders."
            raise ApiError(-4047, text)
        try:
            exchange.set_isolated(call.account, symbol, isolated=isolated)
        except OrderRefused as refused:
            text = "Margin type cannot be changed if there exists position."
            raise ApiError(-4048, text) from refused
        return dict(_DONE)

    def move_margin(self, call: Call) -> Json:
        """Add margin to an isolated position (type 1) or take some away (type 2)."""
        query = call.query
        symbol = query.symbol()
        amount = decimal_e8(query, "amount")
        kind = query.integer("type")
        if amount is None or kind is None:
            query.text("amount")
            query.text("type")
        if kind not in {1, 2}:
            raise ApiError(-1130, "Data sent for parameter 'type' is not valid.")
        if not amount:
            raise ApiError(-4054, "Cannot add position margin: position is 0.")
        try:
            sign = 1 if kind == 1 else -1
            self._exchange.add_margin(call.account, symbol, sign * amount)
        except OrderRefused as refused:
            if refused.reason == "MARGIN_TYPE":
                text = "Add margin only support for isolated position."
                raise ApiError(-4053, text) from refused
            text = "Isolated balance insufficient." if kind != 1 else "Cross balance insufficient."
            raise ApiError(-4051 if kind != 1 else -4050, text) from refused
        return {"amount": plain(amount), "code": 200, "msg": "Successfully modify position margin.", "type": kind}  # fmt: skip

    # ------------------------------------------------------------------ modes

    def dual(self, call: Call) -> Json:
        """Return whether the account is in hedge mode."""
        return {"dualSidePosition": self._settings.of(call.account).hedged}

    def set_dual(self, call: Call) -> Json:
        """Change between one-way and hedge mode."""
        call.query.text("dualSidePosition")
        wanted = flag(call.query, "dualSidePosition")
        settings = self._settings.of(call.account)
        if settings.hedged == wanted:
            raise ApiError(-4059, "No need to change position side.")
        if self._exchange.open_orders(call.account):
            raise ApiError(-4067, "Position side cannot be changed if there exists open orders.")
        if self._exchange.positions(call.account):
            raise ApiError(-4068, "Position side cannot be changed if there exists position.")
        settings.hedged = wanted
        return dict(_DONE)

    def multi_assets(self, call: Call) -> Json:
        """Return whether the account is in multi-assets mode."""
        return {"multiAssetsMargin": self._settings.of(call.account).multi_assets}

    def set_multi_assets(self, call: Call) -> Json:
        """Change between single-asset and multi-assets mode."""
        call.query.text("multiAssetsMargin")
        wanted = flag(call.query, "multiAssetsMargin")
        settings = self._settings.of(call.account)
        if settings.multi_assets == wanted:
            raise ApiError(-4171, "No need to change Multi-Assets mode.")
        settings.multi_assets = wanted
        self._config(call, {"ai": {"j": wanted}})
        return dict(_DONE)

    def config(self, call: Call) -> Json:
        """Return the account's configuration."""
        settings = self._settings.of(call.account)
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "dualSidePosition": settings.hedged,
            "updateTime": 0,
            "multiAssetsMargin": settings.multi_assets,
            "tradeGroupId": -1,
        }

    def symbol_config(self, call: Call) -> list[Json]:
        """Return leverage and margin type of a symbol, or of all."""
        rows = []
        for name in call.query.symbols():
            view = self._exchange.position(call.account, name)
            rows.append(
                {
                    "symbol": self._venue.spec(name).venue_symbol,
                    "marginType": "ISOLATED" if view.isolated else "CROSSED",
                    "isAutoAddMargin": False,
                    "leverage": view.leverage,
                    "maxNotionalValue": plain(self._exchange.cap_e8(view.leverage)),
                }
            )
        return rows

    # ------------------------------------------------------------------ commission

    def commission(self, call: Call) -> Json:
        """Return the account's commission on a symbol."""
        symbol = call.query.symbol()
        fees = self._exchange.fees(call.account)
        return {
            "symbol": self._venue.spec(symbol).venue_symbol,
            "makerCommissionRate": e8_text(fees.maker_e8),
            "takerCommissionRate": e8_text(fees.taker_e8),
            "rpiCommissionRate": e8_text(0),
        }

    # ------------------------------------------------------------------ listen keys

    def start_stream(self, call: Call) -> Json:
        """Return the account's listen key."""
        return {"listenKey": self._streams.start(call.key)}

    def keep_stream(self, call: Call) -> Json:
        """Keep the account's listen key alive."""
        return {"listenKey": self._streams.keep(call.key)}

    def end_stream(self, call: Call) -> Json:
        """Delete the account's listen key, for all of its clients."""
        self._streams.end(call.account)
        return {}
