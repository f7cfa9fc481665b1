"""The states of a child and of a parent order, as two transition tables.

A transition that is not in its table raises InvariantError and changes nothing. Reports that a
venue may repeat, delay or reorder are in the tables as loops, because they are normal and
not mistakes of ours; what is left out is what our own code must never do, such as amending an
"""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeVar

from citadel_proto.errors import InvariantError


class ChildState(Enum):
    """State of one order at a venue. A timeout never moves a child to a terminal state."""

    __hash__ = object.__hash__  # Enum's own is in Python

    PLACING = "placing"
    WORKING = "working"
    AMENDING = "amending"
    CANCELING = "canceling"
    UNKNOWN = "unknown"
    """Sent, but its state at the venue is not known; its quantity stays reserved."""
    QUARANTINED = "quarantined"
    """Unknown for so long that a person should look; still reserved, still queried."""
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    LOST = "lost"
    """Confirmed never to have reached the venue."""


class ChildEvent(Enum):
    """What can happen to a child."""

    __hash__ = object.__hash__  # Enum's own is in Python

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    AMEND_SENT = "amend_sent"
    AMENDED = "amended"
    AMEND_REFUSED = "amend_refused"
    CANCEL_SENT = "cancel_sent"
    CANCEL_REFUSED = "cancel_refused"
    MARKED_UNKNOWN = "marked_unknown"
    """A timeout, a "not found", a broken connection, a restart of ours."""
    QUARANTINED = "quarantined"
    FOUND_OPEN = "found_open"
    FILLED_UP = "filled_up"
    """Fills have reached its whole quantity, which is confirmation enough."""
    PROVEN_FILLED = "proven_filled"
    PROVEN_CANCELED = "proven_canceled"
    PROVEN_EXPIRED = "proven_expired"
    PROVEN_ABSENT = "proven_absent"
    REAPPEARED = "reappeared"
    """A sign of life of an order that counted as rejected, absent or closed."""


class ParentPhase(Enum):
    """Phase of a parent order. The details are those of its children."""

    __hash__ = object.__hash__  # Enum's own is in Python

    GATING = "gating"
    """Known and durable, not yet checked (recovery is not complete)."""
    HELD = "held"
    """A stop waiting for its trigger."""
    ACTIVE = "active"
    """Being worked by its algorithm."""
    CLOSING = "closing"
    """Nothing more is placed; live orders are being canceled."""
    TERMINAL = "terminal"


class ParentState(Enum):
    """Detailed state of a parent: derived from its phase and its live orders.

    Stored with it, and read back as a phase (``phase_of``).
    """

    __hash__ = object.__hash__  # Enum's own is in Python

    GATING = "gating"
    """Known and durable, not yet checked (recovery is not complete)."""
    HELD = "held"
    """A stop waiting for its trigger."""
    READY = "ready"
    PLACING = "placing"
    WORKING = "working"
    CAPPED = "capped"
    """All its live orders rest at its worst price."""
    AMENDING = "amending"
    CANCELING = "canceling"
    CROSSING = "crossing"
    """An immediate-or-cancel child is live."""
    UNKNOWN = "unknown"
    PAUSED = "paused"
    """No order is live, and none may be placed now."""
    CLOSING = "closing"
    """Nothing more is placed; live orders are being canceled."""
    FILLED = "filled"
    DONE_DUST = "done_dust"
    EXPIRED = "expired"
    CANCELED = "canceled"
    DENIED = "denied"
    ANOMALY = "anomaly"


class ParentEvent(Enum):
    """What can happen to a parent."""

    __hash__ = object.__hash__  # Enum's own is in Python

    ADMIT = "admit"
    HOLD = "hold"
    DENY = "deny"
    TRIGGER = "trigger"
    RESUME = "resume"
    """It was ending, and is completed first."""
    CLOSE = "close"
    FILL = "fill"
    DUST = "dust"
    EXPIRE = "expire"
    CANCEL = "cancel"
    ANOMALY = "anomaly"


