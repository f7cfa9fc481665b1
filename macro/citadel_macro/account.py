"""The account half of the bridged exchange: balances, positions and account settings, from micro."""

from __future__ import annotations

import json
import logging
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import freqtrade.exchange
from freqtrade.enums import TradingMode
from freqtrade.exceptions import TemporaryError
from freqtrade.exchange.exchange import Exchange
from freqtrade.persistence import Trade

from citadel_bridge.errors import MicroUnavailable
from citadel_macro import ccxt_orders as orders
from citadel_macro import funding
from citadel_macro.key_guard import disarm, refuse_keys, without_credentials
from citadel_macro.venues import why_not_served

if TYPE_CHECKING:
    from datetime import datetime

    import ccxt
    from freqtrade.constants import BuySell, ExchangeConfig
    from freqtrade.enums import MarginMode
    from freqtrade.exchange.exchange_types import CcxtBalances, CcxtPosition

    from citadel_macro.config import BridgeSettings
    from citadel_macro.micro_client import MicroLink
    from citadel_proto.messages import Balance

logger = logging.getLogger(__name__)

BOOT_POLL_S: Final = 0.1
BOOT_PATIENCE_S: Final = 2.0
BOOT_REMIND_S: Final = 5.0


class AccountMixin(Exchange):
    """Methods of ``Exchange`` that would query the venue about our account."""

    settings: ClassVar[BridgeSettings]
    link: ClassVar[MicroLink]
    _balances_seen: tuple[Balance, ...] = ()

    # --- no credentials, no private calls --------------------------------------------------------

    def _init_ccxt(
        self, exchange_config: dict[str, Any], sync: bool, ccxt_kwargs: dict[str, Any]
    ) -> ccxt.Exchange:
        """Build a ccxt object without credentials that refuses private requests."""
        refuse_keys(exchange_config)
        api = super()._init_ccxt(
            without_credentials(exchange_config), sync, without_credentials(ccxt_kwargs)
        )
        disarm(api)
        return api

    def build_ft_has(self, exchange_conf: ExchangeConfig) -> None:
        """Declare what micro supports in the venue's place."""
        super().build_ft_has(exchange_conf)
        self._ft_has.update(
            {
                "stoploss_on_exchange": True,
                "stop_price_param": "stopPrice",
                "stop_price_prop": "stopPrice",
                "stoploss_order_types": {"limit": "limit", "market": "market"},
                # Canceled before an exit is placed, so that both can never sell the same units.
                "stoploss_blocks_assets": True,
                "stoploss_query_requires_stop_flag": False,
                "stoploss_algo_order_info_id": "",
                "order_time_in_force": ["GTC", "IOC", "PO"],
                "balance_includes_unrealized_pnl": False,
                "needs_trading_fees": False,
                "always_require_api_keys": False,
                "fetch_orders_limit_minutes": None,
            }
        )
        if self.trading_mode == TradingMode.SPOT:
            # The schedule of spot delistings is behind a signed endpoint.
            self._ft_has["has_delisting"] = False

    def additional_exchange_init(self) -> None:
        """Nothing: account settings are made at micro."""

    def _lev_prep(
        self, pair: str, leverage: float, side: BuySell, accept_fail: bool = False
    ) -> None:
        """Nothing: leverage is a field of the signal."""

    def _set_leverage(
        self, leverage: float, pair: str | None = None, accept_fail: bool = False
    ) -> None:
        """Nothing: leverage is a field of the signal."""

    def set_margin_mode(
        self,
        pair: str,
        margin_mode: MarginMode,
        accept_fail: bool = False,
        params: dict[str, Any] | None = None,
    ) -> None:
        """Nothing: the margin mode is set where the keys are."""

    def fetch_trading_fees(self) -> dict[str, Any]:
        """No account fees; Freqtrade uses the market's and gets the actual ones with each fill."""
        return {}

    def check_delisting_time(self, pair: str) -> datetime | None:
        """Public for perpetuals; the spot schedule is behind a signed endpoint, so None."""
        if self.trading_mode == TradingMode.SPOT:
            return None
        return super().check_delisting_time(pair)

    # --- balances and positions ------------------------------------------------------------------

    def get_balances(self, params: dict[str, Any] | None = None) -> CcxtBalances:
        """Balances from micro, never older than the fills it has reported.

        The first call, while Freqtrade starts, waits for micro without limit. Later ones return the
        last known balances when micro is silent.
        """
        rows = self.link.balances() or self._await_micro()
        return orders.balances_dict(rows)  # type: ignore[return-value]

    def _free(self, currency: str) -> Decimal:
        """What is not locked of a currency; 0 as long as micro has sent no balances."""
        rows = self.link.balances() or ()
        return sum((Decimal(row.free) for row in rows if row.currency == currency), Decimal(0))

    def balances_changed(self) -> bool:
        """Whether micro's balances differ from those of the last call.

        Freqtrade reads its wallets only when it trades itself, so trades that micro makes by itself
        would otherwise be missed for long.
        """
        rows = self.link.balances() or ()
        changed = rows != self._balances_seen
        self._balances_seen = rows
        return changed

    def _await_micro(self) -> tuple[Balance, ...]:
        """Wait for micro's first balances, logging it; ends only with them or with a signal."""
        started = time.monotonic()
        remind = started + BOOT_PATIENCE_S
        while True:
            rows = self.link.balances()
            now = time.monotonic()
            if rows is not None:
                logger.info("micro answered after %.1f s.", now - started)
                return rows
            if now >= remind:
                remind = now + BOOT_REMIND_S
                self._say_what_is_awaited(now - started)
            time.sleep(BOOT_POLL_S)

    def _say_what_is_awaited(self, waited_s: float) -> None:
        market, venue = ", ".join(self.settings.market), self.settings.venue
        if not self.link.alive():
            logger.warning(
                "Waiting for micro at %s for %.0f s. Start it with `citadel micro`, or correct "
                "citadel.market in the configuration; Freqtrade continues as soon as it answers.",
                market,
                waited_s,
            )
            return
        served = self.link.venues()
        if venue in served:
            why = f"no balances of {venue!r} yet (a [reference.…] has none, a [venues.…] has)"
        else:
            why = why_not_served(venue, served)
        logger.warning(
            "Waiting for %s for %.0f s. micro at %s is connected (%s): %s.",
            venue,
            waited_s,
            market,
            self.link.connector.micro_state(),
            why,
        )

    def fetch_positions(
        self, pair: str | None = None, params: dict[str, Any] | None = None
    ) -> list[CcxtPosition]:
        """Open perpetual positions, from micro; for a wallet, of all pairs, the last known where it is silent.

        Freqtrade reads its wallet while it books an order: an error there would leave undone what follows
        the end of a trade, its protections for instance. What reports have told is as new as their fills.

        Raises:
            TemporaryError: micro does not answer.
        """
        if self.trading_mode != TradingMode.FUTURES:
            return []
        try:
            positions = self.link.positions()
        except MicroUnavailable as error:
            positions = () if pair else self.link.known_positions()
            if not positions:
                raise TemporaryError(str(error)) from error
        return [
            orders.position_dict(position, self.get_contract_size(position.symbol) or 1.0)  # type: ignore[misc]
            for position in positions
            if pair in (None, position.symbol)
        ]

    def _get_funding_fees_from_exchange(self, pair: str, since: datetime | int) -> float:
        """Funding that micro has booked for the position of ``pair`` since its trade began, less what that has.

        Freqtrade keeps with each order what came before it, and adds this to their sum. Before a
        trade's first entry the position is that of the trade before.

        Raises:
            TemporaryError: micro does not answer.
        """
        trades = Trade.get_trades_proxy(pair=pair, is_open=True)
        if trades and not any(trade.nr_of_successful_entries for trade in trades):
            return 0.0
        try:
            positions = self.link.positions()
        except MicroUnavailable as error:
            raise TemporaryError(str(error)) from error
        paid = sum((Decimal(each.funding) for each in positions if each.symbol == pair), Decimal(0))
        return float(paid - funding.of_trades(trades))

    def load_leverage_tiers(self) -> dict[str, list[dict[str, Any]]]:
        """Leverage tiers without a signed request.

        Freqtrade ships Binance's; for other venues one tier per market, up to the leverage that
        the venue's public market rules state.
        """
        if self.trading_mode != TradingMode.FUTURES:
            return {}
        if self._api.id.startswith("binance"):
            path = Path(freqtrade.exchange.__file__).with_name("binance_leverage_tiers.json")
            shipped: dict[str, list[dict[str, Any]]] = json.loads(path.read_text("utf-8"))
            return shipped
        tiers: dict[str, list[dict[str, Any]]] = {}
        for symbol, market in self.markets.items():
            if self.market_is_future(market):
                limits = (market.get("limits") or {}).get("leverage") or {}
                tiers[symbol] = [
                    {
                        "minNotional": 0.0,
                        "maxNotional": None,
                        "maintenanceMarginRate": 0.0,
                        "maxLeverage": float(limits.get("max") or 1.0),
                        "info": {},
                    }
                ]
        return tiers
