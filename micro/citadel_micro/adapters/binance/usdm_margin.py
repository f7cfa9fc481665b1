"""Modes, leverage and margin of a USD-M account: read, set as configured, and verified."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.binance.usdm_codes import ALREADY_SO, code_of, refusal
from citadel_micro.adapters.binance.usdm_messages import PositionRisk
from citadel_micro.adapters.binance.usdm_requests import simple
from citadel_micro.core.model.account_events import MarginTier
from citadel_micro.shell.venue.margin_settings import MarginSettings, Stated
from citadel_micro.shell.venue.outcomes import Answered
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from citadel_micro.adapters.binance.spot_session import SpotRest
    from citadel_micro.adapters.binance.usdm_requests import UsdmRequests
    from citadel_micro.core.model.account_events import MarginMode
    from citadel_micro.core.model.events import MarginTerms
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Request

T = TypeVar("T")
_MODES: Final[Mapping[str, MarginMode]] = {
    "ISOLATED": "isolated",
    "isolated": "isolated",
    "CROSSED": "cross",
    "cross": "cross",
}


class _Dual(msgspec.Struct, rename="camel"):
    dual_side_position: bool


class _Multi(msgspec.Struct, rename="camel"):
    multi_assets_margin: bool


class _Config(msgspec.Struct, rename="camel"):
    symbol: str
    margin_type: str
    leverage: int


class _Bracket(msgspec.Struct, rename="camel"):
    initial_leverage: int
    notional_cap: Decimal
    maint_margin_ratio: Decimal
    cum: Decimal


class _Brackets(msgspec.Struct):
    symbol: str
    brackets: list[_Bracket]


class UsdmMargin:
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
        requests: UsdmRequests,
        instruments: Mapping[str, Instrument],
        leverage: int,
        mode: MarginMode,
    ) -> None:
        self._venue = venue
        self._requests = requests
        self._instruments = instruments
        self._settings = MarginSettings(venue, leverage, mode)

    async def verified(self, rest: SpotRest) -> list[MarginTerms]:
        """Make every symbol's leverage and margin mode those configured, and read its brackets.

        Raises:
            PeerUnavailable: the venue does not answer.
            Refused: the account is in hedge mode; or, without a position, in multi-assets mode, or the venue
                refuses the settings.
        """
        dual = await _asked(rest, simple("positionSide", 30), _Dual)
        if dual.dual_side_position:
            raise Refused(
                f"{self._venue}: the account is in hedge mode, with a long and a short position of "
                "each symbol; set it to one-way mode"
            )
        multi = await _asked(rest, simple("multiAssets", 30), _Multi)
        wrong: Refused | None = None
        if multi.multi_assets_margin:
            wrong = Refused(
                f"{self._venue}: the account is in multi-assets mode, where other coins are margin; "
                "set it to single-asset mode"
            )
            if not await self._holds(rest, *self._instruments):
                raise wrong
        return [await self._terms(rest, symbol, wrong) for symbol in self._instruments]

    def changed(self, held: Iterable[PositionRisk]) -> str:
        """As ``MarginSettings.changed``; what others change, the stream tells."""
        amounts = {each.symbol: each.position_amt for each in held}
        return self._settings.changed(
            Stated(symbol, amounts.get(each.venue_symbol, Decimal(0)))
            for symbol, each in self._instruments.items()
        )

    async def _terms(self, rest: SpotRest, symbol: str, wrong: Refused | None) -> MarginTerms:
        """``wrong``: what is wrong with the account as a whole, in which there is a position."""
        try:
            if wrong is not None:
                raise wrong
            await self._settle(rest, symbol)
            self._settings.confirm(symbol)
        except Refused as error:
            told = await self._config(rest, symbol)
            mode = _MODES.get(told.margin_type)
            if mode is None or (wrong is None and not await self._holds(rest, symbol)):
                raise
            until = () if wrong is None else tuple(self._instruments)
            self._settings.adopt(symbol, Decimal(told.leverage), mode, error, until)
        request = self._requests.of_symbol("leverageBracket", symbol)
        rows = _brackets(bytes(await _asked(rest, request, msgspec.Raw)))
        name = self._instruments[symbol].venue_symbol
        brackets = next((row.brackets for row in rows if row.symbol == name), [])
        tiers = [
            MarginTier(each.notional_cap, each.initial_leverage, each.maint_margin_ratio, each.cum)
            for each in brackets
        ]
        if not tiers:
            # With none every entry would be refused until the next connection.
            raise PeerUnavailable(f"{self._venue} does not tell the tiers of {symbol}")
        return self._settings.terms(symbol, tiers)

    async def _settle(self, rest: SpotRest, symbol: str) -> None:
        """Make leverage and margin mode those configured. Raises as ``verified``."""
        leverage, mode = self._settings.leverage, self._settings.mode
        found = await self._config(rest, symbol)
        if _MODES.get(found.margin_type) != mode:
            kind = "ISOLATED" if mode == "isolated" else "CROSSED"
            request = self._requests.of_symbol("marginType", symbol, marginType=kind)
            await self._set(rest, request, f"{mode} margin of {symbol}")
        if found.leverage != leverage:
            request = self._requests.of_symbol("leverage", symbol, leverage=leverage)
            await self._set(rest, request, f"leverage {leverage} of {symbol}")
        told = await self._config(rest, symbol)
        if (_MODES.get(told.margin_type), told.leverage) != (mode, leverage):
            raise Refused(
                f"{self._venue}: {symbol} has {told.margin_type} margin and leverage "
                f"{told.leverage} after it was set to {mode} and {leverage}"
            )

    async def _holds(self, rest: SpotRest, *symbols: str) -> bool:
        """Whether the account has a position in any of them."""
        rows = await _asked(rest, self._requests.positions(), list[PositionRisk])
        names = {self._instruments[symbol].venue_symbol for symbol in symbols}
        return any(row.position_amt for row in rows if row.symbol in names)

    async def _config(self, rest: SpotRest, symbol: str) -> _Config:
        request = self._requests.of_symbol("symbolConfig", symbol, 5)
        rows = await _asked(rest, request, list[_Config])
        name = self._instruments[symbol].venue_symbol
        found = next((row for row in rows if row.symbol == name), None)
        if found is None:
            raise PeerUnavailable(f"{self._venue} says nothing of the settings of {symbol}")
        return found

    async def _set(self, rest: SpotRest, request: Request, what: str) -> None:
        """Change a setting; what it is afterwards is read again."""
        outcome = await rest.ask(request)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{request.method}: {outcome.reason}")
        refused = refusal(outcome)
        if refused is None or code_of(outcome) == ALREADY_SO:
            return
        if outcome.status >= 500 or refused.retry_after_s or refused.clock:  # noqa: PLR2004
            raise PeerUnavailable(f"{request.method}: {refused.text}")
        raise Refused(
            f"{self._venue} does not set {what}: {refused.text}; close the position and cancel the "
            "orders there, or configure what the account has"
        )


def _brackets(body: bytes) -> list[_Brackets]:
    """The venue documents two forms of the answer about one symbol."""
    try:
        if body.lstrip().startswith(b"["):
            return msgspec.json.decode(body, type=list[_Brackets])
        return [msgspec.json.decode(body, type=_Brackets)]
    except msgspec.MsgspecError as error:
        raise PeerUnavailable(f"leverageBracket: not as documented: {error}") from None


async def _asked(rest: SpotRest, request: Request, kind: type[T]) -> T:
    outcome = await rest.ask(request)
    if not isinstance(outcome, Answered):
        raise PeerUnavailable(f"{request.method}: {outcome.reason}")
    refused = refusal(outcome)
    if refused is not None:
        if refused.key:
            raise Refused(f"the venue refuses the key: {refused.text}")
        raise PeerUnavailable(f"{request.method}: {refused.text}")
    try:
        return msgspec.json.decode(outcome.body, type=kind)
    except msgspec.MsgspecError as error:
        raise PeerUnavailable(f"{request.method}: not as documented: {error}") from None
