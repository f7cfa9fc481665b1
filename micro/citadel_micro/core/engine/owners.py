"""Whose orders are accepted: one live process per owner, and cancels of one's own orders only.

An owner is one intent log, by its permanent id. Its process is known by its heartbeats.
A second one with the same id has a copy of the log: it would send and cancel as if it were the
first, so it is rejected for as long as the first sends heartbeats. A restarted process counts as a
second one only until the first has been silent for ``ALIVE_NS``, or has said goodbye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from citadel_micro.core.model.time_units import SECOND
from citadel_micro.core.risk.leases import COMMAND_LINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.core.model.command_buffer import CommandBuffer
    from citadel_micro.core.model.events import CancelReceived, MacroBeat, SignalReceived
    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.orders.orders import Parent
    from citadel_micro.core.risk.leases import Leases

OWNER_KEY: Final = "owner/"
ALIVE_NS: Final = 3 * SECOND
"""Three heartbeats: a process whose heartbeat is at most this old is running."""
REFUSED_NS: Final = 15 * SECOND
"""A rejected process without a heartbeat for this long is no longer named."""
MOST_OWNERS: Final = 1_000
MOST_REFUSED: Final = 16
"""Rejected processes named in one heartbeat."""
OWNER_IN_USE: Final = "OWNER_IN_USE"


@dataclass(slots=True)
class _Holder:
    """The current process of an owner."""

    instance: str
    epoch: int
    beat_ns: int


@dataclass(slots=True)
class _Refused:
    reason: str
    beat_ns: int


class Owners:
    """The current process of each owner. Restored from durable state, fed with every heartbeat."""

    def __init__(self, out: CommandBuffer) -> None:
        self._out = out
        self._holders: dict[str, _Holder] = {}
        self._refused: dict[str, _Refused] = {}

    def restore(self, state: dict[str, object], now_ns: int) -> None:
        """Restore the last run's. Each process gets the time of a few heartbeats."""
        for key, value in state.items():
            if key.startswith(OWNER_KEY):
                instance, epoch = cast("tuple[str, int]", value)
                self._holders[key[len(OWNER_KEY) :]] = _Holder(instance, epoch, now_ns)

    def on_beat(self, beat: MacroBeat, now_ns: int) -> bool:
        """Handle a heartbeat; False when this process is rejected and must be ignored."""
        owner = beat.owner
        if not owner:
            return True
        holder = self._holders.get(owner)
        if holder is None or holder.instance == beat.instance or not _alive(holder, now_ns):
            return self._hold(beat, holder, now_ns)
        self._refuse(beat.instance, _in_use(owner, holder, beat.epoch), now_ns)
        return False

    def judge(self, signal: SignalReceived, now_ns: int) -> tuple[Literal["", "wait", "deny"], str]:
        """Whether a signal comes from the current process of its owner, and why not.

        ``wait``: it was recorded by an earlier run and is published again by a restarted one that
        still counts as a second one. It must not be answered: its sender repeats it.
        """
        text = self.second(signal.owner, signal.epoch, now_ns)
        if not text:
            return "", ""
        newer = signal.epoch > self._holders[signal.owner].epoch
        earlier = signal.created_ns + signal.offset_ns < signal.epoch
        return "wait" if newer and earlier else "deny", text

    def second(self, owner: str, epoch: int, now_ns: int) -> str:
        """Why a process with this epoch is not its owner's current one; empty when it is."""
        holder = self._holders.get(owner) if owner else None
        if holder is None or holder.epoch == epoch or not _alive(holder, now_ns):
            return ""
        return _in_use(owner, holder, epoch)

    def known(self, owner: str) -> bool:
        """Whether this owner has a running process, or had one until recently."""
        return owner in self._holders

    def may_cancel(self, cancel: CancelReceived, owner: str, now_ns: int, *, own: bool) -> str:
        """Empty, or why this cancel may not cancel an order of ``owner``, or micro's ``own``."""
        if cancel.operator:
            return ""
        if own and not owner:
            return "micro made the order itself, so only the operator withdraws it"
        if not owner:
            return ""
        if cancel.owner != owner:
            who = f"owner {cancel.owner}" if cancel.owner else "a publisher without an owner"
            return f"the order belongs to owner {owner}, and {who} asked"
        return self.second(owner, cancel.epoch, now_ns)

    def refused(self, now_ns: int) -> tuple[tuple[str, str], ...]:
        """(instance, reason) of every connected process that is rejected, by name."""
        for name, each in tuple(self._refused.items()):
            if now_ns - each.beat_ns > REFUSED_NS:
                del self._refused[name]
        return tuple((name, self._refused[name].reason) for name in sorted(self._refused))

    # inside

    def _hold(self, beat: MacroBeat, holder: _Holder | None, now_ns: int) -> bool:
        self._refused.pop(beat.instance, None)
        if beat.state == "stopping":
            if holder is not None:
                self._forget(beat.owner)
            return True
        if holder is not None and holder.instance == beat.instance:
            holder.beat_ns = now_ns
            return True
        if holder is None and len(self._holders) >= MOST_OWNERS and not self._make_room(now_ns):
            text = f"{MOST_OWNERS} owners are being heard already; stop some"
            self._refuse(beat.instance, text, now_ns)
            return False
        self._holders[beat.owner] = _Holder(beat.instance, beat.epoch, now_ns)
        self._out.durable[OWNER_KEY + beat.owner] = [beat.instance, beat.epoch]
        return True

    def _forget(self, owner: str) -> None:
        del self._holders[owner]
        self._out.durable[OWNER_KEY + owner] = None

    def _make_room(self, now_ns: int) -> bool:
        oldest = min(self._holders, key=lambda owner: self._holders[owner].beat_ns)
        if _alive(self._holders[oldest], now_ns):
            return False
        self._forget(oldest)
        return True

    def _refuse(self, instance: str, reason: str, now_ns: int) -> None:
        known = self._refused.get(instance)
        if known is not None:
            known.reason, known.beat_ns = reason, now_ns
            return
        if len(self._refused) >= MOST_REFUSED:
            del self._refused[min(self._refused, key=lambda name: self._refused[name].beat_ns)]
        self._refused[instance] = _Refused(reason, now_ns)
        self._out.note("error", "macro_refused", instance=instance, text=reason)


def _alive(holder: _Holder, now_ns: int) -> bool:
    return now_ns - holder.beat_ns <= ALIVE_NS


def _in_use(owner: str, holder: _Holder, epoch: int) -> str:
    which = "a newer" if epoch > holder.epoch else "an older"
    return (
        f"owner {owner} is {holder.instance}, which is running; this is {which} process with the "
        "same intent log or a copy of it: stop one of them, or give it a log of its own"
    )


def unwatched(parents: Iterable[Parent], limits: RiskLimits, leases: Leases, now_ns: int) -> int:
    """How many of these orders have a macro that was silent for longer than the soft lease."""
    return sum(
        leases.expired(
            parent.signal.owner, parent.signal.epoch, now_ns, limits.lease_soft_ns, required=False
        )
        for parent in parents
        if not parent.own and parent.signal.strategy != COMMAND_LINE
    )