_C, _E = ChildState, ChildEvent
_PROOFS: Final = {
    _E.FILLED_UP: _C.FILLED,
    _E.PROVEN_FILLED: _C.FILLED,
    _E.PROVEN_CANCELED: _C.CANCELED,
    _E.PROVEN_EXPIRED: _C.EXPIRED,
    _E.PROVEN_ABSENT: _C.LOST,
}
_REPORTS: Final = (
    _E.ACCEPTED,
    _E.REJECTED,
    _E.AMENDED,
    _E.AMEND_REFUSED,
    _E.CANCEL_REFUSED,
    _E.MARKED_UNKNOWN,
    _E.FOUND_OPEN,
    *_PROOFS,
)

CHILD_TERMINAL: Final = (_C.FILLED, _C.CANCELED, _C.EXPIRED, _C.REJECTED, _C.LOST)

CHILD_TABLE: Final[dict[ChildState, dict[ChildEvent, ChildState]]] = {
    _C.PLACING: {
        _E.ACCEPTED: _C.WORKING,
        _E.FOUND_OPEN: _C.WORKING,
        _E.REJECTED: _C.REJECTED,
        _E.CANCEL_SENT: _C.CANCELING,
        _E.MARKED_UNKNOWN: _C.UNKNOWN,
        **_PROOFS,
    },
    _C.WORKING: {
        _E.ACCEPTED: _C.WORKING,
        _E.FOUND_OPEN: _C.WORKING,
        _E.AMENDED: _C.WORKING,
        _E.AMEND_REFUSED: _C.WORKING,
        _E.CANCEL_REFUSED: _C.WORKING,
        _E.AMEND_SENT: _C.AMENDING,
        _E.CANCEL_SENT: _C.CANCELING,
        _E.MARKED_UNKNOWN: _C.UNKNOWN,
        **_PROOFS,
    },
    _C.AMENDING: {
        _E.ACCEPTED: _C.AMENDING,
        _E.FOUND_OPEN: _C.AMENDING,
        _E.CANCEL_REFUSED: _C.AMENDING,
        _E.AMENDED: _C.WORKING,
        _E.AMEND_REFUSED: _C.WORKING,
        _E.CANCEL_SENT: _C.CANCELING,
        _E.MARKED_UNKNOWN: _C.UNKNOWN,
        **_PROOFS,
    },
    _C.CANCELING: {
        _E.ACCEPTED: _C.CANCELING,
        _E.FOUND_OPEN: _C.CANCELING,
        _E.AMENDED: _C.CANCELING,
        _E.AMEND_REFUSED: _C.CANCELING,
        _E.CANCEL_REFUSED: _C.WORKING,
        _E.REJECTED: _C.REJECTED,
        _E.MARKED_UNKNOWN: _C.UNKNOWN,
        **_PROOFS,
    },
    _C.UNKNOWN: {
        _E.ACCEPTED: _C.WORKING,
        _E.FOUND_OPEN: _C.WORKING,
        _E.AMENDED: _C.WORKING,
        _E.AMEND_REFUSED: _C.WORKING,
        _E.CANCEL_REFUSED: _C.UNKNOWN,
        _E.CANCEL_SENT: _C.CANCELING,
        _E.REJECTED: _C.REJECTED,
        _E.MARKED_UNKNOWN: _C.UNKNOWN,
        _E.QUARANTINED: _C.QUARANTINED,
        **_PROOFS,
    },
    _C.QUARANTINED: {
        _E.ACCEPTED: _C.WORKING,
        _E.FOUND_OPEN: _C.WORKING,
        _E.AMENDED: _C.QUARANTINED,
        _E.AMEND_REFUSED: _C.QUARANTINED,
        _E.CANCEL_REFUSED: _C.QUARANTINED,
        _E.CANCEL_SENT: _C.CANCELING,
        _E.REJECTED: _C.REJECTED,
        _E.MARKED_UNKNOWN: _C.QUARANTINED,
        **_PROOFS,
    },
    # A confirmation is final: later reports about these were sent before it. Except when a venue says
    # so long after: then one of its two statements is false, and it is not known which.
    **{
        proven: {**dict.fromkeys(_REPORTS, proven), _E.REAPPEARED: _C.UNKNOWN}
        for proven in (_C.FILLED, _C.CANCELED, _C.EXPIRED)
    },
    # These were never reported alive; a sign of life overrides their absence.
    _C.REJECTED: {
        **dict.fromkeys(_REPORTS, _C.REJECTED),
        **_PROOFS,
        _E.PROVEN_ABSENT: _C.REJECTED,
        _E.REAPPEARED: _C.UNKNOWN,
    },
    _C.LOST: {**dict.fromkeys(_REPORTS, _C.LOST), **_PROOFS, _E.REAPPEARED: _C.UNKNOWN},
}

