"""No order of ours trades with another one of ours."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from engine_kit import KEY, MS, SECOND, START, SYMBOL, VENUE, Rig, config, signal
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.approval import Approved
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import RequestTimedOut

if TYPE_CHECKING:
    from collections.abc import Sequence

    from citadel_micro.core.engine.engine import Command
    from citadel_micro.core.model.events import Event


def rest(rig: Rig, name: str, side: str, price: str, **changes: object) -> None:
    rig.send(
        signal(
            name,
            **{
                "side": side,
                "algo": "limit",
                "limit_price": Decimal(price),
                "quantity": Decimal("0.1"),
                "created_ns": rig.now,
                "expires_ns": START + 3_600 * SECOND,
                **changes,
            },
        )
    )
    rig.run(50 * MS)


def take(rig: Rig, name: str, side: str, **changes: object) -> None:
    rig.send(
        signal(
            name,
            **{
                "side": side,
                "order_type": "market",
                "quantity": Decimal("0.1"),
                "created_ns": rig.now,
                **changes,
            },
        )
    )


def test_a_market_buy_does_not_take_our_own_sell() -> None:
    rig = Rig()
    rest(rig, "sell", "sell", "60000.1")
    placed = len(rig.venue.placed)
    take(rig, "buy", "buy")
    rig.run(2 * SECOND)
    assert rig.report("buy").reason_code == "SELF_CROSS"
    assert rig.report("sell").status == "working"
    assert len(rig.venue.placed) == placed

    rig.cancel("sell")
    rig.run(2 * SECOND)
    assert rig.report("buy").status == "filled"


def test_it_reaches_only_what_its_worst_price_reaches() -> None:
    rig = Rig()
    rest(rig, "sell", "sell", "60200")
    take(rig, "buy", "buy", algo="marketable_limit", params=(("max_cross_bps", 20.0),))
    rig.run(SECOND)
    assert rig.report("buy").status == "filled"


@pytest.mark.parametrize("kind", ["exit", "stop", "flatten"])
def test_an_exit_withdraws_the_entry_that_it_would_trade_with(kind: str) -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    take(rig, "first", "buy")
    rig.run(SECOND)
    rest(rig, "more", "buy", "59999")
    if kind == "exit":
        take(rig, "out", "sell")
    elif kind == "stop":
        stop = {"kind": "stop", "stop_price": Decimal(59_999)}
        take(rig, "out", "sell", **stop, params=())
        for _ in range(2):
            rig.book(59_999.0, 59_999.1)
    else:
        rig.operate("flatten")
    rig.run(2 * SECOND)
    assert rig.engine.portfolio.quantity(*KEY) == 0
    assert rig.report("more").status == "canceled"
    if kind != "flatten":
        assert rig.report("more").reason_code == "SELF_CROSS"


def test_an_order_in_doubt_traps_no_exit() -> None:
    rig = Rig()
    rig.venue.partial_share = 0.0
    take(rig, "first", "buy")
    rig.run(SECOND)
    rest(rig, "more", "buy", "59999")
    order = rig.live("more")
    rig.venue.mute = True
    rig.cancel("more")
    rig.send(
        RequestTimedOut(
            venue=VENUE, symbol=SYMBOL, client_id=order.place.client_id, request="cancel"
        )
    )
    placed = len(rig.venue.placed)
    take(rig, "out", "sell")
    assert (rig.report("out").reason_code, len(rig.venue.placed)) == ("", placed + 1)


class Watched(Rig):
    """Looks at every order that leaves."""

    def check_after(self, event: Event, commands: Sequence[Command]) -> None:
        del event
        for command in commands:
            if not isinstance(command, Approved):
                continue
            order = command.order
            sign = 1 if order.side == "buy" else -1
            for other in self.venue.orders.values():
                if other.status == "open" and other.place.side != order.side:
                    assert sign * order.price_ticks < sign * other.price_ticks


steps = st.lists(
    st.tuples(
        st.sampled_from(["buy", "sell"]),
        st.sampled_from(["limit", "market", "chase"]),
        st.integers(59_995, 60_005),
    ),
    min_size=2,
    max_size=10,
)


@given(steps=steps, amends=st.booleans())
def test_whatever_is_asked_for_nothing_is_sent_into_our_own_orders(
    steps: list[tuple[str, str, int]],
    amends: bool,
) -> None:
    venue = VenueConfig(
        shows_own_orders=False, messages_per_second=100, message_burst=500, amend_native=amends
    )
    rig = Watched(config(venue))
    for number, (side, kind, price) in enumerate(steps):
        if kind == "limit":
            rest(rig, f"s{number}", side, str(price))
        elif kind == "market":
            take(rig, f"s{number}", side)
        else:
            rig.send(signal(f"s{number}", side=side, created_ns=rig.now))
        rig.book(float(price), price + 0.1)
        rig.run(300 * MS)
