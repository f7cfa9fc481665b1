"""Sends one test order to Binance USD-M, with the requests and the connection of real orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.adapters.binance.trial_desk import SpotTrialDesk
from citadel_micro.adapters.binance.usdm_orders import usdm_dialect
from citadel_micro.adapters.binance.usdm_requests import UsdmRequests
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.venue_clock import VenueClock

if TYPE_CHECKING:
    from citadel_micro.adapters.binance.spot_dialect import SpotDialect
    from citadel_micro.adapters.binance.spot_requests import SpotRequests
    from citadel_micro.adapters.binance.usdm_dialect import UsdmDialect
    from citadel_micro.shell.account_facts import AccountQuery


class UsdmTrialDesk(SpotTrialDesk):
    """As ``SpotTrialDesk``. It changes no setting of the account."""

    price_method = "price"

    def _parts(self, query: AccountQuery) -> tuple[SpotRequests, SpotDialect | UsdmDialect]:
        clock = VenueClock(query.now)
        dialect, _ = usdm_dialect(
            query.venue,
            query.instruments,
            query.key,
            clock,
            query.now,
            rest_url=address_of(query, "private_rest_url"),
            ws_api_url=address_of(query, "ws_api_url"),
            stream_url=address_of(query, "private_ws_url"),
            leverage=query.section.leverage,
            mode=query.section.margin_mode,
        )
        return UsdmRequests(query.instruments), dialect
