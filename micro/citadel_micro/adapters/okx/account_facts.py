"""Queries OKX about an account, its key and its instruments, over REST; reads only."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from citadel_micro.adapters.okx.codes import refusal
from citadel_micro.adapters.okx.dialect import why_not
from citadel_micro.adapters.okx.messages import AccountRow, ConfigRow, OrderRow, amount
from citadel_micro.adapters.okx.orders import trades_swaps
from citadel_micro.adapters.okx.requests import (
    CASH,
    CONFIG,
    PER_INSTRUMENT,
    TIME,
    OkxRequests,
    OkxSigner,
    simple,
)
from citadel_micro.adapters.okx.session import OkxRest
from citadel_micro.adapters.okx.swap_dialect import FUTURES
from citadel_micro.adapters.okx.swap_dialect import why_not as swaps_why_not
from citadel_micro.adapters.okx.swap_margin import NET
from citadel_micro.adapters.okx.trial_desk import OkxTrialDesk
from citadel_micro.core.model.time_units import MS
from citadel_micro.shell.account_facts import AccountFacts, KeyRights, RateLimit, SymbolFacts
from citadel_micro.shell.venue.addresses import address_of
from citadel_micro.shell.venue.http_client import HttpClient
from citadel_micro.shell.venue.outcomes import Answered, Fate
from citadel_micro.shell.venue.query_errors import accept
from citadel_micro.shell.venue.venue_clock import VenueClock
from citadel_proto.errors import (
    BadInput,
    PeerUnavailable,
    VenueViolation,
)

if TYPE_CHECKING:
    from citadel_micro.shell.account_facts import AccountQuery
    from citadel_micro.shell.venue.dialect import Request

T = TypeVar("T")
CLOCK_SAMPLES: Final = 3
"""An address may ask for the time 10 times in 2 s, and the connections ask as well."""
TRIES: Final = 3
BUSY_S: Final = 1.0
"""After a rate limit, of which the longest window is 2 s: what is asked here only reads."""
_SERVER: Final = 500


class _Envelope(msgspec.Struct):
    data: msgspec.Raw = msgspec.Raw(b"[]")


class _Time(msgspec.Struct):
    ts: str


class _Fee(msgspec.Struct):
    maker: str
    taker: str
    makerU: str = ""  # noqa: N815 - the venue's names, here and below
    """Of contracts of USDT, where it has a fee of its own."""
    takerU: str = ""  # noqa: N815


class InstrumentRow(msgspec.Struct, kw_only=True):
    """One of ``public/instruments``."""

    instId: str  # noqa: N815 - the venue's names, here and below
    state: str
    tickSz: str = ""  # noqa: N815
    lotSz: str = ""  # noqa: N815
    minSz: str = ""  # noqa: N815
    maxLmtSz: str = ""  # noqa: N815

    def facts(self, fee: _Fee | None) -> SymbolFacts:
        """As this account may trade it. The venue's fees are negative where they are paid."""
        live = self.state == "live"
        shown = {
            "tick": self.tickSz,
            "lot": self.lotSz,
            "quantity": f"{self.minSz} to {self.maxLmtSz}",
        }
        return SymbolFacts(
            status=self.state,
            tradable=live,
            why_not="" if live else f"its state is {self.state}",
            tick=amount(self.tickSz) or None,
            lot=amount(self.lotSz) or None,
            min_notional=Decimal(0),
            maker_fee=None if fee is None else -amount(fee.makerU or fee.maker),
            taker_fee=None if fee is None else -amount(fee.takerU or fee.taker),
            filters=shown,
        )


class OkxInspector:
    """As ``shell.account_facts.AccountInspector``."""

    async def facts(self, query: AccountQuery) -> AccountFacts:
        """See ``OkxFacts``."""
        return await OkxFacts(query).facts()

    async def trial_desk(self, query: AccountQuery) -> OkxTrialDesk:
        """See ``OkxTrialDesk``."""
        desk = OkxTrialDesk(query)
        await desk.open()
        return desk


