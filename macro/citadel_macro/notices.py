"""What people must know of micro, through Freqtrade's own messages: Telegram, webhook, FreqUI.

Each thing is said once: the loss of micro and its return, a risk state and its end, an order that
micro refused. Nothing here waits, and nothing here decides.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from citadel_macro.micro_client import MicroLink
    from citadel_proto.messages import ExecutionReport, RiskState

logger = logging.getLogger(__name__)

AGAIN_S: Final = 600.0
"""The same refusal of a pair and side is said again after this."""
NORMAL: Final = frozenset({"ACTIVE", ""})
SILENT: Final = (
    "micro is silent: no order can be sent. What is working there, and stops that it holds, are its own "
    "until it returns."
)


class Notices:
    """What was said, and what is new.

    Args:
        link: to micro.
        now: a monotonic clock in seconds.
    """

    def __init__(self, link: MicroLink, now: Callable[[], float] = time.monotonic) -> None:
        self.say: Callable[[str], object] = lambda _text: None
        """Sends a warning to people; set when Freqtrade's bot is up."""
        self._link = link
        self._now = now
        self._alive = True
        """Freqtrade starts only once micro has answered."""
        self._lost_s = 0.0
        self._silent: frozenset[str] = frozenset()
        """Of several micros those that were said to be silent."""
        self._refuses = ""
        self._risk: dict[str, tuple[str, str]] = {}
        """Last said by scope: state and trip."""
        self._refused_s: dict[tuple[str, str, str], float] = {}

    def check(self) -> None:
        """Say what has changed at micro since the last call."""
        self._check_presence()
        if self._alive:
            for scope, risk in tuple(self._link.risk().items()):
                self._check_risk(scope, risk)

    def refused(self, report: ExecutionReport) -> None:
        """Say that micro ended an order without trading, and why."""
        key = (report.symbol, report.side, report.reason_code)
        now = self._now()
        if now - self._refused_s.get(key, -AGAIN_S) < AGAIN_S:
            return
        self._refused_s[key] = now
        what = "stop" if report.kind == "stop" else report.side
        self._send(
            f"micro refused {what} {report.quantity} {report.symbol}: "
            f"{report.reason_code or report.status} ({report.reason or 'no reason given'})"
        )

    def filled(self, report: ExecutionReport) -> None:
        """A fill ends what was refused before it: the next refusal is news again."""
        for key in [key for key in self._refused_s if key[:2] == (report.symbol, report.side)]:
            del self._refused_s[key]

    def _check_presence(self) -> None:
        alive = self._link.alive()
        if alive != self._alive:
            self._alive = alive
            if not alive:
                self._lost_s = self._now()
                self._send(SILENT)
            else:
                self._send(f"micro is back after {self._now() - self._lost_s:.0f} s.")
        silent = frozenset(self._link.silent()) if alive else self._silent
        for name in sorted(silent - self._silent):
            self._send(
                f"a micro is silent ({name}): pairs of its own cannot be traded, the others can."
            )
        for name in sorted(self._silent - silent):
            self._send(f"a micro is back ({name}).")
        self._silent = silent
        refuses = self._link.refuses_us() if alive else self._refuses
        if refuses != self._refuses:
            self._refuses = refuses
            if refuses:
                self._send(f"micro accepts no orders of this bot: {refuses}")
            else:
                self._send("micro accepts orders of this bot again.")

    def _check_risk(self, scope: str, risk: RiskState) -> None:
        said = self._risk.get(scope, ("ACTIVE", ""))
        if (risk.state, risk.trip_id) == said:
            return
        self._risk[scope] = (risk.state, risk.trip_id)
        if risk.state in NORMAL:
            self._send(f"micro: {scope} trades normally again.")
            return
        why = f" ({risk.code}: {risk.reason})" if risk.code else ""
        mend = ""
        if risk.manual_reset and risk.trip_id:
            mend = f'; to go on: citadel operator reset --trip {risk.trip_id} --reason "..."'
        self._send(f"micro: {scope} is {risk.state}{why}{mend}")

    def _send(self, text: str) -> None:
        logger.warning("%s", text)
        self.say(text)
