"""Cancels open orders at Binance USD-M for a watchdog, over REST."""

from __future__ import annotations

from dataclasses import replace

from citadel_micro.adapters.binance.cancel_desk import SpotCancelDesk
from citadel_micro.adapters.binance.usdm_orders import LIMITS
from citadel_micro.adapters.binance.usdm_requests import ROUTES, simple


class UsdmCancelDesk(SpotCancelDesk):
    """As ``SpotCancelDesk``; conditional orders, which micro never places there, stay."""

    listing = replace(simple("openOrders", 40), purpose="cancel")
    time = simple("time", 1, purpose="upkeep", signed=False)
    limits = LIMITS
    routes = ROUTES
