"""What a venue supports for orders: data, provided by its order adapter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from citadel_micro.core.model.account_events import TradeKind
from citadel_micro.core.model.client_ids import ClientIdForm
from citadel_micro.core.model.time_units import SECOND

Execution = Literal["native", "unverified", "paper"]
Amends = Literal["none", "quantity_down", "in_place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAbilities:
    """Of one venue, according to its documentation.

    Args:
        amends: how a resting order is changed under its client id, atomically: in price and quantity
            (``in_place``); to less of it at its price, keeping its turn (``quantity_down``: Binance
            spot); not at all (``none``), which is also a request that cancels it and places another
            under a new id. What the venue cannot amend is canceled, confirmed, and placed again.
        dead_man_timer: the venue cancels our orders when it has received nothing from us for a while.
        messages_per_second: orders, amends, cancels and queries together that may be sent.
        message_burst: how many of them at once after a pause.
        order_window_ns: a request that reaches the venue later than this is rejected.
        client_id_form: in which form it accepts client order ids (``core.model.client_ids``).
        fill_or_kill: an order may be for all of it at once or nothing.
        displays_part: an order may show less than its whole quantity.
        tells_trades: every trade of the account can be asked for, with the client id of its order.
        backend_timeout_ns: how long after a request has reached it the venue may still carry it
            out without having answered (Binance: 10 s). Added to the expiry before "not found" is
            believed.
        forced_ids: beginnings of the client ids that the venue gives its own orders against a
            position, with what each does: liquidation, adl or settlement.
        execution: ``native`` where the adapter is the venue's own, ``unverified`` where it is a generic one that
            nobody has tried at the venue, ``paper``.
        margined: it trades derivatives, and states margin terms, mark prices and funding.
        shows_own_orders: our resting orders are part of the public book: true of exchanges.
    """

    amends: Amends = "none"
    dead_man_timer: bool = False
    messages_per_second: int = 10
    message_burst: int = 50
    order_window_ns: int = 2 * SECOND
    client_id_form: ClientIdForm = "ours"
    displays_part: bool = False
    fill_or_kill: bool = False
    shows_own_orders: bool = True
    tells_trades: bool = False
    backend_timeout_ns: int = 0
    forced_ids: tuple[tuple[str, TradeKind], ...] = ()
    margined: bool = False
    execution: Execution = "native"
