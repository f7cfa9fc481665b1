"""Named fault scenarios of the paper venue, to test a set-up before going live.

Each scenario is a set of probabilities, drawn from the venue's own seeded stream, so a run with faults
replays like any other. A lost answer becomes what a real adapter would make of it: a request
that timed out, while the order may well be live.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from citadel_proto.errors import BadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Probabilities per request or report, in [0, 1], and their delays, in nanoseconds."""

    reject: float = 0.0
    """A new order is rejected with the venue's overload message."""
    lose_request: float = 0.0
    """A request never arrives; its sender sees a timeout."""
    lose_answer: float = 0.0
    """A request is executed; its sender sees a timeout and only later reports show it."""
    duplicate: float = 0.0
    """A report arrives twice."""
    late: float = 0.0
    """A report arrives ``late_ns`` later, so after newer ones."""
    late_ns: int = 0
    timeout_ns: int = 1_000_000_000
    """When the sender of a lost request gives up waiting."""
    silent_after_partial: bool = False
    """After the first partial fill of an order, its reports stop; only queries answer."""


SCENARIOS: Final[dict[str, Faults]] = {
    "none": Faults(),
    "timeouts": Faults(lose_request=0.1, lose_answer=0.1),
    "duplicates": Faults(duplicate=0.3),
    "late": Faults(late=0.3, late_ns=400_000_000),
    "reject_storm": Faults(reject=0.7),
    "partial_then_silence": Faults(silent_after_partial=True),
    "everything": Faults(
        reject=0.1,
        lose_request=0.05,
        lose_answer=0.05,
        duplicate=0.2,
        late=0.2,
        late_ns=400_000_000,
    ),
}


def scenario(name: str) -> Faults:
    """The faults of a named scenario. Raises BadInput naming those that exist."""
    try:
        return SCENARIOS[name]
    except KeyError:
        raise BadInput(
            f"unknown fault scenario {name!r}", allowed=", ".join(sorted(SCENARIOS))
        ) from None
