"""An algorithm that answers what the test says, with several orders out at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine_kit import MS, SECOND, START, Rig, config, signal
from ladder_kit import Ladder

from citadel_micro.core.algos.base import KEEP, Orders, Work
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.orders.children import Child
from citadel_micro.core.orders.order_states import (
    ChildState,
)

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Decision
    from citadel_micro.core.orders.instrument_state import InstrumentState
    from citadel_micro.core.orders.orders import Parent


LATE = START + 600 * SECOND


class Script(Ladder):
    """Wants what the test says."""

    answer: Decision = KEEP

    def decide(self, parent: Parent, inst: InstrumentState, now_ns: int) -> Decision:
        del parent, inst, now_ns
        return self.answer


def work(price: int, lots: int | None = None, **changes: bool) -> Work:
    values: dict[str, Any] = {"post_only": False, "ioc": False, "capped": False}
    return Work(price, quantity_lots=lots, **{**values, **changes})


def venue(**changes: bool) -> VenueConfig:
    usual: dict[str, Any] = {"messages_per_second": 100, "message_burst": 500}
    return VenueConfig(shows_own_orders=False, **{**usual, **changes})


def started(script: type[Script], *wanted: Work, able: VenueConfig | None = None) -> Rig:
    """A buy of 500 lots that wants these orders, and has them."""
    rig = Rig(config(able or venue()))
    script.answer = Orders(wanted)
    rig.send(signal(algo="ladder", params=(("time_limit_ms", 60_000),), expires_ns=LATE))
    rig.run(10 * MS)
    return rig


def look(rig: Rig) -> None:
    """The market is shown, and what follows arrives."""
    rig.book(rig.bid, rig.ask)
    rig.run(10 * MS)


def resting(rig: Rig) -> list[tuple[int, int]]:
    """Price and open lots of what is at the venue."""
    return sorted(
        (order.price_ticks, order.quantity_lots - order.filled_lots)
        for order in rig.venue.open_orders()
    )


def child(price: int, name: str = "c", *, state: ChildState = ChildState.WORKING) -> Child:
    return Child(
        client_id=name,
        price_ticks=price,
        quantity_lots=10,
        post_only=False,
        ioc=False,
        reduce_only=False,
        placed_ns=0,
        expires_ns=0,
        book_seq=0,
        mid_half_ticks=0,
        state=state,
    )