class OkxFacts:
    """The queries about one account.

    Args:
        query: the account, and what to query.
    """

    def __init__(self, query: AccountQuery) -> None:
        root = address_of(query, "private_rest_url")
        self._query = query
        self._root = root
        self._clock = VenueClock(query.now)
        self._swaps = trades_swaps(query.venue, query.instruments)
        mode = query.section.margin_mode if self._swaps else CASH
        self._requests = OkxRequests(query.instruments, mode=mode)
        self._rest = OkxRest(
            HttpClient(root, f"venues.{query.venue}.private_rest_url"),
            OkxSigner(query.key, self._clock),
        )

    async def facts(self) -> AccountFacts:
        """Everything. Raises as ``AccountInspector.facts``."""
        try:
            for _ in range(CLOCK_SAMPLES):
                sent_ns = self._query.now()
                told = await self._one(TIME, _Time)
                self._clock.measured(sent_ns, int(amount(told.ts)) * MS)
            config = await self._one(CONFIG, ConfigRow)
            account = await self._one(self._requests.balance(), AccountRow)
            fee = await self._one(
                simple("account/trade-fee", "config", instType=self._requests.kind), _Fee
            )
            every = {}
            for symbol in self._query.instruments:
                found = await self._rows(self._requests.instrument(symbol), InstrumentRow)
                if found:
                    every[symbol] = found[0].facts(fee)
            orders = await self._rows(self._requests.pending(), OrderRow)
        finally:
            await self._rest.close()
        balances = {row.ccy: row.parts() for row in account.details}
        wrong = why_not(config)
        hedge = config.posMode != NET if self._swaps else None
        # The modes of several currencies are among the checks, with whatever else is wrong.
        if self._swaps and config.acctLv != FUTURES and not wrong:
            raise BadInput(
                swaps_why_not(config, self._query.venue),
                where=f"venues.{self._query.venue}",
                allowed="Futures mode, in which each currency is margin for its own contracts alone",
                mend="set the account mode on the venue's website, or trade spot pairs here",
            )
        return AccountFacts(
            account=config.uid,
            clock_offset_ns=self._clock.offset_ns,
            clock_error_ns=self._clock.error_ns,
            may_trade=True,
            rights=rights_of(config),
            symbols=every,
            balances={
                currency: (free, used)
                for currency, (_, free, used) in balances.items()
                if free or used
            },
            open_orders=len(orders),
            rate_limits=(
                RateLimit(name="orders per 2 s and instrument", limit=PER_INSTRUMENT),
                RateLimit(name="orders per 2 s of the account", limit=1_000),
            ),
            timer="account",
            hedge_mode=hedge,
            # An account that borrows is refused in either mode.
            multi_asset_mode=bool(wrong),
        )

    async def _one(self, request: Request, kind: type[T]) -> T:
        rows = await self._rows(request, kind)
        if len(rows) != 1:
            raise VenueViolation(f"{self._root} {request.method}: {len(rows)} rows instead of one")
        return rows[0]

    async def _rows(self, request: Request, kind: type[T]) -> list[T]:
        where = f"{self._root} {request.method}"
        outcome = await self._rest.ask(request)
        for _ in range(TRIES - 1):
            told = refusal(outcome) if isinstance(outcome, Answered) else None
            if told is None or told.fate is not Fate.WAIT:
                break
            await asyncio.sleep(BUSY_S)
            outcome = await self._rest.ask(request)
        if not isinstance(outcome, Answered):
            raise PeerUnavailable(f"{where}: {outcome.reason}")
        self._accept(where, outcome)
        try:
            envelope = msgspec.json.decode(outcome.body, type=_Envelope)
            rows: list[T] = msgspec.json.decode(envelope.data, type=list[kind])  # type: ignore[valid-type]
        except msgspec.MsgspecError as error:
            raise VenueViolation(f"{where}: not as documented: {error}") from None
        return rows

    def _accept(self, where: str, answer: Answered) -> None:
        """Return for a success; raise the error that the answer means."""
        refused = refusal(answer)
        accept(
            answer,
            refused,
            where=where,
            key=self._query.key,
            clock=self._clock,
            passes=refused is not None
            and (refused.fate is Fate.UNKNOWN or answer.status >= _SERVER),
            also=", and its passphrase",
            compare="id, secret and passphrase with the venue's page of API keys",
        )


def rights_of(config: ConfigRow) -> KeyRights:
    """What the key may do: of transfers the venue does not say it apart from trading."""
    allowed = config.perm.split(",") if config.perm else []
    if not allowed:
        return KeyRights(
            trade=None,
            withdraw=None,
            transfer=None,
            bound_to_addresses=None,
            not_told="the venue does not say what the key may do",
        )
    return KeyRights(
        trade="trade" in allowed,
        withdraw="withdraw" in allowed,
        transfer=None,
        bound_to_addresses=bool(config.ip),
        not_told="a key that may trade may also move money between the owner's own accounts",
    )
