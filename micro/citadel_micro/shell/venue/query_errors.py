"""What an answer to a query about the account means for who asked: nothing, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.shell.venue.outcomes import Fate
from citadel_proto.errors import BadInput, PeerUnavailable, Refused, VenueViolation

if TYPE_CHECKING:
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.venue.outcomes import Answered, Refusal
    from citadel_micro.shell.venue.venue_clock import VenueClock

_REDIRECTS: Final = range(300, 400)


def accept(
    answer: Answered,
    refused: Refusal | None,
    *,
    where: str,
    key: ApiKey,
    clock: VenueClock,
    passes: bool,
    also: str = "",
    compare: str = "id and secret with the venue's page of API keys, and the addresses that it allows",
) -> None:
    """Return for a success; raise the error that the answer means.

    Args:
        answer: of the venue.
        refused: as the venue's codes read it; None for a success.
        where: what was asked, for messages.
        key: that was sent.
        clock: the venue's time.
        passes: the failure is the venue's own, and may pass.
        also: what else a key needs.
        compare: what to compare where the key is rejected.
    """
    if answer.status in _REDIRECTS:
        raise Refused(f"{where} leads elsewhere ({answer.status}): keys are not sent on")
    if refused is None:
        return
    if refused.clock:
        raise Refused(
            f"{where}: {refused.text}; this machine's clock is {clock.offset_ns / -1e6:+.0f} ms from "
            "the venue's: set it by NTP"
        )
    if refused.key:
        raise BadInput(
            f"the venue does not take the key: {refused.text}",
            where=key.file,
            allowed=f"a key of the {key.network}, of this machine's address, that may read and "
            f"trade{also}",
            mend=f"compare {compare}",
        )
    if refused.fate is Fate.WAIT:
        raise PeerUnavailable(
            f"{where}: {refused.text}; wait {refused.retry_after_s:.0f} s: more requests lengthen it"
        )
    if passes:
        raise PeerUnavailable(f"{where}: {refused.text}")
    raise VenueViolation(f"{where}: {refused.text}")
