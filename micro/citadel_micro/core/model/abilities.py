"""What a venue can do with orders: data, given by its order adapter."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from citadel_micro.core.model.time_units import SECOND
from citadel_proto.errors import BadInput

CLIENT_ID_LENGTH = 36
"""Longest client order id that an engine makes."""

Amends = Literal["none", "replace", "price", "in_place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueAbilities:
    """Of one venue, as its documentation says.

    Args:
        amends: how a resting order is changed: not at all; by a request that cancels it and places
            another; in its price only; in price and quantity, atomically. The engine amends
            ``in_place`` alone, and elsewhere cancels, waits for the proof, and places anew.
        dead_man_timer: the venue cancels our orders when it has not heard of us for a while.
        messages_per_second: orders, amends, cancels and queries together that may be sent.
        message_burst: how many of them at once after a pause.
        order_window_ns: a request that reaches the venue later than this is refused.
        client_id_length: longest client order id.
        client_id_form: regular expression of a whole one.
        displays_part: an order may show less than its whole quantity.
        shows_own_orders: our resting orders are part of the public book: true of exchanges.
    """

    amends: Amends = "none"
    dead_man_timer: bool = False
    messages_per_second: int = 10
    message_burst: int = 50
    order_window_ns: int = 2 * SECOND
    client_id_length: int = CLIENT_ID_LENGTH
    client_id_form: str = r"[A-Za-z0-9-]+"
    displays_part: bool = False
    shows_own_orders: bool = True

    def check_client_ids(self, venue: str, sample: str) -> None:
        """Raise BadInput where the venue would not take ids like this one."""
        if self.client_id_length < CLIENT_ID_LENGTH or not re.fullmatch(
            self.client_id_form, sample
        ):
            raise BadInput(
                f"{venue} takes client order ids of up to {self.client_id_length} characters as "
                f"{self.client_id_form}, and an order's may have {CLIENT_ID_LENGTH}, as {sample}",
                where=f"venues.{venue}",
                allowed=f"venues that take {CLIENT_ID_LENGTH} letters, digits and hyphens",
            )
