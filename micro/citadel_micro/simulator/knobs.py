"""The simulator's faults: a table, from which the reference page is generated.

A knob is turned by a rule, ``[KEY:]NAME=WHEN[,on=WHAT][,for=SECONDS]`` (``fault_rules``). What it
counts are requests or events of the key; ``on`` narrows that to methods or execution types.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Counts(Enum):
    """What a knob counts, one after another, to decide whether this one is hit."""

    REQUEST = "requests"
    EVENT = "events"


TRADING: Final = (
    "order.place",
    "order.cancel",
    "order.cancelReplace",
    "order.amend.keepPriority",
    "openOrders.cancelAll",
    "order.modify",
    "batchOrders.place",
    "batchOrders.modify",
    "batchOrders.cancel",
    "algoOrder.place",
    "algoOrder.cancel",
)
PLACING: Final = ("order.place", "order.cancelReplace")
COUNTED: Final = (*PLACING, "order.modify", "batchOrders.place", "batchOrders.modify")
"""What counts as an order, so that its answer has the order counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knob:
    """One kind of fault.

    ``on`` is what it counts unless the rule names something else (empty: everything); ``seconds`` is
    the default of ``for``.
    """

    name: str
    counts: Counts = Counts.REQUEST
    on: tuple[str, ...] = TRADING
    seconds: float = 0.0
    does: str


UNKNOWN_STATUS: Final = "PENDING_REVIEW"
"""The status that no document knows, for the faults that make it up."""
SKEW: Final = "clock-skew"
"""Evaluated when a request comes in, before all others."""
_EVENT: Final = Counts.EVENT

USDM_ONLY: Final = ("listen-key-deleted", "liquidated", "deleveraged")
"""Faults that spot has no way to."""

TAKEN_ONLY: Final = ("taken-lost",)
"""Faults of venues whose answer says only that a request was taken (Bybit)."""

