"""A macro of another version of the messages: its orders are refused with both versions named."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from uplink_kit import Macro, Micro

from citadel_micro.shell.journal.verify import verify
from citadel_proto.messages import Cancel, ExecutionReport

if TYPE_CHECKING:
    from pathlib import Path


def test_orders_of_another_schema_are_refused_and_cancels_taken(tmp_path: Path) -> None:
    async def main() -> None:
        later, ours = Macro("later", owner="o1"), Macro("ours", owner="o2")
        micro = Micro(tmp_path / "run", (later.address, ours.address))
        try:
            micro.book()

            def refused() -> dict[str, str]:
                later.beat(schema=2)
                ours.beat()
                return dict(micro.beats()[-1].macros_refused) if micro.beats() else {}

            await micro.until(refused)
            ((name, reason),) = refused().items()
            assert name == later.name
            assert "version 2" in reason
            assert "micro 1" in reason
            assert name not in dict(micro.beats()[-1].macros_seen)

            bad, good = later.signal(), ours.signal()
            later.send(bad)
            ours.send(good)
            await micro.until(lambda: micro.report(bad.signal_id) and micro.report(good.signal_id))
            report = micro.report(bad.signal_id)
            assert report is not None
            assert (report.status, report.reason_code) == ("rejected", "SCHEMA_MISMATCH")
            assert "version 2" in report.reason
            taken = micro.report(good.signal_id)
            assert taken is not None
            assert taken.reason_code != "SCHEMA_MISMATCH"

            unknown = Cancel(signal_id="x", created_ns=1, epoch=later.epoch, seq=1)
            later.send(unknown)
            later.beat(schema=1)  # it was upgraded, and says so
            again = later.signal()
            later.send(again)
            await micro.until(lambda: micro.report(again.signal_id))
            upgraded = micro.report(again.signal_id)
            assert upgraded is not None
            assert upgraded.reason_code != "SCHEMA_MISMATCH"
            assert micro.undecodable == 0

            # Heartbeats say how many reports there were.
            await micro.until(lambda: micro.beats()[-1].reports == micro.uplink.reports)
            assert micro.uplink.reports == len(micro.of(ExecutionReport)) >= 3
        finally:
            micro.close()
            later.close()
            ours.close()
        found = verify(micro.journal.path)
        assert found.difference is None

    asyncio.run(main())
