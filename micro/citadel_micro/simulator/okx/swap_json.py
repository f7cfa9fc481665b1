"""Positions, wallets, funding and margin of perpetuals as OKX writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.sim.exchange.futures import BRACKETS
from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.binance_usdm.account_json import Margins
from citadel_micro.simulator.okx import order_json
from citadel_micro.simulator.okx.names import (
    Json,
    SwapSpec,
    inst_code,
    inst_id,
    number,
    pair,
    size,
    stamp,
)

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.sim.exchange.model import Movement, PositionView

FUNDING: Final = "8"
"""``type`` of a bill."""
_PAID: Final = "173"
_RECEIVED: Final = "174"


def position(exchange: FuturesExchange, view: PositionView) -> Json:
    """Return a position in net mode, flat or not."""
    spec, margins = exchange.rules[view.symbol].spec, Margins.of(exchange, view)
    empty = (
        "availPos", "baseBal", "baseBorrowed", "baseInterest", "bizRefId", "bizRefType",
        "clSpotInUseAmt", "deltaBS", "deltaPA", "gammaBS", "gammaPA", "idxPx", "interest", "liab",
        "liabCcy", "maxSpotInUseAmt", "optVal", "pendingCloseOrdLiabVal", "posCcy", "quoteBal",
        "quoteBorrowed", "quoteInterest", "spotInUseAmt", "spotInUseCcy", "thetaBS", "thetaPA",
        "usdPx", "vegaBS", "vegaPA",
    )  # fmt: skip
    held = bool(view.lots)
    return {
        **dict.fromkeys(empty, ""),
        "adl": "1" if held else "",
        "avgPx": number(view.entry_e8) if held else "",
        "bePx": "",
        "cTime": stamp(view.update_ns),
        "ccy": spec.quote,
        "closeOrderAlgo": [],
        "fee": "0",
        "fundingFee": "0",
        "imr": "" if view.isolated or not held else number(margins.initial_e8),
        "instId": inst_id(spec),
        "instType": "SWAP",
        "last": number(exchange.last_ticks(view.symbol) * spec.tick_e8),
        "lever": str(view.leverage),
        "liqPenalty": "0",
        "liqPx": number(view.liquidation_e8) if view.liquidation_e8 else "",
        "margin": number(view.margin_e8) if view.isolated and held else "",
        "markPx": number(view.mark_e8),
        "mgnMode": mode(isolated=view.isolated),
        "mgnRatio": "",
        "mmr": number(margins.maintenance_e8) if held else "",
        "notionalUsd": number(margins.notional_e8),
        "pnl": number(view.realised_e8),
        "pos": size(spec, view.lots),
        "posId": str(inst_code(spec)),
        "posSide": "net",
        "realizedPnl": number(view.realised_e8),
        "settledPnl": "",
        "tradeId": "",
        "uTime": stamp(view.update_ns),
        "upl": number(view.unrealised_e8),
        "uplLastPx": "",
        "uplRatio": "",
        "uplRatioLastPx": "",
    }


def mode(*, isolated: bool) -> str:
    """Return the name of a margin mode."""
    return "isolated" if isolated else "cross"


def currency(
    exchange: FuturesExchange, account: str, name: str, held: tuple[int, int], time_ns: int
) -> Json:
    """Return one currency of the account: what orders and positions hold is frozen."""
    views = [
        view
        for view in exchange.positions(account)
        if exchange.rules[view.symbol].spec.quote == name
    ]
    margin = sum(view.margin_e8 for view in views if view.isolated)
    isolated = sum(view.unrealised_e8 for view in views if view.isolated)
    crossed = sum(view.unrealised_e8 for view in views if not view.isolated)
    orders = sum(
        order.lock_e8 for order in exchange.open_orders(account) if order.lock_asset == name
    )
    return order_json.balance(name, *held, time_ns) | {
        "availEq": number(exchange.available(account, name)),
        "eq": number(sum(held) + isolated + crossed),
        "isoEq": number(margin + isolated),
        "isoUpl": number(isolated),
        "ordFrozen": number(orders),
        "upl": number(crossed),
    }


def bill(exchange: FuturesExchange, account: str, movement: Movement, number_: int) -> Json:
    """Return a payment of funding as ``account/bills`` lists it."""
    spec = exchange.rules[movement.symbol].spec
    view = exchange.position(account, movement.symbol)
    amount = number(movement.amount_e8)
    return {
        "bal": "",
        "balChg": amount,
        "billId": str(number_),
        "ccy": movement.asset,
        "clOrdId": "",
        "execType": "",
        "fee": "0",
        "from": "",
        "instId": inst_id(spec),
        "instType": "SWAP",
        "interest": "0",
        "mgnMode": mode(isolated=view.isolated),
        "notes": "",
        "ordId": "",
        "pnl": amount,
        "posBal": "0",
        "posBalChg": "0",
        "px": number(exchange.mark_e8(movement.symbol)),
        "subType": _RECEIVED if movement.amount_e8 > 0 else _PAID,
        "sz": size(spec, abs(view.lots)),
        "tag": "",
        "to": "",
        "tradeId": "",
        "ts": stamp(movement.time_ns),
        "type": FUNDING,
    }


def fundings(exchange: FuturesExchange, account: str) -> list[tuple[int, Movement]]:
    """Return every payment of funding of an account, numbered from 1, oldest first."""
    movements = exchange.ledger(account).movements
    return [(number, each) for number, each in enumerate(movements, 1) if each.kind == "funding"]


def funding_rate(exchange: FuturesExchange, symbol: str) -> Json:
    """Return the funding to come, as REST and its channel have it."""
    spec, due_ns = exchange.rules[symbol].spec, exchange.next_funding_ns()
    rate = number(exchange.funding_e8[symbol])
    return {
        "formulaType": "withRate",
        "fundingRate": rate,
        "fundingTime": stamp(due_ns),
        "impactValue": "",
        "instId": inst_id(spec),
        "instType": "SWAP",
        "interestRate": "0.0001",
        "maxFundingRate": "0.00375",
        "method": "current_period",
        "minFundingRate": "-0.00375",
        "nextFundingRate": "",
        "nextFundingTime": stamp(due_ns + exchange.funding_ns),
        "premium": "0",
        "settFundingRate": rate,
        "settState": "settled",
        "ts": stamp(exchange.now_ns),
    }


def mark_price(exchange: FuturesExchange, symbol: str) -> Json:
    """Return the mark price, as REST and its channel have it."""
    return {
        "instId": inst_id(exchange.rules[symbol].spec),
        "instType": "SWAP",
        "markPx": number(exchange.mark_e8(symbol)),
        "ts": stamp(exchange.now_ns),
    }


def tiers(exchange: FuturesExchange, symbol: str) -> list[Json]:
    """Return the tiers of margin, in contracts at the mark price of now.

    The exchange takes off what makes them continuous, and OKX does not: from the second tier on its
    maintenance margin is lower than they say.
    """
    spec = exchange.rules[symbol].spec
    contract_e8 = spec.contract_e8 if isinstance(spec, SwapSpec) else E8
    worth_e8 = max(contract_e8 * exchange.mark_e8(symbol) // E8, 1)

    def contracts(notional_e8: int) -> str:
        return number(notional_e8 * E8 // worth_e8)

    return [
        {
            "baseMaxLoan": "",
            "imr": number(E8 // each.leverage),
            "instFamily": pair(spec),
            "instId": "",
            "maxLever": str(each.leverage),
            "maxSz": contracts(each.cap_e8),
            "minSz": contracts(each.floor_e8),
            "mmr": number(each.rate_e8),
            "optMgnFactor": "0",
            "quoteMaxLoan": "",
            "tier": str(each.number),
            "uly": pair(spec),
        }
        for each in BRACKETS
    ]