KNOBS: Final[dict[str, Knob]] = {
    knob.name: knob
    for knob in (
        # ---------------------------------------------------------------- requests and answers
        Knob(
            name="request-lost",
            does="not carried out; the connection is closed without an answer",
        ),
        Knob(
            name="request-delayed",
            seconds=1.0,
            does="carried out `for` seconds later, if `recvWindow` still allows it",
        ),
        Knob(
            name="overloaded",
            does="not carried out; 503 with -1008",
        ),
        Knob(
            name="unknown-executed",
            does="carried out, but answered -1007 (status unknown)",
        ),
        Knob(
            name="unknown-lost",
            does="not carried out, and answered -1007 (status unknown)",
        ),
        Knob(
            name="unknown-late",
            seconds=5.0,
            does="answered -1007 at once, and carried out `for` seconds later, as a back end that "
            "times out after 10 s may",
        ),
        Knob(
            name="http-503-executed",
            does="carried out, but answered 503 (REST: a page of HTML)",
        ),
        Knob(
            name="http-503-lost",
            does="not carried out, and answered 503 (REST: a page of HTML)",
        ),
        Knob(
            name="answer-lost",
            does="carried out; the connection is closed without an answer",
        ),
        Knob(
            name="answer-delayed",
            seconds=1.0,
            does="carried out; the answer comes `for` seconds later",
        ),
        Knob(
            name="answer-garbled",
            does='carried out; the answer is valid JSON that says nothing: `{"result": "ok"}`',
        ),
        Knob(
            name="unknown-status",
            does="carried out; the answer has a `status` that no document knows",
        ),
        Knob(
            name="too-many-requests",
            on=(),
            does="not carried out; 429 with -1003 and `Retry-After: for`",
            seconds=1.0,
        ),
        Knob(
            name="banned",
            on=(),
            does="not carried out; the address is banned: 418 with -1003, longer each time",
        ),
        Knob(
            name="too-many-orders",
            on=PLACING,
            seconds=1.0,
            does="not carried out; 429 with -1015",
        ),
        Knob(
            name=SKEW,
            on=(),
            seconds=5.0,
            does="the server's clock is `for` seconds ahead (negative: behind), for `time` too",
        ),
        # ---------------------------------------------------------------- orders
        Knob(
            name="query-lag",
            on=PLACING,
            seconds=2.0,
            does="for `for` seconds queries do not know the order that was just placed (-2013)",
        ),
        Knob(
            name="cancel-unknown",
            on=("order.cancel", "order.cancelReplace"),
            does="answered -2011 `Unknown order sent.` although the order lives on",
        ),
        Knob(
            name="fill-wins",
            on=("order.cancel", "order.cancelReplace"),
            does="the order is filled just before the cancel arrives (-2011, and the fills)",
        ),
        Knob(
            name="fill-after-cancel",
            on=("order.cancel",),
            seconds=0.2,
            does="a lie: the cancel is confirmed, and `for` seconds later the order is filled",
        ),
        Knob(
            name="half-replace",
            on=("order.cancelReplace",),
            does="the old order is canceled, the new one refused: 409 with -2021",
        ),
        Knob(
            name="self-trade",
            on=PLACING,
            does="the account's other client trades with the order just placed: one trade id, twice",
        ),
        Knob(
            name="foreign-order",
            on=PLACING,
            does="the account's other client rests an order of its own (client id `web_…`)",
        ),
        Knob(
            name="halt",
            on=PLACING,
            seconds=5.0,
            does="the symbol is halted for `for` seconds before the request is looked at",
        ),
        Knob(
            name="taken-lost",
            on=("order.place", "order.modify", "order.cancel"),
            does="Bybit: answered as taken, and never carried out: no event, and no order where one was "
            "to be placed",
        ),
        # ---------------------------------------------------------------- sessions
        Knob(
            name="key-revoked",
            on=(),
            does="the key is revoked: -2015 from here on, on a session with `id: null`",
        ),
        Knob(
            name="server-shutdown",
            on=(),
            seconds=1.0,
            does="every private connection gets `serverShutdown`, and is cut `for` seconds later",
        ),
        Knob(
            name="session-cut",
            on=(),
            does="every private connection is cut, as at its age of 24 hours",
        ),
        Knob(
            name="stream-terminated",
            on=(),
            does="the account's subscriptions end with `eventStreamTerminated`",
        ),
        # ---------------------------------------------------------------- USD-M alone
        Knob(
            name="listen-key-deleted",
            on=(),
            does="USD-M: another client deletes the listen key; the sockets stay up, in silence",
        ),
        Knob(
            name="liquidated",
            on=PLACING,
            does="USD-M: after the answer the position in the symbol is liquidated (`autoclose-…`)",
        ),
        Knob(
            name="deleveraged",
            on=PLACING,
            does="USD-M: after the answer the position is closed by ADL (`adl_autoclose-…`)",
        ),
        # ---------------------------------------------------------------- events
        Knob(
            name="event-first",
            seconds=0.05,
            does="events go out at once, the answer `for` seconds after them",
        ),
        Knob(
            name="answer-first",
            seconds=0.2,
            does="the answer goes out at once, the events `for` seconds after it",
        ),
        Knob(
            name="mute",
            counts=_EVENT,
            on=(),
            seconds=0.0,
            does="no event for `for` seconds (0: ever again), while the socket stays up",
        ),
        Knob(
            name="event-lost",
            counts=_EVENT,
            on=(),
            does="this event is never sent",
        ),
        Knob(
            name="event-duplicated",
            counts=_EVENT,
            on=(),
            does="this event is sent twice",
        ),
        Knob(
            name="event-reordered",
            counts=_EVENT,
            on=(),
            seconds=0.5,
            does="this event is sent after the next one, or after `for` seconds",
        ),
        Knob(
            name="event-delayed",
            counts=_EVENT,
            on=(),
            seconds=1.0,
            does="this event is sent `for` seconds late, the others are not",
        ),
        Knob(
            name="new-delayed",
            counts=_EVENT,
            on=("NEW",),
            seconds=60.0,
            does="NEW is sent `for` seconds late",
        ),
        Knob(
            name="total-shrinks",
            counts=_EVENT,
            on=("TRADE",),
            does="a lie: the cumulative quantity is less than the report before said",
        ),
        Knob(
            name="event-unknown-status",
            counts=_EVENT,
            on=("NEW", "TRADE", "CANCELED"),
            does="a lie: the report has a status that no document knows",
        ),
    )
}
