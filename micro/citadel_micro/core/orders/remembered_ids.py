"""Ids of orders that are not kept themselves: each id acts at most once.

A signal may arrive again, late, or after its cancel, as long as it could still be admitted. So two
things outlive full orders: how a closed one ended, and which ids were canceled before they came.
Both are small, and both are bounded by rejecting new signals, never by dropping an id that may
still act.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, cast

from citadel_micro.core.model.commands import PublishReport
from citadel_micro.core.model.time_units import SECOND
from citadel_micro.core.orders.execution_reports import average, filled, status
from citadel_micro.core.orders.name_counts import Names

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from citadel_micro.core.model.command_buffer import CommandBuffer
    from citadel_micro.core.model.events import CancelReceived, Side, SignalReceived
    from citadel_micro.core.orders.orders import Parent

ENDED_KEY: Final = "ended/"
OVERFLOW_KEY: Final = "withdrawn_overflow"
WITHDRAWN_KEY: Final = "withdrawn/"
OLD_TOMBSTONE_KEY: Final = "tombstone/"
"""Canceled ids as they were stored before they had an owner."""

ADMISSION_NS: Final = 3_600 * SECOND
"""A signal made longer ago than this is not admitted, whatever its expiry: its sender has
queried it long since, and so its id need not be kept for as long as a stop stays in force."""
GRACE_NS: Final = 3_600 * SECOND
"""An id is kept this much longer than its signal could be admitted, for clock differences."""
LONGEST_LIFE_NS: Final = 367 * 24 * 3_600 * SECOND
"""Longest expiry of a signal: a stop of Freqtrade's is good for a year."""
MOST_NAMES: Final = 80_000
"""Ids of orders, complete or closed: about 40 MB. One owner alone gets half of them, that is eleven
new orders a second for as long as they may act."""
MOST_WITHDRAWN: Final = 20_000
"""Ids that were canceled before they came."""
UNKNOWN_OWNER: Final = "?"
"""Owner under which the overflow of all owners without a heartbeat is kept."""
PURGE_NS: Final = 10 * SECOND
"""Checking all ids for what may be dropped takes 10 ms."""
OPERATOR: Final = "*"
"""Owner of an id that the operator canceled; no owner's id looks like this."""
TOO_MANY_NAMES: Final = "TOO_MANY_NAMES"
ENDED_LONG_AGO: Final = "it ended long ago, and its fills are not kept any more"


class Ended(NamedTuple):
    """How an order ended, with just enough to answer a query; numbers as decimal text."""

    kept_ns: int
    """Until then its id may still act."""
    owner: str
    strategy: str
    venue: str
    symbol: str
    side: Side
    kind: Literal["order", "stop"]
    order_type: Literal["limit", "market"]
    tag: str
    algo: str
    status: str
    reason_code: str
    quantity: str
    filled: str
    average: str | None
    revision: int
    own: bool
    created_ns: int
    updated_ns: int

    @classmethod
    def of(cls, parent: Parent) -> Ended:
        """The record of a closed order."""
        signal = parent.signal
        mean = average(parent)
        return cls(
            kept_ns=0 if parent.own else kept_ns(signal, parent.created_ns),
            owner=signal.owner,
            strategy=signal.strategy,
            venue=signal.venue,
            symbol=signal.symbol,
            side=signal.side,
            kind=signal.kind,
            order_type=signal.order_type,
            tag=signal.tag,
            algo=signal.algo,
            status=status(parent),
            reason_code=parent.reason_code,
            quantity=format(signal.quantity, "f"),
            filled=format(filled(parent), "f"),
            average=None if mean is None else format(mean, "f"),
            revision=parent.revision,
            own=parent.own,
            created_ns=parent.created_ns,
            updated_ns=parent.updated_ns,
        )

    @classmethod
    def refused(cls, signal: SignalReceived, code: str, now_ns: int) -> Ended:
        """The record of a signal that never became an order."""
        return cls(
            kept_ns=kept_ns(signal, now_ns),
            owner=signal.owner,
            strategy=signal.strategy,
            venue=signal.venue,
            symbol=signal.symbol,
            side=signal.side,
            kind=signal.kind,
            order_type=signal.order_type,
            tag=signal.tag,
            algo=signal.algo,
            status="rejected",
            reason_code=code,
            quantity=format(signal.quantity, "f"),
            filled="0",
            average=None,
            revision=1,
            own=False,
            created_ns=now_ns,
            updated_ns=now_ns,
        )

    def report(self, signal_id: str, reason: str = ENDED_LONG_AGO) -> PublishReport:
        """The order as it ended, without its fills."""
        return PublishReport(
            signal_id=signal_id,
            revision=self.revision,
            venue=self.venue,
            symbol=self.symbol,
            side=self.side,
            kind=self.kind,
            order_type=self.order_type,
            status=self.status,
            quantity=Decimal(self.quantity),
            filled=Decimal(self.filled),
            average=None if self.average is None else Decimal(self.average),
            limit_price=None,
            stop_price=None,
            triggered=False,
            reason_code=self.reason_code,
            reason=reason,
            permitted=None,
            fills=(),
            balances=(),
            position=None,
            strategy=self.strategy,
            tag=self.tag,
            algo=self.algo,
            arrival_mid=0.0,
            reprices=0,
            own=self.own,
            created_ns=self.created_ns,
            updated_ns=self.updated_ns,
            owner=self.owner,
        )


