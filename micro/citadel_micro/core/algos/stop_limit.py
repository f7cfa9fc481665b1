"""Stop limit: held by micro as a stop, then one order at the signal's limit price.

It rests there if the market has gone on: the price is certain, and the fill is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from citadel_micro.core.algos.limit import Limit
from citadel_micro.core.algos.stop import TRIGGER, Stop
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from citadel_micro.core.algos.base import Algorithm
    from citadel_micro.core.model.events import SignalReceived


class StopLimit(Stop):
    """See the module."""

    name = "stop_limit"
    params = TRIGGER

    def executing(self) -> Algorithm:
        """See ``Stop.executing``."""
        return Limit.make(())

    def check(self, signal: SignalReceived) -> None:
        """See ``Algorithm.check``."""
        super().check(signal)
        if signal.limit_price is None:
            raise BadInput(
                "a stop limit needs a limit price", mend="give limit_price, or use the stop"
            )
