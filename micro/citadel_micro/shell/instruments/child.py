"""A venue's list fetched by another process.

ccxt costs 100 MB, and half a second in which nothing else runs: a process that follows markets must
not pay that. So micro starts another one (``RuleSource.program``), which fetches the list, stores it,
and returns the few symbols that are needed.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.shell import logs
from citadel_micro.shell.instruments.cache import Cache, dumps, loads
from citadel_micro.shell.instruments.load import Lists
from citadel_micro.shell.instruments.markets import MarketList
from citadel_micro.shell.instruments.sources import RULES
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Sequence

_LAST_WORDS: Final = 300


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to fetch."""

    venue: str
    rest_url: str
    symbols: list[str]
    folder: str
    """Where lists are stored; empty for nowhere."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no list."""

    fault: str
    what: str
    where: str | None = None
    allowed: str | None = None
    mend: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The list, as a cache file holds it, or why there is none."""

    markets: msgspec.Raw = msgspec.Raw(b"null")
    failure: Failure | None = None


_answer: Final = msgspec.json.Decoder(Answer)


async def answer(order: Order) -> Answer:
    """Execute an order in this process."""
    lists = Lists(Cache(Path(order.folder)) if order.folder else None)
    try:
        listing = await lists.listing(
            order.venue, rest_url=order.rest_url, refresh=True, use_old=False
        )
        for symbol in order.symbols:
            listing.markets.instrument(symbol, lists.now())
    except BadInput as error:
        failure = Failure(
            fault="BadInput",
            what=error.what,
            where=error.where,
            allowed=error.allowed,
            mend=error.mend,
        )
        return Answer(failure=failure)
    except (PeerUnavailable, VenueViolation) as error:
        return Answer(failure=Failure(fault=type(error).__name__, what=str(error)))
    wanted = {symbol: listing.markets.markets[symbol] for symbol in order.symbols}
    whole = listing.markets
    short = MarketList(
        venue=whole.venue,
        source=whole.source,
        reader=whole.reader,
        fetched_ns=whole.fetched_ns,
        markets=wanted,
    )
    return Answer(markets=msgspec.Raw(dumps(short)))


def result_of(answer_: Answer) -> MarketList:
    """The list in an answer.

    Raises BadInput, PeerUnavailable or VenueViolation, as in the child.
    """
    failure = answer_.failure
    if failure is None:
        return replace(loads(bytes(answer_.markets)), partial=True)
    if failure.fault == "BadInput":
        raise BadInput(
            failure.what, where=failure.where, allowed=failure.allowed, mend=failure.mend
        )
    kind = PeerUnavailable if failure.fault == "PeerUnavailable" else VenueViolation
    raise kind(failure.what)


class ChildFetch:
    """Fetches lists by another process: a ``Fetch`` of ``load``.

    Args:
        folder: where the child stores lists; None for nowhere.
        timeout_s: how long it may take.
    """

    def __init__(self, folder: Path | None, *, timeout_s: float) -> None:
        self._folder = "" if folder is None else str(folder)
        self._timeout_s = timeout_s

    async def __call__(self, venue: str, rest_url: str, symbols: Sequence[str]) -> MarketList:
        """The list, with these symbols only.

        Raises:
            BadInput: unknown venue or symbol.
            PeerUnavailable: no answer in time, or the child died.
            VenueViolation: the venue answered with invalid data.
        """
        order = Order(venue=venue, rest_url=rest_url, symbols=list(symbols), folder=self._folder)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # keep the current folder off the module path
            "-m",
            RULES.get().program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                out, err = await child.communicate(msgspec.json.encode(order))
        except TimeoutError:
            raise PeerUnavailable(
                f"{venue} has not sent its list of markets within {self._timeout_s:g} s"
            ) from None
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        try:
            found = _answer.decode(out)
        except msgspec.MsgspecError:
            words = err.decode("utf-8", "replace").strip()[-_LAST_WORDS:]
            raise PeerUnavailable(
                f"{venue}: the process that reads its list ended {child.returncode}: {words}"
            ) from None
        return result_of(found)


def main() -> None:
    """Read an order from standard input, and write the answer to standard output."""
    logs.configure("error", "json", instance="instruments")
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    sys.stdout.buffer.write(msgspec.json.encode(asyncio.run(answer(order))))
