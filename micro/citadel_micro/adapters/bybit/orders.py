"""Bybit's order adapters, of spot and of linear perpetuals: their abilities, rate limits and parts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.bybit.dialect import BybitDialect
from citadel_micro.adapters.bybit.hosts import HOSTS
from citadel_micro.adapters.bybit.linear_dialect import LinearDialect
from citadel_micro.adapters.bybit.linear_margin import LinearMargin
from citadel_micro.adapters.bybit.messages import FORCED
from citadel_micro.adapters.bybit.requests import (
    LIMITS,
    LINEAR,
    SPOT,
    BybitRequests,
    BybitSigner,
)
from citadel_micro.adapters.bybit.session import BybitRest
from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.account_key import key_of, require_key_of
from citadel_micro.shell.venue.adapter import RENEW_S, LiveAdapter
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.signing import signer_of
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.order_adapter import AdapterSetup
    from citadel_micro.shell.venue.stream_watch import StreamWatch

VENUE: Final = "bybit-spot"
ABILITIES: Final = VenueAbilities(
    amends="in_place",
    dead_man_timer=False,
    messages_per_second=10,
    message_burst=15,
    tells_trades=True,
    fill_or_kill=True,
    backend_timeout_ns=10 * SECOND,
)
"""An account may send 20 orders, 20 amends and 20 cancels in a second. Its timer (DCP) is for
institutions, and only sees a connection that is lost: a watchdog is needed. An order waits in a queue
after it was acknowledged, for how long is not documented: as long as Binance's back end waits."""


LINEAR_VENUE: Final = "bybit-linear"
LINEAR_ABILITIES: Final = replace(
    ABILITIES,
    margined=True,
    forced_ids=(
        (FORCED["BustTrade"], "liquidation"),
        (FORCED["AdlTrade"], "adl"),
        (FORCED["Settle"], "settlement"),
    ),
)
"""The venue gives its own orders no name: the reader does."""


def adapter_of(setup: AdapterSetup) -> LiveAdapter:
    """The adapter that the configuration describes. Raises as ``bybit_adapter``."""
    section = setup.config.venues[setup.venue]
    return bybit_adapter(
        setup,
        key_of(setup),
        rest_url=section.private_rest_url or "",
        ws_api_url=section.ws_api_url or "",
        stream_url=section.private_ws_url or "",
        public_url=section.ws_url or "",
        leverage=section.leverage,
        mode=section.margin_mode,
    )


def bybit_adapter(
    setup: AdapterSetup,
    key: ApiKey,
    *,
    rest_url: str = "",
    ws_api_url: str = "",
    stream_url: str = "",
    public_url: str = "",
    leverage: int = 1,
    mode: MarginMode = "isolated",
    renew_s: float = RENEW_S,
    watch: StreamWatch | None = None,
) -> LiveAdapter:
    """The adapter of one account, on spot or on linear perpetuals.

    Args:
        setup: as the daemon gives it.
        key: of the account.
        rest_url: REST root instead of the network's own.
        ws_api_url: websocket for orders instead of the network's own.
        stream_url: private stream instead of the network's own.
        public_url: public stream instead of the network's own, for the marks of perpetuals.
        leverage: of perpetuals, that every symbol is set to.
        mode: of perpetuals, that the account must have.
        renew_s: a connection is replaced after this long.
        watch: detects a mute stream.

    Raises:
        BadInput: the key is another venue's or of a kind that Bybit does not take, or an address is not
            permitted for keys.
    """
    require_key_of(setup.venue, key)
    now = setup.clock.now
    clock = VenueClock(now)
    dialect, budget = bybit_dialect(
        setup.venue,
        setup.instruments,
        key,
        clock,
        now,
        rest_url=rest_url,
        ws_api_url=ws_api_url,
        stream_url=stream_url,
    )
    adapter = LiveAdapter(
        setup,
        dialect,
        clock=clock,
        budget=budget,
        abilities=ABILITIES if setup.venue == VENUE else LINEAR_ABILITIES,
        renew_s=renew_s,
        watch=watch,
    )
    if isinstance(dialect, LinearDialect):
        requests = BybitRequests(setup.instruments, LINEAR)
        margin = LinearMargin(setup.venue, requests, setup.instruments, leverage, mode)
        public_url = public_url or HOSTS[setup.venue][key.network].ws_url
        dialect.margined(setup.venue, public_url, margin, adapter.report)
    return adapter


def bybit_dialect(
    venue: str,
    instruments: Mapping[str, Instrument],
    key: ApiKey,
    clock: VenueClock,
    now: Callable[[], int],
    *,
    rest_url: str = "",
    ws_api_url: str = "",
    stream_url: str = "",
) -> tuple[BybitDialect, RequestBudget]:
    """The dialect and its rate limits. Arguments and errors as of ``bybit_adapter``."""
    where = f"venues.{venue}"
    if not (rest_url and ws_api_url and stream_url):
        hosts = HOSTS[venue][key.network]
        rest_url = rest_url or hosts.private_rest_url
        ws_api_url, stream_url = ws_api_url or hosts.ws_api_url, stream_url or hosts.private_ws_url
    budget = RequestBudget(LIMITS)
    signer = bybit_signer(key, clock)
    client = HttpClient(rest_url, f"{where}.private_rest_url")
    make = BybitDialect if venue == VENUE else LinearDialect
    dialect = make(
        url=ws_api_url.rstrip("/"),
        stream_url=stream_url.rstrip("/"),
        where=where,
        instruments=instruments,
        requests=BybitRequests(instruments, SPOT if venue == VENUE else LINEAR),
        signer=signer,
        clock=clock,
        budget=budget,
        rest=BybitRest(client, signer, clock, budget),
        now=now,
    )
    return dialect, budget


def bybit_signer(key: ApiKey, clock: VenueClock) -> BybitSigner:
    """Signs with this key. Raises BadInput for a kind that Bybit does not take."""
    if key.kind not in {"hmac", "rsa"}:
        raise BadInput(
            f"a key of kind {key.kind} signs no requests at Bybit",
            where=key.file,
            allowed="hmac (system-generated), rsa (self-generated)",
            mend="make one of these on the venue's page of API keys",
        )
    return BybitSigner(key, signer_of(key), clock)
