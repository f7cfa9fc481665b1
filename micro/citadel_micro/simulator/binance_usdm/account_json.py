"""Wallets, margins and positions as Binance USD-M writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from citadel_micro.sim.exchange.futures import bracket_of
from citadel_micro.sim.flow_symbols import E8, e8_text
from citadel_micro.simulator.binance_usdm.texts import size

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import BalanceEvent, PositionView

Json = dict[str, Any]
MS_NS: Final = 1_000_000
_REASONS: Final = {
    "order": "ORDER",
    "deposit": "DEPOSIT",
    "withdrawal": "WITHDRAW",
    "funding": "FUNDING_FEE",
    "margin": "MARGIN_TRANSFER",
}


@dataclass(frozen=True, slots=True)
class Margins:
    """What a position needs, in 1e-8 quote: at first, and to live."""

    notional_e8: int
    initial_e8: int
    maintenance_e8: int

    @classmethod
    def of(cls, exchange: FuturesExchange, view: PositionView) -> Margins:
        """Return the margins of a position at the mark price."""
        lot = exchange.rules[view.symbol].spec.lot_e8
        notional = abs(view.lots) * lot * view.mark_e8 // E8
        bracket = bracket_of(notional)
        maintenance = max(notional * bracket.rate_e8 // E8 - bracket.less_e8, 0)
        return cls(notional, -(-notional // view.leverage), maintenance if view.lots else 0)

    def signed(self, view: PositionView) -> int:
        """Return the notional with the position's sign."""
        return -self.notional_e8 if view.lots < 0 else self.notional_e8


def account_update(exchange: FuturesExchange, event: BalanceEvent, changes: dict[str, int]) -> Json:
    """Return ``ACCOUNT_UPDATE``. ``changes`` are those of wallets, in 1e-8.

    Funding of a cross position tells the balance alone, of an isolated one the position too.
    """
    isolated: dict[str, int] = {}
    for view in exchange.positions(event.account_id):
        if view.isolated:
            asset = exchange.rules[view.symbol].spec.quote
            isolated[asset] = isolated.get(asset, 0) + view.margin_e8
    is_trade = event.reason == "order"
    time_ms = event.time_ns // MS_NS
    return {
        "e": "ACCOUNT_UPDATE",
        "E": time_ms,
        "T": time_ms,
        "a": {
            "m": _REASONS[event.reason],
            "B": [
                {
                    "a": asset,
                    "wb": e8_text(free + locked),
                    "cw": e8_text(free + locked - isolated.get(asset, 0)),
                    "bc": e8_text(0 if is_trade else changes.get(asset, 0)),
                }
                for asset, free, locked in event.balances
                if asset in changes or is_trade
            ],
            "P": [
                _moved(exchange, view)
                for view in event.positions
                if event.reason != "funding" or view.isolated
            ],
        },
    }


def _moved(exchange: FuturesExchange, view: PositionView) -> Json:
    spec = exchange.rules[view.symbol].spec
    return {
        "s": spec.venue_symbol,
        "pa": size(spec, view.lots),
        "ep": e8_text(view.entry_e8),
        "bep": e8_text(view.entry_e8),
        "cr": e8_text(view.realised_e8),
        "up": e8_text(view.unrealised_e8),
        "mt": "isolated" if view.isolated else "cross",
        "iw": e8_text(view.margin_e8),
        "ps": "BOTH",
        "ma": spec.quote,
    }


def margin_call(exchange: FuturesExchange, account: str, symbols: tuple[str, ...]) -> Json:
    """Return ``MARGIN_CALL`` about positions that are near their liquidation."""
    rows = []
    for symbol in symbols:
        view = exchange.position(account, symbol)
        spec = exchange.rules[symbol].spec
        rows.append(
            {
                "s": spec.venue_symbol,
                "ps": "BOTH",
                "pa": size(spec, view.lots),
                "mt": "ISOLATED" if view.isolated else "CROSSED",
                "iw": e8_text(view.margin_e8),
                "mp": e8_text(view.mark_e8),
                "up": e8_text(view.unrealised_e8),
                "mm": e8_text(Margins.of(exchange, view).maintenance_e8),
            }
        )
    free, locked = exchange.balances(account).get("USDT", (0, 0))
    time_ms = exchange.now_ns // MS_NS
    return {"e": "MARGIN_CALL", "E": time_ms, "cw": e8_text(free + locked), "p": rows}


