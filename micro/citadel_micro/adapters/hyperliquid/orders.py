"""Hyperliquid's order adapter: its abilities, its rate limits, and its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.hyperliquid.dialect import HyperDialect, HyperTimer
from citadel_micro.adapters.hyperliquid.margin import HyperMargin
from citadel_micro.adapters.hyperliquid.messages import DELEVERAGED, LIQUIDATED
from citadel_micro.adapters.hyperliquid.requests import LIMITS, HyperRequests
from citadel_micro.adapters.hyperliquid.session import HyperRest
from citadel_micro.adapters.hyperliquid.signing import ActionSigner
from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.account_key import key_of, require_key_of
from citadel_micro.shell.venue.adapter import RENEW_S, LiveAdapter
from citadel_micro.shell.venue.cancel_timer import VenueTimer
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.order_adapter import AdapterSetup
    from citadel_micro.shell.venue.stream_watch import StreamWatch

VENUE: Final = "hyperliquid"
ABILITIES: Final = VenueAbilities(
    client_id_form="hex",
    messages_per_second=10,
    message_burst=50,
    tells_trades=True,
    backend_timeout_ns=10 * SECOND,
    margined=True,
    forced_ids=((LIQUIDATED, "liquidation"), (DELEVERAGED, "adl")),
)
"""``modify`` places another order under another id, so nothing is amended in place. Only an account
that has traded enough may arm the venue's timer: a watchdog is needed otherwise. An expired action
is rejected by the chain itself, but only one implementation says so: a back end may be slow as elsewhere."""
TIMER_NS: Final = 60 * SECOND
"""The venue permits 5 s and more; each renewal is one of the requests that an account has earned."""
TIMER_REFUSED_NS: Final = 900 * SECOND
"""An account that has not traded enough for a timer asks again after this."""


def adapter_of(setup: AdapterSetup) -> LiveAdapter:
    """The adapter that the configuration describes. Raises as ``hyper_adapter``."""
    section = setup.config.venues[setup.venue]
    return hyper_adapter(
        setup,
        key_of(setup),
        rest_url=section.private_rest_url or "",
        ws_url=section.ws_api_url or "",
        leverage=section.leverage,
        mode=section.margin_mode,
    )


def hyper_adapter(
    setup: AdapterSetup,
    key: ApiKey,
    *,
    rest_url: str,
    ws_url: str,
    leverage: int = 1,
    mode: MarginMode = "isolated",
    renew_s: float = RENEW_S,
    watch: StreamWatch | None = None,
    timer_ns: int = TIMER_NS,
) -> LiveAdapter:
    """The adapter of one account.

    Args:
        setup: as the daemon gives it.
        key: an API wallet of the account; the account is its master's address.
        rest_url: REST root.
        ws_url: websocket.
        leverage: that every perpetual is set to.
        mode: the same.
        renew_s: a connection is replaced after this long.
        watch: detects a mute stream.
        timer_ns: after which silence the venue is to cancel.

    Raises:
        BadInput: the key is another venue's, an address is not permitted for keys, or a symbol is
            no perpetual.
    """
    require_key_of(setup.venue, key)
    now = setup.clock.now
    clock = VenueClock(now)
    dialect, budget = hyper_dialect(
        setup.venue,
        setup.instruments,
        key,
        clock,
        now,
        rest_url=rest_url,
        ws_url=ws_url,
        leverage=leverage,
        mode=mode,
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
            period_ns=timer_ns,
            requests=HyperTimer(clock),
            refused_ns=TIMER_REFUSED_NS,
            or_watchdog=True,
        ),
    )
    dialect.know(adapter.ids, adapter.report)
    return adapter


def hyper_dialect(
    venue: str,
    instruments: Mapping[str, Instrument],
    key: ApiKey,
    clock: VenueClock,
    now: Callable[[], int],
    *,
    rest_url: str,
    ws_url: str,
    leverage: int,
    mode: MarginMode,
) -> tuple[HyperDialect, RequestBudget]:
    """The dialect and its rate limits. Arguments and errors as of ``hyper_adapter``."""
    where = f"venues.{venue}"
    spot = [symbol for symbol, each in instruments.items() if each.kind != "linear"]
    if spot:
        raise BadInput(
            f"orders in {', '.join(spot)} cannot be sent in this version",
            where=f"{where}.symbols",
            allowed="perpetuals, such as BTC/USDC:USDC",
            mend="remove them, or follow them without trading in a run of their own",
        )
    account = key.account.lower()
    budget = RequestBudget(LIMITS)
    signer = ActionSigner(key, clock)
    requests = HyperRequests(instruments, account)
    dialect = HyperDialect(
        venue=venue,
        url=ws_url,
        where=f"{where}.ws_api_url",
        instruments=instruments,
        requests=requests,
        margin=HyperMargin(venue, requests, instruments, leverage, mode, now=now),
        signer=signer,
        clock=clock,
        budget=budget,
        rest=HyperRest(HttpClient(rest_url, f"{where}.private_rest_url"), signer),
        now=now,
    )
    return dialect, budget
