"""Leverage, tiers of margin and positions of an account's perpetuals at OKX, read and verified.

The margin mode is that of each order (``tdMode``), so it is not a setting. Leverage is an instrument's
in that mode, and is set as configured. Tiers are of a position's size in contracts: as notional they
are right at the mark price of now, and are read anew with every connection. The venue's maintenance
margin is the tier's rate of the whole position.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.okx.codes import refusal
from citadel_micro.adapters.okx.messages import amount
from citadel_micro.adapters.okx.requests import MOST_FAMILIES, MOST_INSTRUMENTS
from citadel_micro.adapters.okx.search import asked
from citadel_micro.core.model.account_events import MarginTier
from citadel_micro.shell.venue.asking import in_parts
from citadel_micro.shell.venue.dialect import Unclear
from citadel_micro.shell.venue.margin_settings import MarginSettings, Stated
from citadel_micro.shell.venue.outcomes import Answered, Fate
from citadel_proto.errors import PeerUnavailable, Refused, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from citadel_micro.adapters.okx.requests import OkxRequests
    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.core.model.events import MarginTerms
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Ask, Request

T = TypeVar("T")
NET: Final = "net_mode"
"""``posMode`` in which a symbol has one position."""
TRIES: Final = 5
BUSY_S: Final = 1.0
"""After a rate limit, of which the longest window is 2 s."""


class PositionRow(msgspec.Struct):
    """A position. Numbers are texts, and empty where they do not apply."""

    instId: str  # noqa: N815 - the venue's names, here and below
    pos: str
    posSide: str = "net"  # noqa: N815
    margin: str = ""
    """Of an isolated one."""
    uTime: str = "0"  # noqa: N815


class _Leverage(msgspec.Struct):
    instId: str  # noqa: N815
    lever: str
    posSide: str = "net"  # noqa: N815


class _Tier(msgspec.Struct):
    instFamily: str  # noqa: N815
    maxSz: str  # noqa: N815
    mmr: str
    maxLever: str  # noqa: N815


class _Mark(msgspec.Struct):
    instId: str  # noqa: N815
    markPx: str  # noqa: N815


class SwapMargin:
    """The settings that an account must have before the first order.

    Args:
        venue: id.
        requests: builds requests.
        instruments: by unified symbol.
        leverage: as configured.
        mode: as configured.
        ask: sends a request.
    """

    def __init__(
        self,
        venue: str,
        requests: OkxRequests,
        instruments: Mapping[str, Instrument],
        *,
        leverage: int,
        mode: MarginMode,
        ask: Ask,
    ) -> None:
        self._venue = venue
        self._requests = requests
        self._instruments = instruments
        self._settings = MarginSettings(venue, leverage, mode)
        self._ask = ask

    async def verified(self) -> list[MarginTerms]:
        """Set the leverage of every instrument where it is another, and read its tiers.

        Raises:
            PeerUnavailable: the venue does not answer.
            Refused: it does not set the leverage of an instrument without a position.
        """
        leverage, mode = self._settings.leverage, self._settings.mode
        refused: dict[str, Refused] = {}
        for symbol, told in (await self._leverages()).items():
            if told != leverage:
                try:
                    await self._set(symbol)
                except Refused as error:
                    refused[symbol] = error
        for symbol, told in (await self._leverages()).items():
            if told == leverage:
                self._settings.confirm(symbol)
                continue
            text = f"{self._venue}: {symbol} has leverage {told} after it was set to {leverage}"
            why = refused.get(symbol) or Refused(text)
            if not await self._holds(symbol):
                raise why
            self._settings.adopt(symbol, told, mode, why)
        marks = {row.instId: row.markPx for row in await self._get(self._requests.marks(), _Mark)}
        tiers: list[_Tier] = []
        families = [_family(each) for each in self._instruments.values()]
        for some in in_parts(families, MOST_FAMILIES):
            tiers += await self._get(self._requests.tiers(some), _Tier)
        return [self._terms(each, tiers, marks) for each in self._instruments.values()]

    def _terms(
        self, rules: Instrument, tiers: Sequence[_Tier], marks: Mapping[str, str]
    ) -> MarginTerms:
        mine = [row for row in tiers if row.instFamily == _family(rules)]
        try:
            worth = amount(marks.get(rules.venue_symbol, "")) * rules.contract_size
            read = [
                MarginTier(
                    amount(row.maxSz) * worth,
                    int(amount(row.maxLever)),
                    amount(row.mmr),
                    Decimal(0),
                )
                for row in mine
            ]
        except VenueViolation as error:
            raise PeerUnavailable(f"{rules.symbol}: the tiers of margin: {error}") from None
        if not worth or not read:
            raise PeerUnavailable(f"{self._venue} does not tell the tiers of {rules.symbol}")
        return self._settings.terms(rules.symbol, read)

    async def changed(self, ask: Ask, quantities: Mapping[str, Decimal]) -> str | Unclear:
        """As ``MarginSettings.changed``, of these positions: nobody tells when another sets a leverage."""
        stated: list[Stated] = []
        names = {each.venue_symbol: symbol for symbol, each in self._instruments.items()}
        for some in in_parts(list(self._instruments), MOST_INSTRUMENTS):
            rows = await asked(ask, self._requests.leverages(some), _Leverage)
            if isinstance(rows, Unclear):
                return rows
            stated += [
                Stated(symbol, quantities.get(symbol, Decimal(0)), amount(row.lever) or None)
                for row in rows
                if (symbol := names.get(row.instId)) is not None
            ]
        return self._settings.changed(stated)

    async def _holds(self, symbol: str) -> bool:
        """Whether the account has a position."""
        name = self._instruments[symbol].venue_symbol
        rows = await self._get(self._requests.positions(), PositionRow)
        return any(amount(row.pos) for row in rows if row.instId == name)

    async def _leverages(self) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        names = {each.venue_symbol: symbol for symbol, each in self._instruments.items()}
        for some in in_parts(list(self._instruments), MOST_INSTRUMENTS):
            for row in await self._get(self._requests.leverages(some), _Leverage):
                if row.posSide != "net":
                    raise Refused(hedged(self._venue))
                if row.instId in names:
                    found[names[row.instId]] = amount(row.lever)
        for symbol in self._instruments:
            if symbol not in found:
                raise PeerUnavailable(f"{self._venue} says nothing of the leverage of {symbol}")
        return found

    async def _set(self, symbol: str) -> None:
        leverage = self._settings.leverage
        outcome = await self._ask(self._requests.set_leverage(symbol, leverage))
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"leverage: {outcome.reason}")
        refused = refusal(outcome)
        if refused is None:
            return
        if refused.fate is not Fate.REFUSED or refused.clock:
            raise PeerUnavailable(f"leverage: {refused.text}")
        raise Refused(
            f"{self._venue} does not set leverage {leverage} of {symbol}: {refused.text}; "
            "configure what the account has"
        )

    async def _get(self, request: Request, kind: type[T]) -> list[T]:
        found = await asked(self._ask, request, kind)
        for _ in range(TRIES - 1):
            if not _waits(found):
                break
            await asyncio.sleep(BUSY_S)
            found = await asked(self._ask, request, kind)
        if not isinstance(found, Unclear):
            return found
        if found.refusal is not None and found.refusal.key:
            raise Refused(f"the venue refuses the key: {found.refusal.text}")
        raise PeerUnavailable(f"{request.method}: {found.text}")


def hedged(venue: str) -> str:
    """Why an account in long/short mode is not traded on."""
    return (
        f"{venue}: the account is in long/short mode, with two positions of one symbol; close all, and "
        "set it to net mode"
    )


def _waits(found: object) -> bool:
    refused = found.refusal if isinstance(found, Unclear) else None
    return refused is not None and refused.fate is Fate.WAIT


def _family(rules: Instrument) -> str:
    return f"{rules.base}-{rules.quote}"
