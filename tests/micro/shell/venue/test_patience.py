"""A query of many pages waits for room in the venue's limits, for a time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from citadel_micro.shell.venue import patience
from citadel_micro.shell.venue.dialect import Request
from citadel_micro.shell.venue.outcomes import Answered, NotSent, Unknown
from citadel_micro.shell.venue.patience import MOST_WAITS, patient

if TYPE_CHECKING:
    from citadel_micro.shell.venue.outcomes import Outcome

REQUEST = Request(purpose="audit", method="trades", params={})
FULL = NotSent("held back", wait=True)
DONE = Answered(status=200, body=b"[]")


@pytest.mark.parametrize(
    ("outcomes", "asked"),
    [
        ([DONE], 1),
        ([FULL, FULL, DONE], 3),
        ([NotSent("no connection"), DONE], 1),
        ([FULL, Unknown("no answer"), DONE], 2),
        ([FULL] * (MOST_WAITS + 5), MOST_WAITS + 1),
    ],
)
def test_it_waits_for_room_and_for_nothing_else(
    outcomes: list[Outcome], asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "ROOM_S", 0.0)
    left = list(outcomes)

    async def ask(_request: Request) -> Outcome:
        return left.pop(0)

    assert asyncio.run(patient(ask)(REQUEST)) == outcomes[asked - 1]  # type: ignore[arg-type]
    assert len(left) == len(outcomes) - asked
