"""Queries Binance USD-M about an account, its key and its symbols, over REST; reads only."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from citadel_micro.adapters.binance.account_facts import SpotFacts
from citadel_micro.adapters.binance.account_messages import (
    Filter,
    Limit,
    Rates,
    Restrictions,
    Symbol,
    limit_of,
    symbol_facts,
)
from citadel_micro.adapters.binance.hosts import HOSTS
from citadel_micro.adapters.binance.usdm_messages import UsdmAccount
from citadel_micro.adapters.binance.usdm_trial_desk import UsdmTrialDesk
from citadel_micro.shell.account_facts import AccountFacts, RateLimit
from citadel_micro.shell.venue.http_client import HttpClient

if TYPE_CHECKING:
    from citadel_micro.shell.account_facts import AccountQuery, KeyRights


class _Config(msgspec.Struct, rename="camel"):
    can_trade: bool
    dual_side_position: bool
    multi_assets_margin: bool


class _Contract(msgspec.Struct, rename="camel"):
    symbol: str
    status: str
    filters: list[Filter]


class _Info(msgspec.Struct, rename="camel"):
    symbols: list[_Contract]
    rate_limits: list[Limit] = []


class _Fees(msgspec.Struct, rename="camel"):
    maker_commission_rate: Decimal
    taker_commission_rate: Decimal


class UsdmInspector:
    """As ``shell.account_facts.AccountInspector``."""

    async def facts(self, query: AccountQuery) -> AccountFacts:
        """See ``UsdmFacts``."""
        return await UsdmFacts(query).facts()

    async def trial_desk(self, query: AccountQuery) -> UsdmTrialDesk:
        """See ``UsdmTrialDesk``."""
        desk = UsdmTrialDesk(query)
        await desk.open()
        return desk


class UsdmFacts(SpotFacts):
    """The queries about one futures account. The venue does not give its id here."""

    time_path = "/fapi/v1/time"

    async def facts(self) -> AccountFacts:
        """Everything. Raises as ``AccountInspector.facts``."""
        try:
            await self._measure_clock()
            config = await self._get("/fapi/v1/accountConfig", _Config, {})
            account = await self._get("/fapi/v3/account", UsdmAccount, {})
            rights = await self._rights()
            info = await self._get("/fapi/v1/exchangeInfo", _Info)
            unified = {rules.venue_symbol: ours for ours, rules in self._query.instruments.items()}
            found = [each for each in info.symbols if each.symbol in unified]
            fees: dict[str, Rates] = {}
            for each in found:
                params = {"symbol": each.symbol}
                told = await self._get("/fapi/v1/commissionRate", _Fees, params)
                fees[each.symbol] = Rates(
                    maker=told.maker_commission_rate, taker=told.taker_commission_rate
                )
            open_orders = await self._get("/fapi/v1/openOrders", list[msgspec.Raw], {})
            orders = await self._get("/fapi/v1/rateLimit/order", list[Limit], {})
        finally:
            await self._client.close()
        return AccountFacts(
            account="",
            clock_offset_ns=self._clock.offset_ns,
            clock_error_ns=self._clock.error_ns,
            may_trade=config.can_trade,
            rights=rights,
            symbols={
                unified[each.symbol]: symbol_facts(
                    Symbol(symbol=each.symbol, status=each.status, filters=each.filters),
                    (),
                    fees[each.symbol],
                )
                for each in found
            },
            balances={
                each.asset: (each.available_balance, each.wallet_balance - each.available_balance)
                for each in account.assets
                if each.wallet_balance
            },
            open_orders=len(open_orders),
            rate_limits=(*self._weights(info), *(limit_of(each, each.count) for each in orders)),
            timer="symbol",
            hedge_mode=config.dual_side_position,
            multi_asset_mode=config.multi_assets_margin,
        )

    async def _told_rights(self) -> KeyRights:
        """Spot's host reports them, where that is another one."""
        own, network = self._client, self._query.section.network
        markets = HOSTS["binance-usdm"], HOSTS["binance-spot"]
        futures, spot = (each.get(network) for each in markets)
        if futures is None or spot is None or own.root != futures.private_rest_url:
            return await self._restrictions()
        self._client = HttpClient(spot.private_rest_url, f"venues.{self._query.venue}")
        try:
            return await self._restrictions()
        finally:
            await self._client.close()
            self._client = own

    async def _restrictions(self) -> KeyRights:
        told = await self._get("/sapi/v1/account/apiRestrictions", Restrictions, {})
        return told.rights(futures=True)

    def _weights(self, info: _Info) -> tuple[RateLimit, ...]:
        return tuple(
            limit_of(each, self._weight_used)
            for each in info.rate_limits
            if each.rate_limit_type == "REQUEST_WEIGHT"
        )
