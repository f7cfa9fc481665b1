"""OKX's order adapter, of spot pairs or of perpetuals: its abilities, its rate limits, and its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.okx.dialect import OkxDialect
from citadel_micro.adapters.okx.hosts import HOSTS
from citadel_micro.adapters.okx.messages import DELEVERAGED, LIQUIDATED
from citadel_micro.adapters.okx.requests import CASH, SWAP, OkxRequests, OkxSigner, limits
from citadel_micro.adapters.okx.session import OkxRest
from citadel_micro.adapters.okx.swap_dialect import SwapDialect
from citadel_micro.adapters.okx.swap_margin import SwapMargin
from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.account_key import key_of, require_key_of
from citadel_micro.shell.venue.adapter import RENEW_S, LiveAdapter
from citadel_micro.shell.venue.addresses import with_path
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

VENUE: Final = "okx"
ABILITIES: Final = VenueAbilities(
    amends="in_place",
    dead_man_timer=True,
    messages_per_second=10,
    message_burst=50,
    client_id_form="letters",
    tells_trades=True,
    margined=True,
    forced_ids=((LIQUIDATED, "liquidation"), (DELEVERAGED, "adl")),
    fill_or_kill=True,
    backend_timeout_ns=10 * SECOND,
)
"""An instrument takes 60 orders, 60 amends and 60 cancels in 2 s."""
TIMER_NS: Final = 30 * SECOND
"""``cancel-all-after``: 10 to 120 s."""
WS_PATH: Final = "/ws/v5/private"


def adapter_of(setup: AdapterSetup) -> LiveAdapter:
    """The adapter that the configuration describes. Raises as ``okx_adapter``."""
    section = setup.config.venues[setup.venue]
    return okx_adapter(
        setup,
        key_of(setup),
        rest_url=section.private_rest_url or "",
        ws_url=section.ws_api_url or "",
        public_url=section.ws_url or "",
        leverage=section.leverage,
        mode=section.margin_mode,
    )


def okx_adapter(
    setup: AdapterSetup,
    key: ApiKey,
    *,
    rest_url: str,
    ws_url: str,
    public_url: str = "",
    leverage: int = 1,
    mode: MarginMode = "isolated",
    renew_s: float = RENEW_S,
    watch: StreamWatch | None = None,
    timer_ns: int = TIMER_NS,
) -> LiveAdapter:
    """The adapter of one account.

    Args:
        setup: as the daemon gives it.
        key: of the account.
        rest_url: REST root.
        ws_url: private websocket, with its path or without.
        public_url: public websocket instead of the network's own, for the marks of perpetuals.
        leverage: of perpetuals, that every instrument is set to.
        mode: of perpetuals, in which every order is.
        renew_s: a connection is replaced after this long.
        watch: detects a mute stream.
        timer_ns: after which silence of ours the venue cancels our orders.

    Raises:
        BadInput: the key is another venue's or has no passphrase, an instrument is neither a spot pair
            nor a perpetual, both are traded, or an address is not permitted for keys.
    """
    require_key_of(setup.venue, key)
    now = setup.clock.now
    clock = VenueClock(now)
    tag = tag_of(setup.mark)
    dialect, budget = okx_dialect(
        setup.venue,
        setup.instruments,
        key,
        clock,
        now,
        rest_url=rest_url,
        ws_url=ws_url,
        tag=tag,
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
        # By tag it cancels our orders alone.
        timer=VenueTimer(
            scope="account", period_ns=timer_ns, requests=dialect, beside_foreign=bool(tag)
        ),
    )
    dialect.know(adapter.ids)
    if isinstance(dialect, SwapDialect):
        margin = SwapMargin(
            setup.venue,
            dialect.requests,
            setup.instruments,
            leverage=leverage,
            mode=mode,
            ask=dialect.ask,
        )
        public_url = public_url or HOSTS[setup.venue][key.network].ws_url
        dialect.margined(setup.venue, public_url, margin, adapter.report)
    return adapter


def okx_dialect(
    venue: str,
    instruments: Mapping[str, Instrument],
    key: ApiKey,
    clock: VenueClock,
    now: Callable[[], int],
    *,
    rest_url: str,
    ws_url: str,
    tag: str = "",
    mode: MarginMode = "isolated",
) -> tuple[OkxDialect, RequestBudget]:
    """The dialect and its rate limits. Arguments and errors as of ``okx_adapter``."""
    swaps = trades_swaps(venue, instruments)
    where = f"venues.{venue}"
    budget = RequestBudget(limits(instruments))
    signer = OkxSigner(key, clock)
    make = SwapDialect if swaps else OkxDialect
    dialect = make(
        url=with_path(ws_url, WS_PATH),
        where=where,
        instruments=instruments,
        requests=OkxRequests(instruments, tag=tag, mode=mode if swaps else CASH),
        signer=signer,
        clock=clock,
        budget=budget,
        rest=OkxRest(HttpClient(rest_url, f"{where}.private_rest_url"), signer),
        tag=tag,
        now=now,
    )
    return dialect, budget


def trades_swaps(venue: str, instruments: Mapping[str, Instrument]) -> bool:
    """Whether they are perpetuals instead of spot pairs. Raises BadInput for any other, and for both."""
    swaps = 0
    for symbol, each in instruments.items():
        swap = each.kind == "linear" and each.venue_symbol.endswith(f"-{SWAP}")
        if not swap and each.kind != "spot":
            raise BadInput(
                f"{symbol} is neither a spot pair nor a linear perpetual",
                where=f"venues.{venue}.symbols",
                allowed="spot pairs, such as BTC/USDT, or perpetuals, such as BTC/USDT:USDT",
                mend="remove it: other contracts of OKX are not traded live in this version",
            )
        swaps += swap
    if 0 < swaps < len(instruments):
        raise BadInput(
            "spot pairs and perpetuals are traded with one key",
            where=f"venues.{venue}.symbols",
            allowed="one of both kinds",
            mend="let another micro, with a key and an account of its own, trade the others",
        )
    return swaps > 0


def tag_of(mark: str) -> str:
    """The tag of this micro's orders on its account: up to 16 letters and digits; empty for none."""
    return f"sc{mark}" if mark else ""
