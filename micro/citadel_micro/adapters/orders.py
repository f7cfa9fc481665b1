"""Where orders can be sent: the makers of order adapters, by mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from citadel_micro.adapters.paper.orders import PaperOrders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.shell.order_adapter import OrderAdapters

ORDER_ADAPTERS: Final[Mapping[str, OrderAdapters]] = {"paper": PaperOrders()}
