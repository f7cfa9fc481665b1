"""Queries of many pages wait for room in a venue's limits: one that gave up would begin anew at its first page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from citadel_micro.shell.venue.outcomes import NotSent

if TYPE_CHECKING:
    from citadel_micro.shell.venue.dialect import Ask, Request
    from citadel_micro.shell.venue.outcomes import Outcome

ROOM_S: Final = 0.5
MOST_WAITS: Final = 40
"""How often a call waits so long for room in the venue's limits: by then Kraken's lowest tier gives back six."""


def patient(ask: Ask) -> Ask:
    """The same, which waits for room."""

    async def waited(request: Request) -> Outcome:
        outcome = await ask(request)
        for _ in range(MOST_WAITS):
            if not isinstance(outcome, NotSent) or not outcome.wait:
                break
            await asyncio.sleep(ROOM_S)
            outcome = await ask(request)
        return outcome

    return waited
