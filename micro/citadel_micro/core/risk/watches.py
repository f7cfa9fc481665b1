"""What the gate watches by time: losses against their limits, feeds that stay away, a silent macro."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from citadel_micro.core.model.commands import Note
from citadel_micro.core.risk.circuit_breakers import GLOBAL, symbol_scope
from citadel_micro.core.risk.types import LeaseAction
from citadel_proto.reason_codes import RiskCode

if TYPE_CHECKING:
    from decimal import Decimal

    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.core.portfolio.portfolio import Portfolio
    from citadel_micro.core.risk.circuit_breakers import Breakers
    from citadel_micro.core.risk.types import RiskView


class LossWatch:
    """Trips the breakers of losses, and warns once before each."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers
        self.warned: dict[str, bool] = {}
        self.rebase_peak = False
        """A drawdown was accepted by name; without a new peak it would trip again."""

    def check(self, portfolio: Portfolio, limits: RiskLimits, now_ns: int) -> list[Note]:
        """Compare the profit of now with its limits; returns warnings."""
        profit = portfolio.observe(now_ns)
        if profit is None:
            return []
        if self.rebase_peak:
            self.rebase_peak = False
            portfolio.curve.rebase_peak()
            self._breakers.version += 1
        notes: list[Note] = []
        curve = portfolio.curve
        rows: tuple[tuple[RiskCode, Decimal, Decimal], ...] = (
            (RiskCode.DAILY_LOSS, curve.daily_loss(profit), limits.max_daily_loss),
            (RiskCode.ROLLING_LOSS, curve.rolling_loss(profit), limits.max_rolling_loss),
            (RiskCode.DRAWDOWN, curve.drawdown(profit), limits.max_drawdown),
        )
        for code, loss, most in rows:
            text = f"loss of {loss:.2f} {limits.reporting_currency}, limit {most}"
            if loss >= most:
                tripped = self._breakers.find(code, GLOBAL)
                if tripped is None or tripped.phase != "tripped":
                    self._breakers.trip(code, GLOBAL, text, now_ns)
            near = loss >= most * limits.warn_fraction
            if near and not self.warned.get(code, False):
                fields = (("code", code), ("loss", str(loss)), ("limit", str(most)))
                notes.append(Note(level="warning", event="loss_near_limit", fields=fields))
            self.warned[code] = near
        return notes


class FeedWatch:
    """Trips the breaker of a symbol whose book stays away."""

    def __init__(self, breakers: Breakers) -> None:
        self._breakers = breakers
        self._down_ns: dict[tuple[str, str], tuple[int, str]] = {}
        self._seen: dict[tuple[str, str], None] = {}
        """Books that were LIVE once; the first snapshots of many books take time at the start."""

    def on_feed(self, key: tuple[str, str], now_ns: int, *, live: bool, reason: str) -> None:
        """A book became LIVE, or is no longer."""
        if live:
            self._seen[key] = None
            self._down_ns.pop(key, None)
        elif key in self._seen:
            self._down_ns.setdefault(key, (now_ns, reason))
        self._breakers.healthy(RiskCode.STALE_FEED, symbol_scope(*key), now_ns, healthy=live)

    def forget(self, key: tuple[str, str]) -> None:
        """A book that is not meant to be LIVE any more."""
        self._seen.pop(key, None)
        self._down_ns.pop(key, None)

    def check(self, limits: RiskLimits, now_ns: int) -> None:
        """Trip those that have been away for too long."""
        for key, (since_ns, reason) in self._down_ns.items():
            if now_ns - since_ns >= limits.feed_trip_ns:
                self._breakers.trip(RiskCode.STALE_FEED, symbol_scope(*key), reason, now_ns)

    def to_state(self) -> dict[str, object]:
        """Plain data from which ``load`` makes an equal object."""
        return {
            "feed_down": [[v, s, ns, why] for (v, s), (ns, why) in self._down_ns.items()],
            "feed_seen": [list(key) for key in self._seen],
        }

    def load(self, state: dict[str, object]) -> None:
        """Restore what ``to_state`` gave."""
        self._down_ns = {
            (v, s): (ns, why)
            for v, s, ns, why in cast("list[tuple[str, str, int, str]]", state["feed_down"])
        }
        seen = cast("list[tuple[str, str]]", state.get("feed_seen", []))
        self._seen = dict.fromkeys((v, s) for v, s in seen)


def watch_lease(view: RiskView, limits: RiskLimits, breakers: Breakers, now_ns: int) -> LeaseAction:
    """What the silence of macro asks for now; trips its breaker where it is too long."""
    age = view.lease_age_ns(now_ns)
    if not limits.lease_required:
        action = LeaseAction.NONE
    elif age is None:
        # No heartbeat ever: no order of ours can be its, so there is nothing to cancel.
        action = LeaseAction.NO_NEW_PARENTS
    elif age > limits.lease_hard_ns:
        action = LeaseAction.CANCEL_ENTRIES
    elif age > limits.lease_soft_ns:
        action = LeaseAction.NO_NEW_PARENTS
    else:
        action = LeaseAction.NONE
    if action is LeaseAction.CANCEL_ENTRIES:
        text = f"no heartbeat of macro for {limits.lease_hard_ns / 1e9:g} s"
        breakers.trip(RiskCode.LEASE_LOST, GLOBAL, text, now_ns)
    breakers.healthy(RiskCode.LEASE_LOST, GLOBAL, now_ns, healthy=action is LeaseAction.NONE)
    return action
