"""Perpetuals as Hyperliquid lists them, and leverage and margin of the account: set, and verified."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
import structlog

from citadel_micro.adapters.hyperliquid.messages import Clearing, Leverage
from citadel_micro.adapters.hyperliquid.requests import query
from citadel_micro.adapters.hyperliquid.session import RejectedByVenue
from citadel_micro.core.model.account_events import MarginTier
from citadel_micro.shell.venue.margin_settings import MarginSettings, Stated
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.adapters.hyperliquid.messages import Position
    from citadel_micro.adapters.hyperliquid.requests import HyperRequests
    from citadel_micro.adapters.hyperliquid.session import HyperSession
    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.core.model.events import MarginTerms
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Request

log: Final = structlog.get_logger("venue")
T = TypeVar("T")
NO_CAP: Final = Decimal(10) ** 12
"""In place of the largest notional of the last tier, which the venue does not limit."""
LISTED_NS: Final = 600_000_000_000
"""How long the venue's list of perpetuals is good for; their numbers never change."""
GOOD_NS: Final = 600_000_000_000
"""How long confirmed settings are; those of a position are compared by each survey besides."""
SETTLING: Final = 63
"""What to ask and set of one perpetual weighs at most."""
MODES: Final[Mapping[str, MarginMode]] = {"cross": "cross", "isolated": "isolated"}
UNIFIED: Final = frozenset({"unifiedAccount", "portfolioMargin"})
"""Kinds of account whose spot coins are margin, too."""
_ZERO: Final = Decimal(0)


class Listed(msgspec.Struct, rename="camel"):
    """A perpetual in the venue's list; its place there is its number in orders."""

    name: str
    sz_decimals: int
    max_leverage: int
    margin_table_id: int = 0
    is_delisted: bool = False


class _Tier(msgspec.Struct, rename="camel"):
    lower_bound: Decimal
    max_leverage: int


class _Table(msgspec.Struct, rename="camel"):
    margin_tiers: list[_Tier]


class Meta(msgspec.Struct, rename="camel"):
    """``meta``: all perpetuals and their margin tables."""

    universe: list[Listed]
    margin_tables: list[tuple[int, _Table]] = []

    def tiers(self, listed: Listed) -> tuple[MarginTier, ...]:
        """The tiers of a perpetual, by rising notional.

        The maintenance margin is half of the initial margin at the tier's largest leverage; what is
        subtracted keeps it from jumping between tiers (page "Margin tiers").
        """
        tables = dict(self.margin_tables)
        table = tables.get(listed.margin_table_id)
        rows = [_Tier(_ZERO, listed.max_leverage)] if table is None else table.margin_tiers
        made: list[MarginTier] = []
        less = last = _ZERO
        for place, row in enumerate(rows):
            rate = Decimal(1) / (2 * row.max_leverage)
            less += row.lower_bound * (rate - last)
            last = rate
            cap = rows[place + 1].lower_bound if place + 1 < len(rows) else NO_CAP
            made.append(MarginTier(cap, row.max_leverage, rate, less))
        return tuple(made)


class _Active(msgspec.Struct):
    leverage: Leverage


