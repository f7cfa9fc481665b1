"""An exchange that answers from a replica, whose clock is not ours, and whose back end holds amends.

Whatever it says of an order is true of some moment since; which moment, it does not say.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from heapq import heappush
from random import Random
from typing import TYPE_CHECKING, Any, Final, Literal

from engine_exchange import FakeVenue, Faults
from engine_kit import MS, SECOND, START, VENUE, config, signal
from strict_rig import StrictRig, assert_quiet, send_signal, settle, wander

from citadel_micro.core.model.commands import AmendOrder
from citadel_micro.core.model.config import VenueConfig
from citadel_micro.core.model.events import AmendRejected, OrderAmended

if TYPE_CHECKING:
    from engine_exchange import Request

    from citadel_micro.core.model.events import OrderState, VenueReport

Kind = Literal["one child", "lag", "crash", "held amends"]
KINDS: Final[tuple[Kind, ...]] = ("one child", "lag", "crash", "held amends")


class LaggingVenue(FakeVenue):
    """See the module; with nothing set it is a ``FakeVenue``."""

    def __init__(self, chance: Random, faults: Faults) -> None:
        super().__init__(chance, faults)
        self.lag_ns = 0
        """Of every second answer to a query, at most."""
        self.clock_ns = 0
        """Its clock minus ours, in reports of amends."""
        self.refuses_amends = 0.0
        self.holds_amends_ns = 0
        """Some amends are carried out up to so much later, though not after their expiry by more."""
        self._past: dict[str, list[tuple[int, tuple[int, int, int, Any]]]] = {}
        self._was_held: dict[int, AmendOrder] = {}

    def heal(self) -> None:
        super().heal()
        self.lag_ns = self.clock_ns = self.holds_amends_ns = 0
        self.refuses_amends = 0.0

    def fill(self, *args: Any, **more: Any) -> Any:  # noqa: ANN401 - as the exchange's own
        report = super().fill(*args, **more)
        self._remember()
        return report

    def state_of(self, client_id: str, source: Any) -> OrderState:  # noqa: ANN401 - the same
        state = super().state_of(client_id, source)
        if not self.lag_ns or client_id not in self.orders or self._happens(0.5):
            return state
        at_ns = self.now - self.chance.randint(0, self.lag_ns)
        past = [row for when_ns, row in self._past.get(client_id, []) if when_ns <= at_ns]
        if not past:
            return replace(
                state, status="not_found", price_ticks=0, quantity_lots=0, cumulative_lots=0
            )
        price, quantity, filled, status = past[-1]
        return replace(
            state, status=status, price_ticks=price, quantity_lots=quantity, cumulative_lots=filled
        )

    def _arrive(self, command: Request) -> None:
        if isinstance(command, AmendOrder) and id(command) not in self._was_held:
            if self._happens(self.refuses_amends):
                code = self.chance.choice(("RATE_LIMIT", "POST_ONLY", "OTHER"))
                refused: Any = AmendRejected(
                    venue=VENUE,
                    symbol=command.symbol,
                    client_id=command.client_id,
                    code=code,  # type: ignore[arg-type]  # one of its codes
                    text="x",
                )
                self._tell(refused)
                return
            if self.holds_amends_ns and self._happens(0.15):
                self._hold(command)
                return
        super()._arrive(command)
        self._remember()

    def _hold(self, command: AmendOrder) -> None:
        expires_ns = command.expires_ns + self.holds_amends_ns
        late = replace(command, expires_ns=expires_ns)
        at_ns = min(expires_ns - 1, self.now + self.chance.randint(0, self.holds_amends_ns))
        self._was_held[id(late)] = late
        self._count += 1
        heappush(self._inbox, (max(at_ns, self.now), self._count, late))

    def _tell(self, report: VenueReport) -> None:
        if isinstance(report, OrderAmended):
            report = replace(report, exchange_ns=report.exchange_ns + self.clock_ns)
        super()._tell(report)

    def _remember(self) -> None:
        for client_id, order in self.orders.items():
            past = self._past.setdefault(client_id, [])
            row = (order.price_ticks, order.quantity_lots, order.filled_lots, order.status)
            if not past or past[-1][1] != row:
                past.append((self.now, row))


def play(seed: int, kind: Kind) -> None:
    """One run, to its end. Raises AssertionError for whatever does not hold.

    The ladder has to be among the algorithms (``ladder_kit.ladder``).
    """
    chance = Random(seed)
    held = kind == "held amends"
    rig = _rig(chance, seed, held=held)
    venue = rig.venue
    assert isinstance(venue, LaggingVenue)
    venue.clock_ns = chance.choice((0, 0, -2, 2, -3_600)) * SECOND
    if kind == "lag" or held:
        venue.lag_ns = chance.choice((200 * MS, 2 * SECOND, 4 * SECOND))
    if held:
        venue.refuses_amends = 0.25
        venue.holds_amends_ns = rig.settings.venues[VENUE].backend_timeout_ns
    for number in range(3):
        if held:
            _send_ladder(rig, chance, number)
        else:
            send_signal(rig, chance, number, several=kind != "one child")
        wander(rig, chance, chance.randint(1, 30))
        if (kind in ("one child", "crash") and chance.random() < 0.6) or chance.random() < 0.1:
            rig.drop_after = chance.randint(0, 6)
            wander(rig, chance, 10)
            rig.restart()
            wander(rig, chance, 10)
        if chance.random() < 0.2:
            rig.cancel(f"s{number}")
    settle(rig)
    assert_quiet(rig)


def _rig(chance: Random, seed: int, *, held: bool) -> StrictRig:
    amends: dict[str, Any] = {
        "amend_native": chance.random() < (0.7 if held else 0.5),
        "amend_down": chance.random() < 0.6,
    }
    settings = config(
        VenueConfig(
            shows_own_orders=False,
            messages_per_second=100 if held else chance.choice((5, 20, 100)),
            message_burst=200 if held else chance.choice((10, 20, 200)),
            order_window_ns=chance.choice((500 * MS, 2 * SECOND, 5 * SECOND)),
            backend_timeout_ns=chance.choice((0, 3 * SECOND)),
            **amends,
        ),
        audit_ns=chance.choice((300 * MS, 1 * SECOND, 15 * SECOND)),
        request_timeout_ns=chance.choice((500 * MS, 3 * SECOND)),
        quarantine_ns=chance.choice((3 * SECOND, 60 * SECOND)),
    )
    faults = Faults(
        lose_request=chance.choice((0.0, 0.1, 0.3)),
        lose_report=chance.choice((0.0, 0.1, 0.3)),
        duplicate=chance.choice((0.0, 0.2, 0.5)),
        slow=chance.choice((0.0, 0.2, 0.5)),
        slow_ns=chance.choice((1, 4, 6)) * SECOND,
        silent_loss=0.5,
    )
    return StrictRig(settings, venue=LaggingVenue(Random(seed + 1), faults))


def _send_ladder(rig: StrictRig, chance: Random, number: int) -> None:
    params: dict[str, Any] = {
        "levels": chance.randint(2, 4),
        "step_ticks": chance.choice((0, 1, 2)),
        "even": True,
        "take": False,
        "time_limit_ms": 20_000,
    }
    rig.send(
        signal(
            f"s{number}",
            side=chance.choice(("buy", "sell")),
            quantity=Decimal(chance.randint(20, 500)) / 1_000,
            algo="ladder",
            params=tuple(sorted(params.items())),
            created_ns=rig.now,
            expires_ns=START + 1_000_000 * SECOND,
        )
    )
