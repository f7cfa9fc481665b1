"""What one publisher sends costs him, and not the others."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from uplink_kit import SECOND, Macro, Micro

from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.bridge.shares import LIST_COST, OTHERS, QUESTIONS, SIGNALS, Shares
from citadel_micro.shell.journal.verify import verify
from citadel_proto.messages import Cancel, Query

if TYPE_CHECKING:
    from pathlib import Path


def query(kind: str = "orders") -> Query:
    return Query(
        query_id="q",
        kind=kind,  # type: ignore[arg-type]
        reply_to="m",
        created_ns=1,
        epoch=1,
        seq=1,
    )


def test_shares_run_out_and_come_back_each_by_itself() -> None:
    shares = Shares()
    macro = Macro()
    signal = macro.signal()
    macro.close()
    now = SECOND
    assert sum(shares.take(signal, now) for _ in range(SIGNALS[0] + 50)) == SIGNALS[0]
    assert shares.beyond == {"Signal": 50}
    lists = QUESTIONS[0] // LIST_COST
    assert sum(shares.take(query(), now) for _ in range(lists + 5)) == lists
    cancel = Cancel(signal_id="s", created_ns=1, epoch=1, seq=1)
    assert shares.take(cancel, now), "a withdrawal is never behind signals"
    assert not shares.take(query("order"), now)
    now += SECOND
    assert sum(shares.take(signal, now) for _ in range(SIGNALS[0])) == SIGNALS[1]
    assert sum(shares.take(query("order"), now) for _ in range(QUESTIONS[0])) == QUESTIONS[1]
    now += 3_600 * SECOND
    assert sum(shares.take(cancel, now) for _ in range(2 * OTHERS[0])) == OTHERS[0]


def test_a_flood_of_one_publisher_is_not_anothers(tmp_path: Path) -> None:
    async def main() -> None:
        flooding, calm = Macro("a", owner="o-a", epoch=5), Macro("b", owner="o-b", epoch=6)
        limits = paper_defaults(max_open_orders=5)
        micro = Micro(tmp_path / "run", (flooding.address, calm.address), limits=limits)

        def both() -> bool:
            flooding.beat()
            calm.beat()
            return len(micro.uplink.peers.alive(micro.clock.now())) == 2

        try:
            await micro.until(micro.beats)
            await micro.until(both)
            beats = len(micro.beats())
            for _ in range(9_000):
                flooding.send(flooding.signal(quantity="1000000"))  # refused, every one of them
            taken = []
            for _ in range(5):
                asked = time.process_time()  # all of it runs here, beside whatever else does
                mine = calm.signal()
                calm.beat()  # its lease must not depend on how long a busy machine takes for all this
                calm.send(mine)
                await micro.until(lambda mine=mine: micro.report(mine.signal_id) is not None)  # type: ignore[misc]
                report = micro.report(mine.signal_id)
                assert report is not None
                taken.append((time.process_time() - asked, report.status, report.reason_code))
                await asyncio.sleep(0.1)
            assert all(status in ("accepted", "working") for _, status, _ in taken), taken
            assert max(seconds for seconds, _, _ in taken) < 2.0, taken
            await micro.until(lambda: len(micro.beats()) >= beats + 2)
        finally:
            micro.close()
            flooding.close()
            calm.close()
        assert verify(micro.journal.path).difference is None

    asyncio.run(main())
