"""Times of reports are of micro's own clock, which goes on at its own pace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from citadel_proto import topics
from citadel_proto.codec import encode
from citadel_proto.messages import MicroHeartbeat

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.bridge.conftest import Pair

    Until = Callable[..., None]


def test_a_reports_age_is_told_by_the_clock_of_its_micro(pair: Pair, until: Until) -> None:
    """Of a micro whose machine was suspended for an hour: its wall clock is right, its stamps are not."""
    hour = 3_600 * 10**9
    beat = MicroHeartbeat(
        instance="other",
        seq=1,
        state="active",
        started_ns=1,
        wall_ns=time.time_ns(),
        mono_ns=time.monotonic_ns(),
        clock_drift_ns=hour,
    )
    pair.micro.publisher.send_raw(topics.join(topics.HEARTBEAT, encode(beat)))
    connector = pair.connector
    until(lambda: len(connector.peers()) == 2)
    behind_ns = time.time_ns() - connector.stamp_now_ns("other")
    assert abs(behind_ns - hour) < hour // 2
    assert abs(time.time_ns() - connector.stamp_now_ns("nobody")) < hour // 2, (
        "as ours, until it is known"
    )
