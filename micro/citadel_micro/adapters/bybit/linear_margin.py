"""Margin mode, leverage, tiers and positions of a unified account at Bybit, read and verified.

The margin mode is the whole account's, so it is not changed here: it would change other clients'
positions. Leverage is a symbol's, and is set as configured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.bybit.codes import code_of, refusal
from citadel_micro.adapters.bybit.messages import number
from citadel_micro.adapters.bybit.search import asked
from citadel_micro.adapters.bybit.session import CHECK
from citadel_micro.core.model.account_events import MarginTier
from citadel_micro.shell.venue.dialect import Unclear
from citadel_micro.shell.venue.margin_settings import MarginSettings, Stated
from citadel_micro.shell.venue.outcomes import Answered, Fate
from citadel_proto.errors import PeerUnavailable, Refused, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from citadel_micro.adapters.bybit.requests import BybitRequests
    from citadel_micro.adapters.bybit.session import BybitRest
    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.core.model.events import MarginTerms
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Request

T = TypeVar("T")
UNCHANGED: Final = 110043
"""The leverage is what was asked for."""
MODES: Final[Mapping[str, MarginMode]] = {
    "ISOLATED_MARGIN": "isolated",
    "REGULAR_MARGIN": "cross",
}
"""The account's; portfolio margin is neither."""


class Position(msgspec.Struct, rename="camel"):
    """A position, flat or not. Numbers are texts, and empty where they do not apply."""

    symbol: str
    side: str
    size: str
    leverage: str
    position_idx: int = 0
    position_balance: str = "0"
    """Margin of an isolated one."""
    updated_time: str = "0"

    @property
    def amount(self) -> Decimal:
        """Signed quantity. Raises VenueViolation."""
        size = number(self.size)
        if size and self.side not in {"Buy", "Sell"}:
            raise VenueViolation(f"a position of {self.size} on side {self.side!r}")
        return -size if self.side == "Sell" else size


class Positions(msgspec.Struct):
    """``/v5/position/list``."""

    rows: list[Position] = msgspec.field(name="list")


class _Account(msgspec.Struct, rename="camel"):
    margin_mode: str


class _Tier(msgspec.Struct, rename="camel"):
    risk_limit_value: str
    maintenance_margin: str
    max_leverage: str
    mm_deduction: str = ""


class _Tiers(msgspec.Struct):
    rows: list[_Tier] = msgspec.field(name="list")


class LinearMargin:
    """The settings that an account must have before the first order.

    Args:
        venue: id.
        requests: builds requests.
        instruments: by unified symbol.
        leverage: as configured.
        mode: as configured.
    """

    def __init__(
        self,
        venue: str,
        requests: BybitRequests,
        instruments: Mapping[str, Instrument],
        leverage: int,
        mode: MarginMode,
    ) -> None:
        self._venue = venue
        self._requests = requests
        self._instruments = instruments
        self._settings = MarginSettings(venue, leverage, mode)

    async def verified(self, rest: BybitRest) -> list[MarginTerms]:
        """Verify the account's margin mode, set every symbol's leverage, and read its tiers.

        Raises:
            PeerUnavailable: the venue does not answer.
            Refused: the account is in hedge or portfolio mode; or, without a position, in another margin
                mode, or the venue refuses the leverage.
        """
        account = await self._get(rest, CHECK, _Account)
        mode = MODES.get(account.margin_mode)
        wrong: Refused | None = None
        if mode != self._settings.mode:
            wrong = Refused(
                f"{self._venue}: the account's margin mode is {account.margin_mode}, and margin_mode is "
                f"{self._settings.mode}; it is one for the whole account: set it on the venue's website, "
                "or configure what the account has"
            )
            positions = [await self._position(rest, symbol) for symbol in self._instruments]
            if mode is None or not any(each.amount for each in positions):
                raise wrong
        return [await self._terms(rest, each, mode, wrong) for each in self._instruments]

    def changed(self, held: Mapping[str, Position]) -> str:
        """As ``MarginSettings.changed``. Raises VenueViolation."""
        return self._settings.changed(
            Stated(symbol, each.amount, number(each.leverage) or None)
            for symbol, each in held.items()
        )

    async def _terms(
        self, rest: BybitRest, symbol: str, mode: MarginMode | None, wrong: Refused | None
    ) -> MarginTerms:
        """``mode``: the account's; ``wrong``: that it is not the configured one, and there is a position."""
        leverage = self._settings.leverage
        error: Refused | None = None
        told = await self._position(rest, symbol)
        if number(told.leverage) != leverage:
            try:
                await self._set_leverage(rest, symbol)
            except Refused as refused:
                error = refused
            told = await self._position(rest, symbol)
        if wrong is not None and mode is not None:
            now = number(told.leverage)
            self._settings.adopt(symbol, now, mode, wrong, self._instruments)
        elif number(told.leverage) == leverage:
            self._settings.confirm(symbol)
        else:
            text = f"{self._venue}: {symbol} has leverage {told.leverage} after it was set to {leverage}"
            error = error or Refused(text)
            if not told.amount:
                raise error
            self._settings.adopt(symbol, number(told.leverage), self._settings.mode, error)
        tiers = await self._get(rest, self._requests.of_symbol("tiers", symbol), _Tiers)
        try:
            read = [
                MarginTier(
                    number(row.risk_limit_value),
                    int(number(row.max_leverage)),
                    number(row.maintenance_margin),
                    number(row.mm_deduction),
                )
                for row in tiers.rows
            ]
        except VenueViolation as error:
            raise PeerUnavailable(f"{symbol}: the tiers of margin: {error}") from None
        if not read:
            # With none every entry would be refused until the next connection.
            raise PeerUnavailable(f"{self._venue} does not tell the tiers of {symbol}")
        return self._settings.terms(symbol, read)

    async def _position(self, rest: BybitRest, symbol: str) -> Position:
        """Raises Refused in hedge mode, too."""
        held = await self._get(rest, self._requests.of_symbol("positions", symbol), Positions)
        if any(row.position_idx for row in held.rows):
            raise Refused(
                f"{self._venue}: {symbol} is in hedge mode, with a long and a short position; set it to "
                "one-way mode"
            )
        if not held.rows:
            raise PeerUnavailable(f"{self._venue} says nothing of the leverage of {symbol}")
        return held.rows[0]

    async def _set_leverage(self, rest: BybitRest, symbol: str) -> None:
        """Set it; what it is afterwards is read again."""
        text = str(self._settings.leverage)
        request = self._requests.of_symbol("leverage", symbol, buyLeverage=text, sellLeverage=text)
        outcome = await rest.ask(request)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"leverage: {outcome.reason}")
        refused = refusal(outcome)
        if refused is None or code_of(outcome) == UNCHANGED:
            return
        if refused.fate is Fate.WAIT or refused.clock:
            raise PeerUnavailable(f"leverage: {refused.text}")
        raise Refused(
            f"{self._venue} does not set leverage {text} of {symbol}: {refused.text}; configure what "
            "the account has"
        )

    async def _get(self, rest: BybitRest, request: Request, kind: type[T]) -> T:
        found = await asked(rest.ask, request, kind)
        if not isinstance(found, Unclear):
            return found
        if found.refusal is not None and found.refusal.key:
            raise Refused(f"the venue refuses the key: {found.refusal.text}")
        raise PeerUnavailable(found.text)
