"""Shadow orders repeat what Freqtrade trades itself: a micro that is not on paper refuses them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

import pytest
from uplink_kit import SECOND, Macro, Micro

from citadel_micro.shell.journal.verify import verify
from citadel_proto.shadow import SHADOW_NEEDS_PAPER, SHADOW_OWNER, is_shadow

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_proto.messages import ExecutionReport


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_only_a_micro_on_paper_works_a_shadow_order(tmp_path: Path, mode: str) -> None:
    async def go() -> None:
        shadow = Macro("macro-1", f"{SHADOW_OWNER}1", 1)
        plain = Macro("macro-2", "o1", 2)
        micro = Micro(tmp_path, (shadow.address, plain.address), mode=mode)
        try:
            for _ in range(5):
                await shadow.watch(micro, 0.1)
                await plain.watch(micro, 0.1)
            ended: dict[str, ExecutionReport] = {}
            for macro, signal_id in ((shadow, "s-1"), (plain, "p-1")):
                macro.send(macro.signal(signal_id=signal_id, expires_ns=macro.wall() + 60 * SECOND))
                await micro.until(partial(micro.report, signal_id))
                report = micro.report(signal_id)
                assert report is not None
                ended[signal_id] = report
        finally:
            micro.close()
            shadow.close()
            plain.close()
        assert ended["p-1"].status in {"accepted", "working"}
        if mode == "paper":
            assert ended["s-1"].status in {"accepted", "working"}
            return
        assert (ended["s-1"].status, ended["s-1"].reason_code) == ("rejected", SHADOW_NEEDS_PAPER)
        assert "trade twice" in ended["s-1"].reason
        assert ended["s-1"].filled == "0"

    asyncio.run(go())
    (journal,) = tmp_path.glob("journal-*")
    assert verify(journal).difference is None


def test_an_owner_says_what_it_is() -> None:
    assert is_shadow("shadow-4f")
    assert not is_shadow("o4f-shadow-")
    assert not is_shadow("")
