"""The methods of USD-M's private protocol: what they weigh, what a key must be allowed, who answers.

Weights as Binance documents them; placing an order weighs nothing and counts as an order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.simulator.binance_usdm.account import AccountMethods
from citadel_micro.simulator.binance_usdm.algos import Algos
from citadel_micro.simulator.binance_usdm.records import Records
from citadel_micro.simulator.binance_usdm.settings import Settings
from citadel_micro.simulator.binance_usdm.trading import Trading
from citadel_micro.simulator.private.method import Method, by_name

if TYPE_CHECKING:
    from citadel_micro.sim.exchange.futures_exchange import FuturesExchange
    from citadel_micro.simulator.binance_usdm.user_stream import UsdmUserStreams
    from citadel_micro.simulator.private.venue import Venue


def methods(venue: Venue, exchange: FuturesExchange, streams: UsdmUserStreams) -> dict[str, Method]:
    """Return every method by name."""
    settings = Settings()
    trading = Trading(venue, exchange, settings)
    records = Records(venue, exchange)
    account = AccountMethods(venue, exchange, settings, streams)
    algos = Algos(venue, exchange, settings)
    return by_name(*_orders(trading), *_algos(algos), *_records(records), *_account(account))


def _orders(trading: Trading) -> tuple[Method, ...]:
    return (
        Method(
            "order.place", "POST /fapi/v1/order", trading.place, weight=1, trades=True, free=True,
        ),
        Method(
            "order.test", "POST /fapi/v1/order/test",
            trading.test, weight=1, trades=True, rest_only=True,
        ),
        Method("order.modify", "PUT /fapi/v1/order", trading.modify, weight=1, trades=True),
        Method("order.cancel", "DELETE /fapi/v1/order", trading.cancel, weight=1, trades=True),
        Method(
            "openOrders.cancelAll", "DELETE /fapi/v1/allOpenOrders",
            trading.cancel_all, weight=1, trades=True, rest_only=True,
        ),
        Method(
            "batchOrders.place", "POST /fapi/v1/batchOrders",
            trading.place_batch, weight=5, trades=True, rest_only=True,
        ),
        Method(
            "batchOrders.modify", "PUT /fapi/v1/batchOrders",
            trading.modify_batch, weight=5, trades=True, rest_only=True,
        ),
        Method(
            "batchOrders.cancel", "DELETE /fapi/v1/batchOrders",
            trading.cancel_batch, weight=1, trades=True, rest_only=True,
        ),
        Method(
            "countdownCancelAll", "POST /fapi/v1/countdownCancelAll",
            trading.count_down, weight=10, trades=True, rest_only=True,
        ),
    )  # fmt: skip


def _algos(algos: Algos) -> tuple[Method, ...]:
    return (
        Method(
            "algoOrder.place", "POST /fapi/v1/algoOrder",
            algos.place, weight=1, trades=True, free=True,
        ),
        Method(
            "algoOrder.cancel", "DELETE /fapi/v1/algoOrder", algos.cancel, weight=1, trades=True,
        ),
        Method(
            "algoOpenOrders.cancelAll", "DELETE /fapi/v1/algoOpenOrders",
            algos.cancel_all, weight=1, trades=True, rest_only=True,
        ),
        Method(
            "algoOrder.status", "GET /fapi/v1/algoOrder", algos.status, weight=1, rest_only=True,
        ),
        Method(
            "openAlgoOrders", "GET /fapi/v1/openAlgoOrders",
            algos.open_orders, weight=1, heavier=("symbol", 40), rest_only=True,
        ),
        Method(
            "allAlgoOrders", "GET /fapi/v1/allAlgoOrders",
            algos.all_orders, weight=5, rest_only=True,
        ),
    )  # fmt: skip


def _records(records: Records) -> tuple[Method, ...]:
    return (
        Method("order.status", "GET /fapi/v1/order", records.status, weight=1),
        Method("openOrder", "GET /fapi/v1/openOrder", records.open_order, weight=1, rest_only=True),
        Method(
            "openOrders.status", "GET /fapi/v1/openOrders",
            records.open_orders, weight=1, heavier=("symbol", 40), rest_only=True,
        ),
        Method("allOrders", "GET /fapi/v1/allOrders", records.all_orders, weight=5, rest_only=True),
        Method(
            "myTrades", "GET /fapi/v1/userTrades", records.user_trades, weight=5, rest_only=True,
        ),
        Method(
            "forceOrders", "GET /fapi/v1/forceOrders",
            records.force_orders, weight=20, heavier=("symbol", 50), rest_only=True,
        ),
        Method("income", "GET /fapi/v1/income", records.income, weight=30, rest_only=True),
        Method(
            "account.rateLimits.orders", "GET /fapi/v1/rateLimit/order",
            records.order_counts, weight=1, rest_only=True,
        ),
    )  # fmt: skip


def _account(account: AccountMethods) -> tuple[Method, ...]:
    return (
        Method("account.status", "GET /fapi/v3/account", account.account_v3, weight=5),
        Method(
            "account.status.v2", "GET /fapi/v2/account",
            account.account_v2, weight=5, rest_only=True,
        ),
        Method("account.balance", "GET /fapi/v3/balance", account.balance, weight=5),
        Method(
            "account.balance.v2", "GET /fapi/v2/balance", account.balance, weight=5, rest_only=True,
        ),
        Method("account.position", "GET /fapi/v3/positionRisk", account.risk_v3, weight=5),
        Method(
            "account.position.v2", "GET /fapi/v2/positionRisk",
            account.risk_v2, weight=5, rest_only=True,
        ),
        Method(
            "leverageBracket", "GET /fapi/v1/leverageBracket",
            account.brackets, weight=1, rest_only=True,
        ),
        Method(
            "leverage", "POST /fapi/v1/leverage",
            account.set_leverage, weight=1, trades=True, rest_only=True,
        ),
        Method(
            "marginType", "POST /fapi/v1/marginType",
            account.set_margin_type, weight=1, trades=True, rest_only=True,
        ),
        Method(
            "positionMargin", "POST /fapi/v1/positionMargin",
            account.move_margin, weight=1, trades=True, rest_only=True,
        ),
        Method(
            "positionSide.get", "GET /fapi/v1/positionSide/dual",
            account.dual, weight=30, rest_only=True,
        ),
        Method(
            "positionSide.set", "POST /fapi/v1/positionSide/dual",
            account.set_dual, weight=1, trades=True, rest_only=True,
        ),
        Method(
            "multiAssetsMargin.get", "GET /fapi/v1/multiAssetsMargin",
            account.multi_assets, weight=30, rest_only=True,
        ),
        Method(
            "multiAssetsMargin.set", "POST /fapi/v1/multiAssetsMargin",
            account.set_multi_assets, weight=1, trades=True, rest_only=True,
        ),
        Method(
            "accountConfig", "GET /fapi/v1/accountConfig", account.config, weight=5, rest_only=True,
        ),
        Method(
            "symbolConfig", "GET /fapi/v1/symbolConfig",
            account.symbol_config, weight=5, rest_only=True,
        ),
        Method(
            "commissionRate", "GET /fapi/v1/commissionRate",
            account.commission, weight=20, rest_only=True,
        ),
        Method(
            "userDataStream.start", "POST /fapi/v1/listenKey",
            account.start_stream, weight=1, unsigned=True,
        ),
        Method(
            "userDataStream.ping", "PUT /fapi/v1/listenKey",
            account.keep_stream, weight=1, unsigned=True,
        ),
        Method(
            "userDataStream.stop", "DELETE /fapi/v1/listenKey",
            account.end_stream, weight=1, unsigned=True,
        ),
    )  # fmt: skip
