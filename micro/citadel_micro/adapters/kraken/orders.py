"""Kraken spot's order adapter: its abilities, its rate limits, and its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.kraken.codes import CALLS
from citadel_micro.adapters.kraken.dialect import KrakenDialect, KrakenTimer
from citadel_micro.adapters.kraken.hosts import HOSTS
from citadel_micro.adapters.kraken.requests import trading
from citadel_micro.adapters.kraken.session import (
    REST_TIMEOUT_S,
    TIERS,
    KrakenRest,
    RestSigner,
)
from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.account_key import key_of, require_key_of
from citadel_micro.shell.venue.adapter import RENEW_S, LiveAdapter
from citadel_micro.shell.venue.cancel_timer import VenueTimer
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.venue_clock import VenueClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.order_adapter import AdapterSetup
    from citadel_micro.shell.venue.stream_watch import StreamWatch

VENUE: Final = "kraken-spot"
ABILITIES: Final = VenueAbilities(
    amends="in_place",
    dead_man_timer=True,
    messages_per_second=5,
    message_burst=20,
    client_id_form="uuid",
    tells_trades=True,
    backend_timeout_ns=5 * SECOND,
)
"""An order carries a deadline that the matching engine itself enforces, so the time after it is for
queries that lag behind. An amend keeps the order's place where it is made smaller at its price. The
timer is of the whole account, orders of others included."""
PERIOD_NS: Final = 60 * SECOND
"""Of the timer: the venue's advice, renewed every 20 s."""


def budget_of(symbols: Mapping[str, object]) -> RequestBudget:
    """The limits of the lowest tier, until the venue names another."""
    lowest = min(TIERS)
    decay, calls = TIERS[lowest]
    orders = {trading(symbol): (float(lowest), decay) for symbol in symbols}
    return RequestBudget({}, {CALLS: calls, **orders})


def adapter_of(setup: AdapterSetup) -> LiveAdapter:
    """The adapter that the configuration describes. Raises as ``kraken_adapter``."""
    section = setup.config.venues[setup.venue]
    return kraken_adapter(
        setup,
        key_of(setup),
        rest_url=section.private_rest_url or "",
        ws_url=section.ws_api_url or "",
        beside_foreign=section.timer_beside_foreign,
    )


def kraken_adapter(
    setup: AdapterSetup,
    key: ApiKey,
    *,
    rest_url: str = "",
    ws_url: str = "",
    beside_foreign: bool = False,
    renew_s: float = RENEW_S,
    watch: StreamWatch | None = None,
) -> LiveAdapter:
    """The adapter of one account.

    Args:
        setup: as the daemon gives it.
        key: of the account.
        rest_url: REST root instead of the network's own.
        ws_url: private websocket instead of the network's own.
        beside_foreign: arm the venue's timer although it would cancel orders of others, too.
        renew_s: a connection is replaced after this long.
        watch: detects a mute stream.

    Raises:
        BadInput: the key is another venue's or network's, or an address is not permitted for keys.
    """
    require_key_of(setup.venue, key)
    now = setup.clock.now
    clock = VenueClock(now)
    budget = budget_of(setup.instruments)
    hosts = HOSTS[VENUE]["mainnet"]
    dialect = kraken_dialect(
        setup.venue,
        setup.instruments,
        key,
        clock,
        budget,
        now,
        rest_url=rest_url or hosts.private_rest_url,
        ws_url=ws_url or hosts.ws_api_url,
    )
    adapter = LiveAdapter(
        setup,
        dialect,
        clock=clock,
        budget=budget,
        abilities=ABILITIES,
        renew_s=renew_s,
        watch=watch,
        timer=VenueTimer(
            scope="account",
            period_ns=PERIOD_NS,
            requests=KrakenTimer(),
            beside_foreign=beside_foreign,
            or_watchdog=True,
        ),
    )
    dialect.know(adapter.ids)
    return adapter


def kraken_dialect(  # noqa: PLR0917 - what its parts have in common
    venue: str,
    instruments: Mapping[str, Instrument],
    key: ApiKey,
    clock: VenueClock,
    budget: RequestBudget,
    now: Callable[[], int],
    *,
    rest_url: str,
    ws_url: str,
) -> KrakenDialect:
    """The dialect alone. Arguments and errors as of ``kraken_adapter``."""
    where = f"venues.{venue}"
    client = HttpClient(rest_url, f"{where}.private_rest_url", timeout_s=REST_TIMEOUT_S)
    return KrakenDialect(
        url=ws_url,
        where=f"{where}.ws_api_url",
        instruments=instruments,
        clock=clock,
        budget=budget,
        rest=KrakenRest(client, RestSigner(key)),
        now=now,
    )
