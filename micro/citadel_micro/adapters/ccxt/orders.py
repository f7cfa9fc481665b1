"""Orders on venues without an adapter of their own, through ccxt: ``ccxt-<exchange>``, unverified.

Nobody here has tried these at the venue. ccxt translates requests and codes, tells no expiry to the
venue, and says of few errors that nothing was executed. So more is UNKNOWN, and for longer, than on
venues with an adapter of their own, and the limits are smaller by default.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.ccxt.order_dialect import CcxtDialect
from citadel_micro.adapters.ccxt.order_venue import CcxtVenue, require_spot, sound_class
from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.account_key import key_of, require_key_of
from citadel_micro.shell.venue.adapter import RENEW_S, LiveAdapter
from citadel_micro.shell.venue.addresses import private_url
from citadel_micro.shell.venue.request_budget import RequestBudget
from citadel_micro.shell.venue.stream_watch import StreamWatch
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.order_adapter import AdapterSetup

BACKEND_TIMEOUT_NS: Final = 60 * SECOND
"""A venue that gets no expiry may execute a request at any later time. This is what Binance
allows at most (``recvWindow``), and twice as long as any HTTP connection here is waited for."""
WINDOW_NS: Final = 5 * SECOND
"""ccxt's own throttling may hold a request back; it is not sent any more after this."""
MOST_A_SECOND: Final = 5
POLLED_OWED_NS: Final = 20 * SECOND
STREAMED_OWED_NS: Final = 5 * SECOND


@lru_cache(maxsize=32)
def abilities(venue: str) -> VenueAbilities:
    """What the class can do, with prudence. Raises BadInput as ``order_venue.sound_class``."""
    rate = sound_class(venue).rateLimit
    each_second = max(1, min(MOST_A_SECOND, int(1_000 / max(rate, 1)) // 2))
    return VenueAbilities(
        execution="unverified",
        messages_per_second=each_second,
        message_burst=4 * each_second,
        order_window_ns=WINDOW_NS,
        client_id_form="letters",
        tells_trades=True,
        backend_timeout_ns=BACKEND_TIMEOUT_NS,
    )


def adapter_of(setup: AdapterSetup) -> LiveAdapter:
    """The adapter that the configuration describes. Raises as ``ccxt_adapter``."""
    section = setup.config.venues[setup.venue]
    return ccxt_adapter(
        setup,
        key_of(setup),
        rest_url=section.private_rest_url or "",
        ws_url=section.ws_api_url or "",
    )


def ccxt_adapter(
    setup: AdapterSetup,
    key: ApiKey,
    *,
    rest_url: str = "",
    ws_url: str = "",
    polled: bool = False,
    renew_s: float = RENEW_S,
    watch: StreamWatch | None = None,
) -> LiveAdapter:
    """The adapter of one account.

    Args:
        setup: as the daemon gives it.
        key: of the account.
        rest_url: HTTP root instead of the exchange's own hosts.
        ws_url: websocket root, the same.
        polled: ask for the account's news although they are streamed.
        renew_s: a connection is replaced after this long.
        watch: detects a mute stream.

    Raises:
        BadInput: the key is another venue's or of a kind that ccxt cannot sign with, a symbol is no
            spot symbol, the class lacks what is needed, or an address is not permitted for keys.
    """
    now, abilities_of = setup.clock.now, abilities(setup.venue)
    venue = venue_of(setup.venue, key, tuple(setup.instruments), rest_url=rest_url, ws_url=ws_url)
    if polled:
        venue.streams = False
    clock = VenueClock(now)
    dialect = CcxtDialect(venue, setup.instruments, clock, now)
    within_ns = STREAMED_OWED_NS if venue.streams else POLLED_OWED_NS
    adapter = LiveAdapter(
        setup,
        dialect,
        clock=clock,
        budget=RequestBudget({("requests", 60): int(60 / max(venue.rate_s, 0.05))}),
        abilities=abilities_of,
        renew_s=renew_s,
        watch=watch or StreamWatch(within_ns),
    )
    dialect.know(adapter.ids)
    return adapter


def venue_of(
    venue: str, key: ApiKey, symbols: tuple[str, ...], *, rest_url: str, ws_url: str
) -> CcxtVenue:
    """The exchange and the account. Raises as ``ccxt_adapter``."""
    require_key_of(venue, key)
    if key.kind == "secp256k1":
        raise BadInput(
            f"ccxt's login at {venue} takes no key of this kind",
            where=key.file,
            allowed="a key with an id and a secret, or a private key as PEM",
        )
    require_spot(venue, symbols)
    for name, url in (("private_rest_url", rest_url), ("ws_api_url", ws_url)):
        if url:
            private_url(url, f"venues.{venue}.{name}")
    return CcxtVenue(
        name=venue, key=key, symbols=symbols, urls=(ws_url.rstrip("/"), rest_url.rstrip("/"))
    )