def position_v2(exchange: FuturesExchange, view: PositionView, cap_e8: int) -> Json:
    """Return a position as ``/fapi/v2/positionRisk`` lists it."""
    spec = exchange.rules[view.symbol].spec
    margins = Margins.of(exchange, view)
    return {
        "symbol": spec.venue_symbol,
        "positionAmt": size(spec, view.lots),
        "entryPrice": e8_text(view.entry_e8),
        "breakEvenPrice": e8_text(view.entry_e8),
        "markPrice": e8_text(view.mark_e8),
        "unRealizedProfit": e8_text(view.unrealised_e8),
        "liquidationPrice": e8_text(view.liquidation_e8),
        "leverage": str(view.leverage),
        "maxNotionalValue": e8_text(cap_e8).partition(".")[0],
        "marginType": "isolated" if view.isolated else "cross",
        "isolatedMargin": e8_text(_isolated_margin(view)),
        "isAutoAddMargin": "false",
        "positionSide": "BOTH",
        "notional": e8_text(margins.signed(view)),
        "isolatedWallet": e8_text(view.margin_e8),
        "updateTime": view.update_ns // MS_NS,
    }


def _isolated_margin(view: PositionView) -> int:
    return view.margin_e8 + view.unrealised_e8 if view.isolated and view.lots else 0


def position_v3(exchange: FuturesExchange, account: str, view: PositionView) -> Json:
    """Return a position as ``/fapi/v3/positionRisk`` lists it."""
    spec = exchange.rules[view.symbol].spec
    margins = Margins.of(exchange, view)
    orders = open_order_margin(exchange, account, view.symbol)
    return {
        "symbol": spec.venue_symbol,
        "positionSide": "BOTH",
        "positionAmt": size(spec, view.lots),
        "entryPrice": e8_text(view.entry_e8),
        "breakEvenPrice": e8_text(view.entry_e8),
        "markPrice": e8_text(view.mark_e8),
        "unRealizedProfit": e8_text(view.unrealised_e8),
        "liquidationPrice": e8_text(view.liquidation_e8),
        "isolatedMargin": e8_text(_isolated_margin(view)),
        "notional": e8_text(margins.signed(view)),
        "marginAsset": spec.quote,
        "isolatedWallet": e8_text(view.margin_e8),
        "initialMargin": e8_text(margins.initial_e8 + orders),
        "maintMargin": e8_text(margins.maintenance_e8),
        "positionInitialMargin": e8_text(margins.initial_e8),
        "openOrderInitialMargin": e8_text(orders),
        "adl": 0,
        "bidNotional": e8_text(0),
        "askNotional": e8_text(0),
        "updateTime": view.update_ns // MS_NS,
    }


def open_order_margin(exchange: FuturesExchange, account: str, symbol: str) -> int:
    """Return the margin that a symbol's open orders have locked, in 1e-8."""
    return sum(order.lock_e8 for order in exchange.open_orders(account, symbol))


@dataclass(slots=True)
class _Sums:
    """Sums over one asset's wallet, positions and orders, in 1e-8."""

    wallet: int = 0
    unrealised: int = 0
    cross_unrealised: int = 0
    isolated: int = 0
    initial: int = 0
    maintenance: int = 0
    orders: int = 0
    available: int = 0
    update_ns: int = 0

    def row(self) -> Json:
        """Return the sums by the names that assets have."""
        return {
            "walletBalance": e8_text(self.wallet),
            "unrealizedProfit": e8_text(self.unrealised),
            "marginBalance": e8_text(self.wallet + self.unrealised),
            "maintMargin": e8_text(self.maintenance),
            "initialMargin": e8_text(self.initial + self.orders),
            "positionInitialMargin": e8_text(self.initial),
            "openOrderInitialMargin": e8_text(self.orders),
            "crossWalletBalance": e8_text(self.wallet - self.isolated),
            "crossUnPnl": e8_text(self.cross_unrealised),
            "availableBalance": e8_text(self.available),
            "maxWithdrawAmount": e8_text(self.available),
            "updateTime": self.update_ns // MS_NS,
        }


