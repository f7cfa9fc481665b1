"""Orders to real venues, and to simulators of their private protocols: mode ``live``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TYPE_CHECKING, Final

from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.shell.account_facts import AccountInspector
from citadel_micro.shell.marketdata.generic import is_generic
from citadel_micro.shell.marketdata.spec import PREFIX
from citadel_micro.shell.order_adapter import AdapterSetup, OrderAdapter
from citadel_micro.shell.venue.cancel_desk import CancelAccount, CancelDesk
from citadel_micro.shell.venue.order_ids import saved_symbols
from citadel_proto.errors import BadInput, InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVenue:
    """One venue that orders can be sent to."""

    abilities: VenueAbilities
    adapter_of: Callable[[AdapterSetup], OrderAdapter]
    inspector: AccountInspector
    cancel_desk: Callable[[CancelAccount], CancelDesk] | None = None
    """For the watchdog; None for a venue that it cannot cancel at yet."""
    on_demand: bool = False
    """Hundreds of pairs may be named of which few are traded: nothing has to be set, armed or queried
    for each before the first order."""


# The code of a venue is read when its first order adapter is made, at the start of a run: each has some
# megabytes of it, with what it signs by, and a run trades at one or two.


def _binance_spot() -> LiveVenue:
    from citadel_micro.adapters.binance import orders  # noqa: PLC0415 - as above
    from citadel_micro.adapters.binance.account_facts import SpotInspector  # noqa: PLC0415
    from citadel_micro.adapters.binance.cancel_desk import SpotCancelDesk  # noqa: PLC0415

    return LiveVenue(
        abilities=orders.ABILITIES,
        adapter_of=orders.adapter_of,
        inspector=SpotInspector(),
        cancel_desk=SpotCancelDesk,
        on_demand=True,
    )


def _binance_usdm() -> LiveVenue:
    from citadel_micro.adapters.binance import usdm_orders as orders  # noqa: PLC0415 - as above
    from citadel_micro.adapters.binance.usdm_account_facts import UsdmInspector  # noqa: PLC0415
    from citadel_micro.adapters.binance.usdm_cancel_desk import UsdmCancelDesk  # noqa: PLC0415

    return LiveVenue(
        abilities=orders.ABILITIES,
        adapter_of=orders.adapter_of,
        inspector=UsdmInspector(),
        cancel_desk=UsdmCancelDesk,
    )


def _bybit(*, linear: bool) -> LiveVenue:
    from citadel_micro.adapters.bybit import orders  # noqa: PLC0415 - as above
    from citadel_micro.adapters.bybit.account_facts import BybitInspector  # noqa: PLC0415
    from citadel_micro.adapters.bybit.cancel_desk import BybitCancelDesk  # noqa: PLC0415

    return LiveVenue(
        abilities=orders.LINEAR_ABILITIES if linear else orders.ABILITIES,
        adapter_of=orders.adapter_of,
        inspector=BybitInspector(),
        cancel_desk=BybitCancelDesk,
    )


def _hyperliquid() -> LiveVenue:
    from citadel_micro.adapters.hyperliquid import orders  # noqa: PLC0415 - as above
    from citadel_micro.adapters.hyperliquid.account_facts import HyperInspector  # noqa: PLC0415
    from citadel_micro.adapters.hyperliquid.cancel_desk import HyperCancelDesk  # noqa: PLC0415

    return LiveVenue(
        abilities=orders.ABILITIES,
        adapter_of=orders.adapter_of,
        inspector=HyperInspector(),
        cancel_desk=HyperCancelDesk,
    )


def _kraken() -> LiveVenue:
    from citadel_micro.adapters.kraken import orders  # noqa: PLC0415 - as above
    from citadel_micro.adapters.kraken.account_facts import KrakenInspector  # noqa: PLC0415
    from citadel_micro.adapters.kraken.cancel_desk import KrakenCancelDesk  # noqa: PLC0415

    return LiveVenue(
        abilities=orders.ABILITIES,
        adapter_of=orders.adapter_of,
        inspector=KrakenInspector(),
        cancel_desk=KrakenCancelDesk,
        on_demand=True,
    )


def _okx() -> LiveVenue:
    from citadel_micro.adapters.okx import orders  # noqa: PLC0415 - as above
    from citadel_micro.adapters.okx.account_facts import OkxInspector  # noqa: PLC0415
    from citadel_micro.adapters.okx.cancel_desk import OkxCancelDesk  # noqa: PLC0415

    return LiveVenue(
        abilities=orders.ABILITIES,
        adapter_of=orders.adapter_of,
        inspector=OkxInspector(),
        cancel_desk=OkxCancelDesk,
    )


def _generic(venue: str) -> LiveVenue:
    from citadel_micro.adapters.ccxt import orders  # noqa: PLC0415 - as above
    from citadel_micro.adapters.ccxt.account import CcxtCancelDesk, CcxtInspector  # noqa: PLC0415

    return LiveVenue(
        abilities=orders.abilities(venue),
        adapter_of=orders.adapter_of,
        inspector=CcxtInspector(),
        cancel_desk=CcxtCancelDesk,
    )


VENUES: Final[Mapping[str, Callable[[], LiveVenue]]] = {
    "binance-spot": _binance_spot,
    "binance-usdm": _binance_usdm,
    "bybit-spot": partial(_bybit, linear=False),
    "bybit-linear": partial(_bybit, linear=True),
    "hyperliquid": _hyperliquid,
    "kraken-spot": _kraken,
    "okx": _okx,
}
"""By venue id."""


def with_on_demand() -> tuple[str, ...]:
    """Venues where pairs may be followed on demand."""
    return tuple(name for name, its in VENUES.items() if its().on_demand)


def cancel_desk(account: CancelAccount) -> CancelDesk:
    """What cancels on one account. Raises BadInput for a venue without."""
    venue = account.key.venue
    make = _of(venue).cancel_desk
    if make is None:
        raise BadInput(
            f"no watchdog cancels at {venue} in this version",
            where=f"venues.{venue}",
            allowed=", ".join(name for name, its in VENUES.items() if its().cancel_desk),
        )
    return make(account)


class LiveOrders:
    """Makes the adapters of live venues: as ``shell.order_adapter.OrderAdapters``."""

    account = ""

    def abilities(self, venue: str) -> VenueAbilities:
        """What the venue can do. Raises BadInput for one that there is no adapter of."""
        return _of(venue).abilities

    def inspector(self, venue: str) -> AccountInspector:
        """Who asks it before the first order. Raises as ``abilities``."""
        return _of(venue).inspector

    def on_demand(self, venue: str) -> bool:
        """Whether pairs there may be followed on demand. Raises as ``abilities``."""
        return _of(venue).on_demand

    def saved_symbols(self, saved: Mapping[str, object]) -> Iterable[str]:
        """Unified symbols of the orders in what was saved."""
        return saved_symbols(saved)

    def make(self, setup: AdapterSetup) -> OrderAdapter:
        """The adapter of one venue."""
        if setup.key is None:
            raise InvariantError(f"{setup.venue}: a live venue without its key")
        return _of(setup.venue).adapter_of(setup)


@cache
def _of(venue: str) -> LiveVenue:
    if is_generic(venue):
        return _generic(venue)
    found = VENUES.get(venue)
    if found is None:
        raise BadInput(
            f"no orders can be sent to {venue} in this version",
            where=f"venues.{venue}",
            allowed=f"{', '.join(VENUES)}, and unverified: {PREFIX}<exchange>",
            mend='trade on one of these, or on paper with mode = "paper"',
        )
    return found()
