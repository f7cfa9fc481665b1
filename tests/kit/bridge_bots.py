"""The macros of ``bridge_story``, micro's wall clock, and what is known of a story."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from citadel_bridge.conclusions import LOCAL
from citadel_bridge.config import ConnectorConfig
from citadel_bridge.connector import HybridConnector

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_proto.messages import ExecutionReport


class Wall:
    """Micro's wall clock, which is set now and then; macro's is true."""

    def __init__(self) -> None:
        self.shift_ns = 0

    def __call__(self) -> int:
        return time.time_ns() + self.shift_ns


@dataclass
class Told:
    """What is known of one story."""

    signals: dict[str, tuple[int, bool]] = field(default_factory=dict)
    """Signal -> when it expires by true time, and whether its order ends then."""
    lots: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1


class Bot:
    """One macro over all its runs."""

    def __init__(self, name: str, folder: Path, signals: str, market: str, audit: float) -> None:
        self.config = ConnectorConfig(
            signals=signals,
            market=(market,),
            state_path=folder / f"{name}.sqlite",
            strategy=name,
            ack_timeout=0.02,
            ready_timeout=0.1,
            heartbeat=0.05,
            dead_after=0.4,
            resend_first=0.02,
            resend_max=0.2,
            audit=audit,
            skew_refuse=1.0,
        )
        self.name = name
        self.connector: HybridConnector | None = None
        self.sent: list[str] = []
        self.concluded: set[str] = set()
        """Orders of which macro has concluded by itself that they were never received."""
        self._count = 0

    def up(self) -> None:
        connector = HybridConnector(self.config)
        on_report = connector.mirror.on_report

        def note(report: ExecutionReport) -> None:
            if report.instance == LOCAL:
                self.concluded.add(report.signal_id)
            on_report(report)

        connector.mirror.on_report = note
        connector.start()
        self.connector = connector

    def vanish(self) -> None:
        """As if it were killed: no goodbye, and no last report is recorded."""
        connector, self.connector = self.connector, None
        if connector is not None:
            connector.publisher.close()
            connector._keeper.acks.clear()
            connector.close()

    def next_id(self) -> str:
        self._count += 1
        return f"{self.name}-{self._count}"