_P, _V, _F = ParentState, ParentEvent, ParentPhase
OUTCOMES: Final = {
    _V.FILL: _P.FILLED,
    _V.DUST: _P.DONE_DUST,
    _V.EXPIRE: _P.EXPIRED,
    _V.CANCEL: _P.CANCELED,
    _V.DENY: _P.DENIED,
    _V.ANOMALY: _P.ANOMALY,
}
"""State of a parent after each of its ends."""
PARENT_TERMINAL: Final = tuple(OUTCOMES.values())
_ENDS: Final = dict.fromkeys(OUTCOMES, _F.TERMINAL)

PARENT_TABLE: Final[dict[ParentPhase, dict[ParentEvent, ParentPhase]]] = {
    _F.GATING: {_V.ADMIT: _F.ACTIVE, _V.HOLD: _F.HELD, **_ENDS},
    _F.HELD: {_V.TRIGGER: _F.ACTIVE, _V.CANCEL: _F.TERMINAL, _V.ANOMALY: _F.TERMINAL},
    _F.ACTIVE: {_V.CLOSE: _F.CLOSING, **_ENDS},
    _F.CLOSING: {
        _V.CLOSE: _F.CLOSING,
        _V.RESUME: _F.ACTIVE,  # it has too little to be sold, and is completed first
        **_ENDS,
    },
    _F.TERMINAL: {_V.ANOMALY: _F.TERMINAL},
}
_OUT: Final = {
    _C.PLACING: _P.PLACING,
    _C.WORKING: _P.WORKING,
    _C.AMENDING: _P.AMENDING,
    _C.CANCELING: _P.CANCELING,
    _C.UNKNOWN: _P.UNKNOWN,
    _C.QUARANTINED: _P.UNKNOWN,
}
PRECEDENCE: Final = (
    _P.UNKNOWN,
    _P.CANCELING,
    _P.AMENDING,
    _P.PLACING,
    _P.CROSSING,
    _P.WORKING,
    _P.CAPPED,
)
"""Which state of several live orders is their parent's: the least certain first."""
_RANK: Final = {state: rank for rank, state in enumerate(PRECEDENCE)}
_SAME: Final = {
    _F.GATING: _P.GATING,
    _F.HELD: _P.HELD,
    _F.CLOSING: _P.CLOSING,
}


def doing(state: ChildState, *, immediate: bool, capped: bool) -> ParentState:
    """The state of one live order: ``immediate`` takes liquidity, ``capped`` is at its worst price."""
    word = _OUT[state]
    if immediate and (word is _P.PLACING or word is _P.WORKING):
        return _P.CROSSING
    return _P.CAPPED if capped and word is _P.WORKING else word


def first_of(one: ParentState, other: ParentState) -> ParentState:
    """The one of two such states that applies to both."""
    return one if _RANK[one] <= _RANK[other] else other


def state_of(phase: ParentPhase, *, paused: bool) -> ParentState:
    """The state of an open parent, where it does not depend on its live orders."""
    if phase is not _F.ACTIVE:
        return _SAME[phase]
    return _P.PAUSED if paused else _P.READY


def phase_of(state: ParentState) -> ParentPhase:
    """The phase of a parent that was stored in this state."""
    if state in PARENT_TERMINAL:
        return _F.TERMINAL
    return next((phase for phase, same in _SAME.items() if same is state), _F.ACTIVE)


StateT = TypeVar("StateT", ChildState, ParentPhase)
EventT = TypeVar("EventT", ChildEvent, ParentEvent)


def after(
    table: dict[StateT, dict[EventT, StateT]], state: StateT, event: EventT, what: str
) -> StateT:
    """The next state. Raises InvariantError, naming ``what``, when the table has no such row."""
    following = table[state].get(event)
    if following is None:
        raise InvariantError(f"{what}: {event.value} cannot happen in state {state.value}")
    return following
