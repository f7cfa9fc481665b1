"""Leases: each owner's permission to carry risk, renewed by its own heartbeats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from citadel_micro.core.model.events import MacroBeat

COMMAND_LINE: Final = "cli"
"""Strategy of orders from the command line, which continue when their command has ended."""
MOST_LEASES: Final = 256
MOST_STRATEGIES: Final = 1_000
FORGET_NS: Final = 3_600_000_000_000
"""A lease that was silent for this long is dropped: it was lost long ago, and is so without it."""


@dataclass(slots=True)
class Lease:
    """The lease of one macro."""

    epoch: int
    beat_ns: int
    skew_ns: int
    owned: bool


class Leases:
    """Leases by owner; of a macro that names none, by its instance.

    No other macro's heartbeat keeps an owner's orders, and no other macro's clock rejects them.
    """

    def __init__(self) -> None:
        self.last_beat_ns: int | None = None
        """Time of the last heartbeat of any sender."""
        self.strategies: dict[str, None] = {}
        """Of every heartbeat."""
        self._since_ns: int | None = None
        self._leases: dict[str, Lease] = {}

    def beat(self, beat: MacroBeat, now_ns: int) -> None:
        """Renew the lease of the sender."""
        self.last_beat_ns = now_ns
        if len(self.strategies) < MOST_STRATEGIES:
            self.strategies[beat.strategy] = None
        key = f"owner:{beat.owner}" if beat.owner else f"instance:{beat.instance}"
        lease = self._leases.get(key)
        if lease is None:
            if len(self._leases) >= MOST_LEASES and not self._forget(now_ns):
                return
            self._leases[key] = Lease(beat.epoch, now_ns, beat.skew_ns, bool(beat.owner))
            return
        lease.epoch, lease.beat_ns, lease.skew_ns = beat.epoch, now_ns, beat.skew_ns

    def begin_anew(self, now_ns: int) -> None:
        """After a restart: every macro has the time of a lease to send a heartbeat again."""
        self._since_ns = now_ns
        self.last_beat_ns = now_ns

    def age_ns(self, owner: str, epoch: int, now_ns: int) -> int | None:
        """Time since the last heartbeat of an order's owner; None when there was none."""
        lease = self._of(owner, epoch)
        beat_ns = self._since_ns if lease is None else lease.beat_ns
        return None if beat_ns is None else now_ns - beat_ns

    def expired(
        self, owner: str, epoch: int, now_ns: int, limit_ns: int, *, required: bool
    ) -> bool:
        """Whether the macro of an order has been silent for longer than a limit.

        ``required``: an order needs a macro's heartbeats, even if there never was one. Else only an
        order of a macro that is known to send heartbeats can lose its lease.
        """
        beat_ns: int | None = None
        if required:
            age_ns = self.age_ns(owner, epoch, now_ns)
            return age_ns is None or age_ns > limit_ns
        lease = self._of(owner, epoch)
        if lease is not None and (owner or lease.epoch == epoch):
            beat_ns = lease.beat_ns
        elif owner:
            beat_ns = self._since_ns
        return beat_ns is not None and now_ns - beat_ns > limit_ns

    def skew_ns(self, owner: str, epoch: int) -> int:
        """The owner's wall clock minus ours; 0 without a heartbeat."""
        lease = self._of(owner, epoch)
        return 0 if lease is None else lease.skew_ns

    def _of(self, owner: str, epoch: int) -> Lease | None:
        if owner:
            return self._leases.get(f"owner:{owner}")
        # An order without an owner is watched by the run that sent it, or else by any other without
        # an owner: a later run of the same macro cannot be told from another.
        if not self._leases:
            return None
        nameless = [lease for lease in self._leases.values() if not lease.owned]
        for lease in nameless:
            if lease.epoch == epoch:
                return lease
        return max(nameless, key=lambda lease: lease.beat_ns, default=None)

    def _forget(self, now_ns: int) -> bool:
        gone = [k for k, each in self._leases.items() if now_ns - each.beat_ns > FORGET_NS]
        for key in gone:
            del self._leases[key]
        return bool(gone)