class Remembered:
    """Ids of closed and of canceled orders, with their durable form."""

    def __init__(self, out: CommandBuffer, retention_ns: int) -> None:
        self.ended: dict[str, Ended] = {}
        """By signal id, in the order in which the full orders were dropped."""
        self.withdrawn: dict[tuple[str, str], tuple[int, str]] = {}
        """(owner, signal id) -> (when, why), oldest first."""
        self.names = Names(MOST_NAMES)
        """Of complete orders and of closed ones."""
        self._early = Names(MOST_WITHDRAWN)
        """Of canceled ones."""
        self._overflow: dict[str, int] = {}
        """Owner -> time of its last cancel that could not be kept."""
        self._purged_ns = 0
        self._out = out
        self._retention_ns = retention_ns

    # closed

    def end(self, signal_id: str, ended: Ended, now_ns: int) -> None:
        """Keep the id of a dropped order, if it may still act or is likely to be queried."""
        if self._is_old(ended, now_ns):
            self.names.drop(ended.owner)
        else:
            self._keep(signal_id, ended)

    def refuse(self, signal: SignalReceived, now_ns: int) -> Ended:
        """Keep the id of a signal that was rejected because too many are kept."""
        refused = Ended.refused(signal, TOO_MANY_NAMES, now_ns)
        self.names.add(signal.owner, refused=True)
        self._keep(signal.signal_id, refused)
        return refused

    def _keep(self, signal_id: str, ended: Ended) -> None:
        self.ended[signal_id] = _shared(ended)
        self._out.durable[ENDED_KEY + signal_id] = list(ended)

    def full(self, owner: str, now_ns: int, *, known: bool) -> str:
        """Why this owner can have no more ids, or empty; ``known``: it has sent a heartbeat."""
        if not self.names.full(owner, known=known):
            return ""
        self._make_room(now_ns)
        return self.names.full(owner, known=known)

    # canceled before they came

    def withdraw(self, cancel: CancelReceived, now_ns: int, *, known: bool) -> None:
        """Remember a cancel whose signal has not come yet; ``known``: its owner sent a heartbeat."""
        owner = OPERATOR if cancel.operator else cancel.owner
        known = known or cancel.operator
        key = (owner, cancel.signal_id)
        if key not in self.withdrawn:
            if self._early.full(owner, known=known):
                self._make_room(now_ns)
                if self._early.full(owner, known=known):
                    self._overflown(owner if known else UNKNOWN_OWNER, now_ns)
                    return
            self._early.add(owner)
        self.withdrawn[key] = (now_ns, cancel.reason)
        self._out.durable[_withdrawn_key(key)] = [now_ns, cancel.reason]

    def take_withdrawn(self, signal: SignalReceived) -> str | None:
        """Remove and return the reason of a cancel that came first; None when none did."""
        reason = None
        for owner in dict.fromkeys((signal.owner, OPERATOR)):
            found = self.withdrawn.pop((owner, signal.signal_id), None)
            if found is not None:
                self._early.drop(owner)
                self._out.durable[_withdrawn_key((owner, signal.signal_id))] = None
                reason = found[1]
        return reason

    def perhaps_withdrawn(self, signal: SignalReceived, *, known: bool) -> bool:
        """A cancel of this signal may have come without being kept."""
        if not self._overflow:
            return signal.created_ns <= 0
        owners = (signal.owner if known else UNKNOWN_OWNER, OPERATOR)
        return signal.created_ns <= max(self._overflow.get(owner, 0) for owner in owners)

    # time

    def forget_old(self, now_ns: int, *, crowded: bool = False) -> None:
        """Drop ids that cannot act any more: those of old orders, or all when it is crowded."""
        for signal_id, ended in tuple(self.ended.items()):
            if crowded:
                if ended.kept_ns > now_ns:
                    continue
            elif not self._is_old(ended, now_ns):
                break  # later ones ended later, or will be dropped a little late
            del self.ended[signal_id]
            self.names.drop(ended.owner, refused=ended.reason_code == TOO_MANY_NAMES)
            self._out.durable[ENDED_KEY + signal_id] = None
        for key, (when_ns, _) in tuple(self.withdrawn.items()):
            if when_ns + ADMISSION_NS + GRACE_NS > now_ns:
                break
            del self.withdrawn[key]
            self._early.drop(key[0])
            self._out.durable[_withdrawn_key(key)] = None

    # durable

    def restore(self, state: dict[str, object], known: Container[str]) -> None:
        """Restore what the last run has stored, except ids of orders that are ``known`` completely."""
        for key, value in state.items():
            if key.startswith(ENDED_KEY):
                if key[len(ENDED_KEY) :] in known:  # a crash came between the two
                    self._out.durable[key] = None
                    continue
                ended = _shared(cast("list[Any]", value))
                self.ended[key[len(ENDED_KEY) :]] = ended
                self.names.add(ended.owner, refused=ended.reason_code == TOO_MANY_NAMES)
            elif key.startswith(WITHDRAWN_KEY):
                owner, _, signal_id = key[len(WITHDRAWN_KEY) :].partition(" ")
                self._restore_withdrawn((owner, signal_id), value)
            elif key.startswith(OLD_TOMBSTONE_KEY):
                self._out.durable[key] = None
                self._restore_withdrawn(("", key[len(OLD_TOMBSTONE_KEY) :]), value)
                self._out.durable[_withdrawn_key(("", key[len(OLD_TOMBSTONE_KEY) :]))] = value
        self._overflow = dict(cast("dict[str, int]", state.get(OVERFLOW_KEY, {})))
        self.withdrawn = dict(sorted(self.withdrawn.items(), key=lambda item: item[1][0]))

    def _make_room(self, now_ns: int) -> None:
        """Check all ids for what may be dropped, but not for every signal of a flood."""
        if now_ns - self._purged_ns >= PURGE_NS:
            self._purged_ns = now_ns
            self.forget_old(now_ns, crowded=True)

    def _is_old(self, ended: Ended, now_ns: int) -> bool:
        return max(ended.kept_ns, ended.updated_ns + self._retention_ns) <= now_ns

    def _restore_withdrawn(self, key: tuple[str, str], value: object) -> None:
        when_ns, reason = cast("tuple[int, str]", value)
        if key not in self.withdrawn:
            self._early.add(key[0])
        self.withdrawn[key] = (when_ns, reason)

    def _overflown(self, owner: str, now_ns: int) -> None:
        known_ns = self._overflow.get(owner, 0)
        self._overflow[owner] = now_ns
        self._out.durable[OVERFLOW_KEY] = dict(self._overflow)
        if now_ns - known_ns >= SECOND:
            self._out.note(
                "error",
                "too_many_cancels_of_unknown_signals",
                owner=owner,
                kept=MOST_WITHDRAWN,
            )


def kept_ns(signal: SignalReceived, received_ns: int) -> int:
    """Until when a signal's id must be known: it may be admitted, late clocks included."""
    made_ns = min(signal.created_ns, received_ns + 24 * ADMISSION_NS)
    return min(signal.expires_ns, made_ns + ADMISSION_NS) + GRACE_NS


def _withdrawn_key(key: tuple[str, str]) -> str:
    return f"{WITHDRAWN_KEY}{key[0]} {key[1]}"


def _shared(row: Iterable[Any]) -> Ended:
    """An entry whose texts, which many have in common, are kept once."""
    # A code may be a member of an enumeration, which cannot be interned: its text can.
    values: list[Any] = [sys.intern(str(each)) if isinstance(each, str) else each for each in row]
    return Ended._make(values)
