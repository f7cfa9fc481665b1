"""A signal that nobody sent and a report that goes nowhere: the bridge's formats alone are used."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from engine_kit import rules
from uplink_kit import SECOND, Macro, Micro

from citadel_micro.core.model.events import SignalReceived
from citadel_micro.shell.rehearsal import EVERY_NS, Rehearsal
from citadel_proto import topics
from citadel_proto.codec import encode
from citadel_proto.messages import ExecutionReport

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.commands import PlaceOrder


def test_what_is_rehearsed_is_neither_counted_nor_kept_nor_sent(tmp_path: Path) -> None:
    async def main() -> None:
        macro = Macro()
        micro = Micro(tmp_path / "run", (macro.address,))
        try:
            await micro.until(micro.beats)
            uplink, stats = micro.uplink, micro.stats
            signal = macro.signal()
            frame = topics.join(topics.topic_of(signal), encode(signal))
            before = (uplink.published, uplink.reports, uplink.undecodable, dict(stats.events))

            event = uplink.rehearse_signal(frame)
            assert isinstance(event, SignalReceived)
            assert (event.signal_id, event.created_ns) == (signal.signal_id, signal.created_ns)
            orders: list[PlaceOrder] = []
            rehearsal = Rehearsal(micro.engine.config, rules(), orders.append, uplink)
            for number in range(20):
                rehearsal.step(micro.clock.now() + number * EVERY_NS)
            assert len(orders) == 10

            assert before == (
                uplink.published,
                uplink.reports,
                uplink.undecodable,
                stats.events,
            )
            assert not micro.engine.order_store.known
            # Its frames would have shown as a gap, or as a report that nobody asked for.
            while "MacroBeat" not in stats.events:
                await macro.watch(micro, 0.05)
            macro.send(macro.signal(expires_ns=macro.wall() + 60 * SECOND))
            await micro.until(lambda: micro.of(ExecutionReport))
            first = micro.of(ExecutionReport)[0]
            assert (first.signal_id, first.seq) == ("macro-1-2", 1)
        finally:
            micro.close()
            macro.close()

    asyncio.run(main())
