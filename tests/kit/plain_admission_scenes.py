"""Scenes of parents at their admission: plain ones that must be known, and ones that the checks deny."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

import plain_margin_scenes
from gate_kit import (
    NOW,
    VENUE,
    S,
    calm,
    hollow,
    limits,
    parent,
    poor,
    with_market,
    with_view,
)
from plain_margin_scenes import held, marked
from plain_scenes import Scene

from citadel_micro.core.model.risk_limits import UNUSED

if TYPE_CHECKING:
    from collections.abc import Sequence

_USUAL = limits()
_TTL_NS, _SKEW_NS, _SOFT_NS = _USUAL.signal_ttl_ns, _USUAL.max_skew_ns, _USUAL.lease_soft_ns
_market = partial(parent, price_ticks=None)
_late = partial(parent, signal_expires_ns=NOW + 100 * S)

# A lot is 0.01, a tick 0.5; the book's best prices 99.9 and 100.1 lie between ticks: an ask of 100.5.
PLAIN: Sequence[Scene] = (
    *(Scene(parent(side=side)) for side in ("buy", "sell")),
    *(Scene(_market(side=side)) for side in ("buy", "sell")),
    *(Scene(_market(side=side, post_only=True)) for side in ("buy", "sell")),
    Scene(parent(asked_quantity=Decimal("1.00"), asked_price=Decimal("100.0"))),
    Scene(_market(asked_quantity=Decimal(1))),
    Scene(_market(quantity_lots=50, asked_lots=100, asked_quantity=Decimal(1))),
    Scene(_market(quantity_lots=6)),
    Scene(parent(quantity_lots=5)),
    Scene(_late(signal_created_ns=NOW - _TTL_NS)),
    Scene(_late(signal_created_ns=NOW + _SKEW_NS)),
    Scene(parent(signal_expires_ns=NOW + 1)),
    Scene(view=lambda: with_view(lease=_SOFT_NS), request=parent()),
    Scene(parent(), lambda: with_view(lease=None), limits(lease_required=False)),
    Scene(parent(), lambda: with_view(parents=3, parents_here=3)),
    *(
        Scene(_market(side=side), limits=limits(max_order_notional=Decimal("100.51")))
        for side in ("buy", "sell")
    ),
    # What takes meets the other side, whatever its price; what only rests joins its own.
    Scene(_market(side="sell"), lambda: with_market(book=hollow("asks"))),
    Scene(_market(), lambda: with_market(book=hollow("bids"))),
    Scene(_market(side="sell", post_only=True), lambda: with_market(book=hollow("bids"))),
    Scene(_market(post_only=True), lambda: with_market(book=hollow("asks"))),
    Scene(parent(), lambda: poor("100.21")),
    Scene(parent(), lambda: poor("100.21", "50")),
    Scene(parent(side="sell"), lambda: poor("1.01", "1", currency="BTC")),
    Scene(_market(), lambda: poor("100.71")),
    Scene(parent(), limits=limits(max_identical_orders=3), admitted=2),
    Scene(parent(), limits=limits(max_repeated_entries=3), admitted=2),
    Scene(parent(), limits=limits(max_identical_orders=UNUSED), admitted=2),
    Scene(parent(), limits=limits(max_messages_per_second=1), sent=3),
    # Reductions.
    *(
        Scene(request(side="sell", reduce_only=only), lambda: calm("1"))
        for request in (parent, _market)
        for only in (False, True)
    ),
    Scene(_market(), lambda: calm("-1")),
    Scene(_market(side="sell"), lambda: calm("1"), limits(max_repeated_entries=1), admitted=2),
    # Margined.
    *(Scene(_market(side=side), held) for side in ("buy", "sell")),
    Scene(parent(), held),
)
"""Each plain, and near one of its limits."""

_LEFT: Sequence[Scene] = (
    Scene(_late(signal_created_ns=NOW - _TTL_NS - 1)),
    Scene(_late(signal_created_ns=NOW + _SKEW_NS + 1)),
    Scene(parent(signal_expires_ns=NOW)),
    Scene(parent(asked_quantity=Decimal("1.001"))),
    Scene(parent(asked_quantity=Decimal("NaN"))),
    Scene(_market(quantity_lots=50, asked_lots=100, asked_quantity=Decimal("0.5"))),
    Scene(parent(asked_price=Decimal("100.1"))),
    Scene(_market(asked_price=Decimal(100))),
    Scene(_market(quantity_lots=4)),
    Scene(_market(quantity_lots=1.0)),
    Scene(_market(), lambda: with_market(quote=None)),
    Scene(_market(), lambda: with_market(quote=(100.1, 1.0, 99.9, 1.0))),
    Scene(_market(), lambda: with_market(quote=(0.0, 1.0, 99.9, 1.0))),
    Scene(_market(), lambda: with_market(quote=(99.9, 1.0, float("inf"), 1.0))),
    Scene(parent(), lambda: with_view(lease=_SOFT_NS + 1)),
    Scene(parent(), lambda: with_view(parents=4, parents_here=4)),
    *(
        Scene(_market(side=side), limits=limits(max_order_notional=Decimal("100.49")))
        for side in ("buy", "sell")
    ),
    Scene(_market(side="sell"), lambda: with_market(book=hollow("bids"))),
    Scene(_market(), lambda: with_market(book=hollow("asks"))),
    Scene(parent(), lambda: poor("100.19", "50")),
    Scene(parent(side="sell"), lambda: poor("0.99", "1", currency="BTC")),
    Scene(_market(), lambda: poor("100.69")),
    Scene(parent(), limits=limits(max_identical_orders=2), admitted=2),
    Scene(parent(), limits=limits(max_repeated_entries=2), admitted=2),
    Scene(parent(), tripped=("OPERATOR_HALT", "global")),
    Scene(parent(), lambda: calm("-0.9"), limits(max_identical_orders=2), admitted=2),
    Scene(parent(side="sell", reduce_only=True), lambda: calm("0.99")),
    Scene(_market(), lambda: marked(10**12)),
    Scene(parent(), limits=limits(dms_venues=(VENUE,))),
)
DENIED: Sequence[Scene] = tuple(scene for scene in _LEFT if scene.denied())
"""Those that the checks deny, each for one reason."""
assert len(DENIED) == len(_LEFT)


def told() -> bool:
    """As ``plain_margin_scenes.told``, and by any of these scenes."""
    try:
        return (
            plain_margin_scenes.told()
            or any(not scene.passes() for scene in PLAIN)
            or any(scene.passes() for scene in DENIED)
        )
    except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
        return True