class HyperMargin:
    """The settings that an account must have before the first order.

    Args:
        venue: id.
        requests: builds requests; is told the numbers of the perpetuals.
        instruments: by unified symbol.
        leverage: as configured.
        mode: as configured.
        now: engine time in ns.
    """

    def __init__(
        self,
        venue: str,
        requests: HyperRequests,
        instruments: Mapping[str, Instrument],
        leverage: int,
        mode: MarginMode,
        *,
        now: Callable[[], int],
    ) -> None:
        self._now = now
        self._meta: tuple[int, Meta] | None = None
        """When it was read, and what it said."""
        self._venue = venue
        self._requests = requests
        self._instruments = instruments
        self._settings = MarginSettings(venue, leverage, mode)
        self._good_ns: dict[str, int] = {}
        """By symbol, when the venue has confirmed that it is as configured."""
        self._asking = asyncio.Lock()

    async def listed(self, wire: HyperSession) -> Meta:
        """The venue's list, read when that is some time ago. Raises PeerUnavailable."""
        async with self._asking:  # both connections open at the same time
            return await self._listed(wire)

    async def _listed(self, wire: HyperSession) -> Meta:
        known, now_ns = self._meta, self._now()
        if known is not None and 0 <= now_ns - known[0] < LISTED_NS:
            return known[1]
        meta = await asked(wire, query("meta", purpose="upkeep"), Meta)
        self._requests.assets = {each.name: number for number, each in enumerate(meta.universe)}
        self._meta = now_ns, meta
        return meta

    async def verified(self, wire: HyperSession) -> list[MarginTerms]:
        """Make every perpetual's leverage and margin mode those configured.

        What was confirmed lately is not asked again: of sixty perpetuals that takes all that an address may
        ask in a minute, and the next connection goes on where this one had to stop.

        Raises:
            PeerUnavailable: the venue does not answer, or its limits are reached.
            Refused: the account's coins are margin, or the venue refuses the settings of a perpetual
                without a position.
        """
        kind = await asked(wire, self._requests.of_user("userAbstraction", "upkeep"), str)
        if kind in UNIFIED:
            raise Refused(
                f"{self._venue}: the account is of the kind {kind}, where spot coins are margin; "
                "set it to the standard kind on the venue's page"
            )
        meta = await self.listed(wire)
        by_name = {each.name: each for each in meta.universe}
        terms: list[MarginTerms] = []
        for symbol, rules in self._instruments.items():
            listed = by_name.get(rules.venue_symbol)
            if listed is None or listed.is_delisted:
                # No terms, no entries; but stops of the others must not wait for a person.
                log.error("not listed any more", venue=self._venue, symbol=symbol)
                continue
            await self._verify(wire, symbol)
            terms.append(self._settings.terms(symbol, meta.tiers(listed)))
        if not terms:
            names = ", ".join(self._instruments)
            raise Refused(f"{self._venue} does not list {names} (any more)")
        return terms

    async def _verify(self, wire: HyperSession, symbol: str) -> None:
        good_ns = self._good_ns.get(symbol)
        if good_ns is not None and 0 <= self._now() - good_ns < GOOD_NS:
            return
        wire.afford(SETTLING)
        try:
            await self._settle(wire, symbol)
            self._settings.confirm(symbol)
            self._good_ns[symbol] = self._now()
        except Refused as error:
            kind_now, leverage = await self._set_now(wire, symbol)
            mode = MODES.get(kind_now)
            if mode is None or not await self._holds(wire, symbol):
                raise
            self._settings.adopt(symbol, Decimal(leverage), mode, error)

    def changed(self, held: Mapping[str, Position]) -> str:
        """As ``MarginSettings.changed``; of perpetuals without a position nothing is told."""
        why = self._settings.changed(
            Stated(symbol, each.szi, Decimal(each.leverage.value), each.leverage.type)
            if (each := held.get(symbol)) is not None
            else Stated(symbol, _ZERO)
            for symbol in self._instruments
        )
        if why:
            self._good_ns.clear()
        return why

    async def _holds(self, wire: HyperSession, symbol: str) -> bool:
        """Whether the account has a position."""
        state = await asked(wire, self._requests.of_user("clearinghouseState", "upkeep"), Clearing)
        coin = self._instruments[symbol].venue_symbol
        return any(
            each.position.szi for each in state.asset_positions if each.position.coin == coin
        )

    async def _settle(self, wire: HyperSession, symbol: str) -> None:
        """Make leverage and margin mode those configured. Raises as ``verified``."""
        leverage, mode = self._settings.leverage, self._settings.mode
        wanted = (mode, leverage)
        if await self._set_now(wire, symbol) == wanted:
            return
        try:
            await wire.must(self._requests.leverage(symbol, leverage, cross=mode == "cross"))
        except RejectedByVenue as error:
            raise Refused(
                f"{self._venue} does not set {symbol} to {mode} margin and leverage "
                f"{leverage}: {error}"
            ) from None
        found = await self._set_now(wire, symbol)
        if found != wanted:
            raise Refused(
                f"{self._venue}: {symbol} has {found[0]} margin and leverage {found[1]} after it was "
                f"set to {mode} and {leverage}"
            )

    async def _set_now(self, wire: HyperSession, symbol: str) -> tuple[str, int]:
        coin = self._instruments[symbol].venue_symbol
        request = self._requests.of_user("activeAssetData", "upkeep", coin=coin)
        told = (await asked(wire, request, _Active)).leverage
        return told.type, told.value


async def asked(wire: HyperSession, request: Request, kind: type[T]) -> T:
    """The answer to a query. Raises as ``HyperSession.must``."""
    try:
        return msgspec.json.decode(await wire.must(request), type=kind)
    except msgspec.MsgspecError as error:
        raise PeerUnavailable(f"{request.method}: not as documented: {error}") from None
