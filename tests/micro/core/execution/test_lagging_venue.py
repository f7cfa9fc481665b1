"""The invariants of execution on an exchange that answers from a replica and holds amends back."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from effort import examples
from engine_exchange import Faults
from engine_kit import SECOND
from ladder_kit import ladder
from lagging_venue import KINDS, Kind, LaggingVenue, play

if TYPE_CHECKING:
    from citadel_micro.core.model.events import OrderState


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_doubled_lost_or_forgotten(kind: Kind) -> None:
    with ladder():
        for seed in range(examples(6, 300)):
            play(seed, kind)


def test_an_answer_of_the_past_that_is_taken_for_news_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The checks can fail: here every answer claims to be younger than anything that is known."""
    state_of = LaggingVenue.state_of

    def always_new(self: LaggingVenue, client_id: str, source: Any) -> OrderState:  # noqa: ANN401
        state = state_of(self, client_id, source)
        return replace(state, exchange_ns=state.exchange_ns + 3_600 * SECOND)

    monkeypatch.setattr(LaggingVenue, "state_of", always_new)
    with ladder(), pytest.raises(AssertionError):
        play(5, "lag")
    with ladder(), pytest.raises(AssertionError):
        play(4, "held amends")


def test_a_healed_exchange_is_a_plain_one() -> None:
    venue = LaggingVenue(Random(1), Faults(lose_request=1.0))
    venue.lag_ns = venue.holds_amends_ns = SECOND
    venue.refuses_amends = 1.0
    venue.heal()
    assert (venue.lag_ns, venue.holds_amends_ns, venue.refuses_amends) == (0, 0, 0.0)
    assert venue.faults == Faults()