class Wallets:
    """An account's wallets with everything that stands on them, as it is now."""

    def __init__(self, exchange: FuturesExchange, account: str) -> None:
        """Add up."""
        self._exchange = exchange
        self._account = account
        self._views = [exchange.position(account, symbol) for symbol in sorted(exchange.rules)]
        self._assets: dict[str, _Sums] = {}
        changed = exchange.changed_ns(account)
        for asset, (free, locked) in exchange.balances(account).items():
            available = exchange.available(account, asset)
            self._assets[asset] = _Sums(
                wallet=free + locked, available=available, update_ns=changed
            )
        for view in self._views:
            self._add(view)

    def _add(self, view: PositionView) -> None:
        asset = self._exchange.rules[view.symbol].spec.quote
        sums = self._assets.setdefault(asset, _Sums())
        margins = Margins.of(self._exchange, view)
        sums.unrealised += view.unrealised_e8
        sums.initial += margins.initial_e8
        sums.maintenance += margins.maintenance_e8
        sums.orders += open_order_margin(self._exchange, self._account, view.symbol)
        if view.isolated:
            sums.isolated += view.margin_e8
        else:
            sums.cross_unrealised += view.unrealised_e8

    def balances(self) -> list[Json]:
        """Return the wallets as ``balance`` lists them."""
        return [
            {
                "accountAlias": "SimSim",
                "asset": asset,
                "balance": e8_text(sums.wallet),
                "crossWalletBalance": e8_text(sums.wallet - sums.isolated),
                "crossUnPnl": e8_text(sums.cross_unrealised),
                "availableBalance": e8_text(sums.available),
                "maxWithdrawAmount": e8_text(sums.available),
                "marginAvailable": True,
                "updateTime": sums.update_ns // MS_NS,
            }
            for asset, sums in self._assets.items()
        ]

    def account(self, *, every: bool) -> Json:
        """Return totals in USDT, assets and positions: of ``every`` symbol, or where there is one."""
        total = self._assets.get("USDT", _Sums()).row()
        names = {
            "totalInitialMargin": "initialMargin",
            "totalMaintMargin": "maintMargin",
            "totalWalletBalance": "walletBalance",
            "totalUnrealizedProfit": "unrealizedProfit",
            "totalMarginBalance": "marginBalance",
            "totalPositionInitialMargin": "positionInitialMargin",
            "totalOpenOrderInitialMargin": "openOrderInitialMargin",
            "totalCrossWalletBalance": "crossWalletBalance",
            "totalCrossUnPnl": "crossUnPnl",
            "availableBalance": "availableBalance",
            "maxWithdrawAmount": "maxWithdrawAmount",
        }
        return {
            **{name: total[of] for name, of in names.items()},
            "assets": [
                {"asset": asset, **sums.row(), "marginAvailable": True}
                for asset, sums in self._assets.items()
            ],
            "positions": [
                self._position(view)
                for view in self._views
                if every or view.lots or self._exchange.open_orders(self._account, view.symbol)
            ],
        }

    def _position(self, view: PositionView) -> Json:
        exchange = self._exchange
        spec = exchange.rules[view.symbol].spec
        margins = Margins.of(exchange, view)
        orders = open_order_margin(exchange, self._account, view.symbol)
        return {
            "symbol": spec.venue_symbol,
            "initialMargin": e8_text(margins.initial_e8 + orders),
            "maintMargin": e8_text(margins.maintenance_e8),
            "unrealizedProfit": e8_text(view.unrealised_e8),
            "positionInitialMargin": e8_text(margins.initial_e8),
            "openOrderInitialMargin": e8_text(orders),
            "leverage": str(view.leverage),
            "isolated": view.isolated,
            "entryPrice": e8_text(view.entry_e8),
            "breakEvenPrice": e8_text(view.entry_e8),
            "maxNotional": e8_text(exchange.cap_e8(view.leverage)).partition(".")[0],
            "positionSide": "BOTH",
            "positionAmt": size(spec, view.lots),
            "notional": e8_text(margins.signed(view)),
            "isolatedWallet": e8_text(view.margin_e8),
            "isolatedMargin": e8_text(_isolated_margin(view)),
            "bidNotional": e8_text(0),
            "askNotional": e8_text(0),
            "updateTime": view.update_ns // MS_NS,
        }
