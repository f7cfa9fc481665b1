"""Lists of markets without a venue."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from citadel_micro.shell.instruments.markets import Market, MarketList
from citadel_micro.shell.instruments.rules import make_instrument

if TYPE_CHECKING:
    from collections.abc import Callable

Listed = "Callable[..., MarketList]"


@pytest.fixture
def listed() -> Callable[..., MarketList]:
    """Makes a list of okx: ``listed(fetched_ns, tick, **fields)`` with BTC/USDT and a closed one."""

    def make(fetched_ns: int = 1, tick: str = "0.1", /, **changes: Any) -> MarketList:  # noqa: ANN401 - fields by name
        def market(symbol: str, *, active: bool = True) -> Market:
            rules = make_instrument(
                venue="okx",
                symbol=symbol,
                native=symbol.replace("/", "-"),
                kind="spot",
                tick=Decimal(tick),
                lot=Decimal("0.00000001"),
                min_quantity=Decimal("0.00001"),
            )
            return Market(rules=rules, active=active)

        values: dict[str, Any] = {
            "venue": "okx",
            "source": "",
            "reader": "test",
            "fetched_ns": fetched_ns,
            "markets": {
                "BTC/USDT": market("BTC/USDT"),
                "OLD/USDT": market("OLD/USDT", active=False),
            },
            "left_out": {"X/Y": "no tick is given"},
        }
        return MarketList(**{**values, **changes})

    return make
