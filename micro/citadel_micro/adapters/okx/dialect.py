"""OKX's dialect for the kit of live venues: what spot and perpetuals have in common, and spot's part."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.okx.codes import refusal
from citadel_micro.adapters.okx.messages import Ack, ConfigRow, OkxReader
from citadel_micro.adapters.okx.requests import CONFIG, TIME, timer
from citadel_micro.adapters.okx.search import OkxSearch, asked
from citadel_micro.adapters.okx.session import OkxSession
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.shell.venue.dialect import Unclear
from citadel_micro.shell.venue.dialect_core import DialectCore
from citadel_micro.shell.venue.facts import OrderFact, RequestAccepted
from citadel_micro.shell.venue.outcomes import Fate, Refusal
from citadel_proto.errors import PeerUnavailable, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from citadel_micro.adapters.okx.requests import OkxRequests, OkxSigner
    from citadel_micro.adapters.okx.session import OkxRest
    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.shell.venue.dialect import Ask, Request, Survey, WireSession
    from citadel_micro.shell.venue.facts import Fact
    from citadel_micro.shell.venue.order_ids import OrderIds
    from citadel_micro.shell.venue.outcomes import Answered, Outcome
    from citadel_micro.shell.venue.request_budget import RequestBudget
    from citadel_micro.shell.venue.venue_clock import VenueClock

CONNECTING: Final = {"time": 2, "config": 1}
CHANNELS: Final[tuple[Mapping[str, str], ...]] = (
    {"channel": "orders", "instType": "SPOT"},
    {"channel": "account"},
)
_MODES: Final = {"1", "2"}
"""``acctLv``: Spot, Futures. In the others an order may borrow."""


class _Number(msgspec.Struct):
    instId: str  # noqa: N815 - the venue's names
    instIdCode: int  # noqa: N815


class _Acks(msgspec.Struct):
    data: list[Ack]


class _Timer(msgspec.Struct):
    triggerTime: str  # noqa: N815


class _Timers(msgspec.Struct):
    data: list[_Timer]


_timers: Final = msgspec.json.Decoder(_Timers).decode
_acks: Final = msgspec.json.Decoder(_Acks).decode


def why_not(config: ConfigRow) -> str:
    """Why an account is not one that micro trades on; empty for one that is."""
    if config.acctLv not in _MODES:
        return (
            f"the account mode is {config.acctLv}, multi-currency or portfolio margin, where other "
            "coins are margin and an order may borrow; set it to Spot mode"
        )
    if config.autoLoan or config.enableSpotBorrow:
        return "the account borrows what an order lacks; switch borrowing off"
    return ""


class OkxDialect(DialectCore):
    """As ``shell.venue.dialect.Dialect``, and ``shell.venue.cancel_timer.TimerRequests``.

    Args:
        url: of the private websocket.
        where: the section that names it, ``venues.okx``.
        instruments: by unified symbol.
        requests: builds requests.
        signer: signs them.
        clock: the venue's time.
        budget: of this account and address.
        rest: for what the websocket does not have, and instead of it.
        tag: of our orders.
        now: engine time in ns.
    """

    forgets_ns = 2 * 3_600 * SECOND
    """A canceled order without a fill; others are known for days."""

    def __init__(
        self,
        *,
        url: str,
        where: str,
        instruments: Mapping[str, Instrument],
        requests: OkxRequests,
        signer: OkxSigner,
        clock: VenueClock,
        budget: RequestBudget,
        rest: OkxRest,
        tag: str,
        now: Callable[[], int],
    ) -> None:
        self._url = url
        self._where = f"{where}.ws_api_url"
        self._section = where
        self._instruments = instruments
        self.requests = requests
        self._signer = signer
        self._clock = clock
        self._budget = budget
        self._rest = rest
        self._tag = tag
        self._now = now
        self._codes: dict[str, int] = {}
        self._reader = OkxReader(instruments)
        self._search = OkxSearch(self._reader, requests, instruments, clock)
        super().__init__(TIME, requests, self._search, rest)

    def know(self, ids: OrderIds) -> None:
        """Set how our ids and the venue's form of them belong together."""
        self.name(ids.theirs, ids.ours)

    def name(self, theirs: Callable[[str], str], ours: Callable[[str], str]) -> None:
        """Set both directions between our ids and the venue's form of them."""
        self.requests.theirs = theirs
        self._reader.ours = ours

    # requests and answers

    def read(self, request: Request, answer: Answered) -> list[Fact] | Refusal:
        """Decode the answer about the requested order.

        It only says that the request was taken: the order's channel reports what came of a cancel
        or an amend, and whether a post-only order rests or was canceled at once.
        """
        refused = refusal(answer)
        if refused is not None:
            return refused
        params = request.params
        try:
            acks = _acks(answer.body).data
        except msgspec.MsgspecError as error:
            return Refusal(fate=Fate.UNKNOWN, text=f"an answer that is not understood: {error}")
        if len(acks) != 1 or not acks[0].ordId:
            return Refusal(fate=Fate.UNKNOWN, text="an answer that names no order")
        ack = acks[0]
        named, ordered = params.get("clOrdId"), params.get("ordId")
        if (named and ack.clOrdId and ack.clOrdId != named) or (ordered and ack.ordId != ordered):
            text = f"an answer about another order: {ack.clOrdId or ack.ordId}"
            return Refusal(fate=Fate.UNKNOWN, text=text)
        if request.purpose == "cancel":
            return [RequestAccepted(venue_order_id=ack.ordId, closed=True)]
        if request.purpose == "amend" or params["ordType"] == "post_only":
            return [RequestAccepted(venue_order_id=ack.ordId, closed=False)]
        rules = next(
            each for each in self._instruments.values() if each.venue_symbol == params["instId"]
        )
        return [
            OrderFact(
                symbol=rules.symbol,
                client_id=self._reader.ours(str(named)),
                venue_order_id=ack.ordId,
                standing="open",
                price_ticks=rules.ticks(Decimal(str(params["px"])), "nearest"),
                quantity_lots=rules.lots(Decimal(str(params["sz"]))),
                cumulative_lots=-1,
                exchange_ns=self._clock.surely_past_ns(),
            )
        ]

    def read_event(self, frame: bytes) -> list[Fact]:
        """See ``OkxReader``."""
        return self._reader.event(frame)

    # the timer

    def arm(self, symbol: str, period_ms: int) -> Request:
        """Of our orders alone: by their tag."""
        del symbol
        return timer(self._tag, period_ms // 1000)

    def confirmed(self, request: Request, answer: Answered) -> Refusal | None:
        """Whether the venue has started or stopped it."""
        refused = refusal(answer)
        if refused is not None:
            return refused
        try:
            told = _timers(answer.body).data
        except msgspec.MsgspecError as error:
            return Refusal(fate=Fate.UNKNOWN, text=f"{request.method}: not as documented: {error}")
        armed = [each for each in told if each.triggerTime not in {"", "0"}]
        if not told or bool(armed) != (str(request.params["timeOut"]) != "0"):
            text = "it names a time after all" if armed else "it names no time"
            return Refusal(fate=Fate.UNKNOWN, text=f"{request.method}: {text}")
        return None

    # queries

    async def survey(self, ask: Ask) -> Survey | Unclear:
        """See ``OkxSearch``."""
        return await self._search.survey(ask)

    # connections

    async def open_stream(self, on_frame: Callable[[bytes], None]) -> WireSession:
        """Logged in and subscribed, to an account of a mode that micro trades in."""
        session = await self._session(on_frame)
        try:
            await self._check_account()
        except BaseException:
            session.close()
            raise
        await session.subscribe(*CHANNELS)
        return session

    async def open_entry(self, on_frame: Callable[[bytes], None]) -> OkxSession:
        """Logged in, with the numbers of our instruments."""
        session = await self._session(on_frame)
        try:
            await self._number()
        except BaseException:
            session.close()
            raise
        return session

    async def _session(self, on_frame: Callable[[bytes], None]) -> OkxSession:
        self._budget.check_connecting(CONNECTING, self._clock.venue_ns())
        self._budget.spend(CONNECTING, self._clock.venue_ns())
        session = OkxSession(
            self._signer,
            self._clock,
            self._budget,
            self._rest,
            codes=self._codes,
            on_event=on_frame,
        )
        await session.open(self._url, self._where, now=self._now)
        return session

    async def _check_account(self) -> None:
        """Raises Refused for a mode in which orders are more than they say."""
        rows = await asked(self.ask, CONFIG, ConfigRow)
        if isinstance(rows, Unclear):
            if rows.refusal is not None and rows.refusal.key:
                raise Refused(f"the venue refuses the key: {rows.text}")
            raise PeerUnavailable(f"account/config: {rows.text}")
        if not rows:
            raise PeerUnavailable("account/config: the venue says nothing of the account")
        wrong = self._wrong(rows[0])
        if wrong:
            raise Refused(wrong)

    def _wrong(self, config: ConfigRow) -> str:
        """Why this account is not one that micro trades on; empty for one that is."""
        return why_not(config)

    async def _number(self) -> None:
        """Read the numbers that the websocket calls our instruments by."""
        for symbol, each in self._instruments.items():
            rows = await asked(self.ask, self.requests.instrument(symbol), _Number)
            if isinstance(rows, Unclear):
                raise PeerUnavailable(f"public/instruments: {rows.text}")
            found = {row.instId: row.instIdCode for row in rows}
            if each.venue_symbol not in found:
                raise PeerUnavailable(f"the venue does not list {each.venue_symbol}")
            self._codes.update(found)

    async def ask(self, request: Request) -> Outcome:
        """Over REST."""
        return await self._rest.ask(request)
