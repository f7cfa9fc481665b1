"""Binance spot's order adapter: its abilities, its rate limits, and its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.binance.hosts import HOSTS
from citadel_micro.adapters.binance.spot_dialect import SpotDialect
from citadel_micro.adapters.binance.spot_requests import SpotRequests, SpotSigner
from citadel_micro.adapters.binance.spot_session import SpotRest
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
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.order_adapter import AdapterSetup
    from citadel_micro.shell.venue.stream_watch import StreamWatch

VENUE: Final = "binance-spot"
ABILITIES: Final = VenueAbilities(
    amends="quantity_down",
    dead_man_timer=False,
    messages_per_second=10,
    message_burst=50,
    tells_trades=True,
    fill_or_kill=True,
    backend_timeout_ns=10 * SECOND,
)
"""A resting order can only be reduced in place. The venue has no timer that cancels: a watchdog
is needed. An account may have 100 unfilled orders in 10 s."""
WS_API_PATH: Final = "/ws-api/v3"
LIMITS: Final = {
    ("weight", 60): 6_000,
    ("orders", 10): 100,
    ("orders", 86_400): 200_000,
}
"""Until the venue sends its own."""


def adapter_of(setup: AdapterSetup) -> LiveAdapter:
    """The adapter that the configuration describes. Raises as ``spot_adapter``."""
    section = setup.config.venues[setup.venue]
    return spot_adapter(
        setup,
        key_of(setup),
        rest_url=section.private_rest_url or "",
        ws_api_url=section.ws_api_url or "",
    )


def spot_adapter(
    setup: AdapterSetup,
    key: ApiKey,
    *,
    rest_url: str = "",
    ws_api_url: str = "",
    renew_s: float = RENEW_S,
    watch: StreamWatch | None = None,
) -> LiveAdapter:
    """The adapter of one account.

    Args:
        setup: as the daemon gives it.
        key: of the account.
        rest_url: REST root instead of the network's own.
        ws_api_url: web socket API, with its path or without, instead of the network's own.
        renew_s: a connection is replaced after this long.
        watch: detects a mute stream.

    Raises:
        BadInput: the key is another venue's, or an address is not permitted for keys.
    """
    require_key_of(setup.venue, key)
    where = f"venues.{setup.venue}"
    hosts = HOSTS[VENUE][key.network]
    url = ws_api_address(ws_api_url or hosts.ws_api_url)
    now = setup.clock.now
    clock = VenueClock(now)
    budget = RequestBudget(LIMITS)
    signer = SpotSigner(key, signer_of(key), clock)
    client = HttpClient(rest_url or hosts.private_rest_url, f"{where}.private_rest_url")
    dialect = SpotDialect(
        url=url,
        where=f"{where}.ws_api_url",
        instruments=setup.instruments,
        requests=SpotRequests(setup.instruments),
        signer=signer,
        clock=clock,
        budget=budget,
        rest=SpotRest(client, signer, clock, budget),
        now=now,
    )
    adapter = LiveAdapter(
        setup,
        dialect,
        clock=clock,
        budget=budget,
        abilities=ABILITIES,
        renew_s=renew_s,
        watch=watch,
    )
    dialect.know(adapter.ids)
    return adapter


def ws_api_address(url: str) -> str:
    """The websocket API's full address, given with its path or without."""
    return with_path(url, WS_API_PATH)
