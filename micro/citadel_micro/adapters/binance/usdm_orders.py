"""Binance USD-M's order adapter: its abilities, its rate limits, and its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.binance.spot_requests import SpotSigner
from citadel_micro.adapters.binance.spot_session import SpotRest
from citadel_micro.adapters.binance.usdm_dialect import UsdmDialect
from citadel_micro.adapters.binance.usdm_requests import ROUTES, UsdmRequests
from citadel_micro.adapters.binance.usdm_timer import timer_of
from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.account_key import key_of, require_key_of
from citadel_micro.shell.venue.adapter import RENEW_S, LiveAdapter
from citadel_micro.shell.venue.addresses import with_path
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.signing import signer_of
from citadel_micro.shell.venue.venue_clock import VenueClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.order_adapter import AdapterSetup

VENUE: Final = "binance-usdm"
ABILITIES: Final = VenueAbilities(
    amends="in_place",
    messages_per_second=10,
    message_burst=50,
    tells_trades=True,
    fill_or_kill=True,
    backend_timeout_ns=10 * SECOND,
    margined=True,
    dead_man_timer=True,
    forced_ids=(
        ("autoclose-", "liquidation"),
        ("adl_autoclose", "adl"),
        ("settlement_autoclose-", "settlement"),
    ),
)
"""An account may place 300 orders in 10 s and 1,200 a minute. The venue's timer is per symbol."""
WS_API_PATH: Final = "/ws-fapi/v1"
LIMITS: Final = {("weight", 60): 2_400, ("orders", 10): 300, ("orders", 60): 1_200}
"""Until the venue sends its own."""


def adapter_of(setup: AdapterSetup) -> LiveAdapter:
    """The adapter that the configuration describes. Raises as ``usdm_adapter``."""
    section = setup.config.venues[setup.venue]
    return usdm_adapter(
        setup,
        key_of(setup),
        rest_url=section.private_rest_url or "",
        ws_api_url=section.ws_api_url or "",
        stream_url=section.private_ws_url or "",
        leverage=section.leverage,
        mode=section.margin_mode,
        beside_foreign=section.timer_beside_foreign,
    )


def usdm_adapter(
    setup: AdapterSetup,
    key: ApiKey,
    *,
    rest_url: str,
    ws_api_url: str,
    stream_url: str,
    leverage: int = 1,
    mode: MarginMode = "isolated",
    beside_foreign: bool = False,
) -> LiveAdapter:
    """The adapter of one account.

    Args:
        setup: as the daemon gives it.
        key: of the account.
        rest_url: REST root.
        ws_api_url: websocket API, with its path or without.
        stream_url: root of the streams.
        leverage: that every symbol is set to.
        mode: the same.
        beside_foreign: arm the venue's timer although it would cancel orders of others, too.

    Raises:
        BadInput: the key is another venue's, or an address is not permitted for keys.
    """
    require_key_of(setup.venue, key)
    now = setup.clock.now
    clock = VenueClock(now)
    dialect, budget = usdm_dialect(
        setup.venue,
        setup.instruments,
        key,
        clock,
        now,
        rest_url=rest_url,
        ws_api_url=ws_api_url,
        stream_url=stream_url,
        leverage=leverage,
        mode=mode,
    )
    adapter = LiveAdapter(
        setup,
        dialect,
        clock=clock,
        budget=budget,
        abilities=ABILITIES,
        renew_s=RENEW_S,
        timer=timer_of(setup.instruments, beside_foreign=beside_foreign),
    )
    dialect.know(adapter.ids, adapter.report)
    return adapter


def usdm_dialect(
    venue: str,
    instruments: Mapping[str, Instrument],
    key: ApiKey,
    clock: VenueClock,
    now: Callable[[], int],
    *,
    rest_url: str,
    ws_api_url: str,
    stream_url: str,
    leverage: int,
    mode: MarginMode,
) -> tuple[UsdmDialect, RequestBudget]:
    """The dialect and its rate limits. Arguments and errors as of ``usdm_adapter``."""
    where = f"venues.{venue}"
    budget = RequestBudget(LIMITS)
    signer = SpotSigner(key, signer_of(key), clock, ROUTES)
    client = HttpClient(rest_url, f"{where}.private_rest_url")
    dialect = UsdmDialect(
        venue=venue,
        url=with_path(ws_api_url, WS_API_PATH),
        stream_url=stream_url.rstrip("/"),
        where=where,
        instruments=instruments,
        requests=UsdmRequests(instruments),
        signer=signer,
        clock=clock,
        budget=budget,
        rest=SpotRest(client, signer, clock, budget, ROUTES),
        leverage=leverage,
        mode=mode,
        now=now,
    )
    return dialect, budget
