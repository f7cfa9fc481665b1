"""Positions, wallets and funding of a linear perpetual as Bybit writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from citadel_micro.sim.exchange.futures import BRACKETS
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.binance_usdm.account_json import Margins, open_order_margin
from citadel_micro.simulator.bybit.order_json import coin_row, plain, size

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import Movement, PositionView

Json = dict[str, Any]
_MS_NS = 1_000_000


def position_row(exchange: FuturesExchange, account: str, view: PositionView) -> Json:
    """Return a position, flat or not."""
    spec, margins = exchange.rules[view.symbol].spec, Margins.of(exchange, view)
    initial = margins.initial_e8 if view.lots else 0
    return {
        "symbol": spec.venue_symbol,
        "positionIdx": 0,
        "riskId": 1,
        "riskLimitValue": plain(exchange.cap_e8(view.leverage)),
        "side": "" if not view.lots else "Buy" if view.lots > 0 else "Sell",
        "size": size(spec, abs(view.lots)),
        "avgPrice": plain(view.entry_e8),
        "entryPrice": plain(view.entry_e8),
        "positionValue": plain(margins.notional_e8) if view.lots else "",
        "tradeMode": 1 if view.isolated else 0,
        "autoAddMargin": 0,
        "positionStatus": "Normal",
        "leverage": str(view.leverage),
        "markPrice": plain(view.mark_e8),
        "liqPrice": plain(view.liquidation_e8) if view.liquidation_e8 else "",
        "bustPrice": "",
        "positionIM": plain(initial + open_order_margin(exchange, account, view.symbol)),
        "positionMM": plain(margins.maintenance_e8),
        "positionBalance": plain(view.margin_e8) if view.isolated else "0",
        "takeProfit": "",
        "stopLoss": "",
        "trailingStop": "0",
        "sessionAvgPrice": "",
        "delta": "",
        "unrealisedPnl": plain(view.unrealised_e8),
        "curRealisedPnl": plain(view.realised_e8),
        "cumRealisedPnl": plain(view.realised_e8),
        "adlRankIndicator": 0,
        "createdTime": str(view.update_ns // _MS_NS),
        "updatedTime": str(view.update_ns // _MS_NS),
        "seq": view.update_ns,
        "isReduceOnly": False,
        "leverageSysUpdatedTime": "",
        "mmrSysUpdatedTime": "",
    }


def coins(exchange: FuturesExchange, account: str) -> Json:
    """Return the unified account: what orders and positions hold is margin, not locked."""
    rows = []
    for coin, (free, locked) in exchange.balances(account).items():
        orders = sum(
            order.lock_e8 for order in exchange.open_orders(account) if order.lock_asset == coin
        )
        views = [
            view
            for view in exchange.positions(account)
            if exchange.rules[view.symbol].spec.quote == coin
        ]
        margins = [(view, Margins.of(exchange, view)) for view in views]
        held = sum(
            view.margin_e8 if view.isolated else margin.initial_e8 for view, margin in margins
        )
        profit = sum(view.unrealised_e8 for view in views)
        if free or locked:
            rows.append(
                coin_row(coin, free + locked, 0)
                | {
                    "equity": plain(free + locked + profit),
                    "totalOrderIM": plain(orders),
                    "totalPositionIM": plain(held),
                    "totalPositionMM": plain(sum(each.maintenance_e8 for _, each in margins)),
                    "unrealisedPnl": plain(profit),
                }
            )
    return {"accountType": "UNIFIED", "accountIMRate": "", "accountMMRate": "", "coin": rows}


def funding_row(exchange: FuturesExchange, movement: Movement, number: int) -> Json:
    """Return a payment of funding as an execution: its fee is what was paid."""
    spec = exchange.rules[movement.symbol].spec
    return {
        "symbol": spec.venue_symbol,
        "orderId": "",
        "orderLinkId": "",
        "side": "Buy",
        "orderPrice": "0",
        "orderQty": "0",
        "leavesQty": "0",
        "createType": "",
        "orderType": "UNKNOWN",
        "stopOrderType": "UNKNOWN",
        "execFee": plain(-movement.amount_e8),
        "execId": f"funding-{number}",
        "execPrice": plain(exchange.mark_e8(movement.symbol)),
        "execQty": "0",
        "execType": "Funding",
        "execValue": "0",
        "execTime": str(movement.time_ns // _MS_NS),
        "isMaker": False,
        "isLeverage": "",
        "feeRate": plain(exchange.funding_e8[movement.symbol]),
        "feeCurrency": "",
        "feeCoin": movement.asset,
        "extraFees": "",
        "closedSize": "0",
        "seq": number,
    }


def fundings(exchange: FuturesExchange, account: str) -> list[tuple[int, Movement]]:
    """Return every payment of funding of an account, numbered, oldest first."""
    movements = exchange.ledger(account).movements
    return [(number, each) for number, each in enumerate(movements) if each.kind == "funding"]


def risk_limits(symbol: str) -> list[Json]:
    """Return the tiers of margin."""
    return [
        {
            "id": bracket.number,
            "symbol": symbol,
            "riskLimitValue": plain(bracket.cap_e8),
            "maintenanceMargin": plain(bracket.rate_e8),
            "initialMargin": plain(E8 // bracket.leverage),
            "isLowestRisk": int(bracket.number == 1),
            "maxLeverage": f"{bracket.leverage}.00",
            "mmDeduction": plain(bracket.less_e8) if bracket.less_e8 else "",
        }
        for bracket in BRACKETS
    ]
