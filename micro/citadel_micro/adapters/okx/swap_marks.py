"""Mark prices and funding of OKX's perpetuals, from two public channels beside the account's stream."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.adapters.okx.messages import amount, millis
from citadel_micro.adapters.okx.session import PING
from citadel_micro.core.model.events import MarkPrice
from citadel_micro.shell.venue.marked_stream import MarkedStream
from citadel_proto.errors import VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from citadel_micro.adapters.okx.session import OkxSession
    from citadel_micro.core.model.instrument import Instrument

CHANNELS: Final = ("mark-price", "funding-rate")
UPKEEP_S: Final = 20.0
"""The venue closes a connection that is idle for 30 s."""
_MOST_ARGS: Final = 50
"""Channels of one request, whose size has a limit."""


class _Row(msgspec.Struct):
    instId: str  # noqa: N815 - the venue's names
    ts: str = "0"
    markPx: str = ""  # noqa: N815
    fundingRate: str = ""  # noqa: N815
    fundingTime: str = ""  # noqa: N815


class _Arg(msgspec.Struct):
    channel: str = ""


class _Frame(msgspec.Struct):
    arg: _Arg = msgspec.field(default_factory=_Arg)
    data: list[_Row] = []


_frame: Final = msgspec.json.Decoder(_Frame).decode


class SwapStream(MarkedStream):
    """The account's stream, and the mark prices beside it: both up, or none.

    Args:
        private: logged in and subscribed.
        on_mark: receives the frames of the marks.
    """

    def __init__(self, private: OkxSession, on_mark: Callable[[bytes], None]) -> None:
        super().__init__(private, private, on_mark)

    async def open(self, url: str, where: str, names: Iterable[str]) -> None:
        """Subscribe to what concerns these instruments. Raises PeerUnavailable."""
        await self._open_marks(url, where)
        args = [{"channel": channel, "instId": name} for name in names for channel in CHANNELS]
        for first in range(0, len(args), _MOST_ARGS):
            text = {"op": "subscribe", "args": args[first : first + _MOST_ARGS]}
            self._marks.send(0, msgspec.json.encode(text), lambda _outcome: None)
        self._begin_upkeep(self._ping())

    async def _ping(self) -> None:
        while True:
            await asyncio.sleep(UPKEEP_S)
            self._marks.send(0, PING[0], lambda _outcome: None)


class SwapMarks:
    """What the channels of some perpetuals have said so far.

    Args:
        venue: id.
        instruments: by unified symbol.
    """

    def __init__(self, venue: str, instruments: Mapping[str, Instrument]) -> None:
        self._venue = venue
        self._symbols = {each.venue_symbol: each.symbol for each in instruments.values()}
        self._funding: dict[str, tuple[float, int]] = {}

    def names(self) -> Iterable[str]:
        """The venue's names of the instruments."""
        return list(self._symbols)

    def marks(self, data: bytes, now_ns: int) -> list[MarkPrice]:
        """The mark prices of a frame; none in one of funding, which is kept for the next."""
        try:
            frame = _frame(data)
            if frame.arg.channel not in CHANNELS:
                return []
            return [
                mark
                for row in frame.data
                if (symbol := self._symbols.get(row.instId)) is not None
                and (mark := self._read(symbol, row, now_ns)) is not None
            ]
        except (msgspec.MsgspecError, VenueViolation):
            return []  # marks that stay away are missed by the gate

    def _read(self, symbol: str, row: _Row, now_ns: int) -> MarkPrice | None:
        if row.fundingTime:
            self._funding[symbol] = float(amount(row.fundingRate)), millis(row.fundingTime)
        price = float(amount(row.markPx))
        if price <= 0:
            return None
        rate, due_ns = self._funding.get(symbol, (0.0, 0))
        # The index is a channel of its own, and nothing needs it.
        return MarkPrice(self._venue, symbol, price, 0.0, rate, due_ns, millis(row.ts), now_ns)
