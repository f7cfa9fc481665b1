"""The curve of equity goes on after a restart, and nothing in its file can break a page."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import MS, SECOND
from page_kit import PageRun, served

from citadel_micro.shell.page.history import CURVE_POINTS, Curve, History
from citadel_micro.shell.page.kept_curve import CURVE_FILE, KeptCurve

if TYPE_CHECKING:
    from pathlib import Path


def sampled(run: PageRun, seconds: int) -> Curve:
    """The curve of a run that lives this long."""
    history = History(run.vitals, None)  # type: ignore[arg-type]  # no timer is started
    for _ in range(seconds):
        history.sample()
        run.now += SECOND
    return history.curve


def test_a_page_shows_the_curve_of_the_runs_before(tmp_path: Path) -> None:
    async def life(now: int, *, resumed: bool) -> list[Any]:
        run = PageRun()
        run.now = now
        run.vitals.resumed = resumed
        async with served(tmp_path / "run", run) as page, page.looking() as socket:
            while not (frame := await socket.receive_json()).get("curve"):
                pass
            points: list[Any] = frame["curve"]["points"]
            return points

    start = PageRun().now
    (first,) = asyncio.run(life(start, resumed=False))
    assert (tmp_path / "run" / CURVE_FILE).stat().st_mode & 0o777 == 0o600
    both = asyncio.run(life(start + 60 * SECOND, resumed=True))
    assert both == [first, [first[0] + 60_000, *first[1:]]]
    # Without the state of an earlier run it is another account's.
    assert len(asyncio.run(life(start + 90 * SECOND, resumed=False))) == 1


def test_over_restarts_it_stays_as_small_as_that_of_one_run(tmp_path: Path) -> None:
    run = PageRun()
    kept = KeptCurve(tmp_path / CURVE_FILE, run.vitals)
    began = run.now
    for _ in range(4):
        curve = kept.load(run.now)
        for _ in range(CURVE_POINTS):
            if curve.due(run.now):
                curve.add(run.now, 1.0, 0.0)
            run.now += SECOND
        kept.keep(curve)
    points = kept.load(run.now).points
    assert CURVE_POINTS // 4 < len(points) < CURVE_POINTS
    assert points[0][0] == began // MS
    assert [each[0] for each in points] == sorted({each[0] for each in points})
    assert kept.load(run.now).every_ns == curve.every_ns > SECOND


def test_the_curve_of_another_account_is_not_shown(tmp_path: Path) -> None:
    run, path = PageRun(), tmp_path / CURVE_FILE
    KeptCurve(path, run.vitals).keep(sampled(run, 3))
    assert len(KeptCurve(path, run.vitals).load(run.now).points) == 3
    run.vitals.mode = "live"
    assert KeptCurve(path, run.vitals).load(run.now).points == []


def test_a_clock_that_was_set_back_leaves_out_what_has_not_been(tmp_path: Path) -> None:
    run = PageRun()
    kept = KeptCurve(tmp_path / CURVE_FILE, run.vitals)
    kept.keep(sampled(run, 10))
    curve = kept.load(run.now - 5 * SECOND)
    assert len(curve.points) == 6
    curve.add(run.now - 5 * SECOND, 1.0, 0.0)
    assert len(curve.points) == 6  # of the last point's millisecond


@pytest.mark.parametrize(
    "change",
    [
        {"points": [[1, "x", 0.0]]},
        {"points": [[1, 1.0, 0.0]] * (CURVE_POINTS + 1)},
        {"every_ns": 0},
        {"every_ns": 2**80},
        {"more": 1},
    ],
    ids=str,
)
def test_a_file_that_cannot_be_read_begins_it_anew(tmp_path: Path, change: dict[str, Any]) -> None:
    run, path = PageRun(), tmp_path / CURVE_FILE
    kept = KeptCurve(path, run.vitals)
    kept.keep(sampled(run, 3))
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert kept.load(run.now).points == []
    path.write_bytes(b"\x00" * 1_000)
    assert kept.load(run.now).points == []
    kept.keep(sampled(run, 2))
    assert len(kept.load(run.now).points) == 2


def test_points_out_of_order_are_left_out(tmp_path: Path) -> None:
    run, path = PageRun(), tmp_path / CURVE_FILE
    kept = KeptCurve(path, run.vitals)
    kept.keep(Curve([(3, 1.0, 0.0), (2, 1.0, 0.0), (4, 1.0, 0.0)]))
    assert [each[0] for each in kept.load(run.now).points] == [3, 4]


def test_a_disk_that_takes_nothing_stops_no_page(tmp_path: Path) -> None:
    run = PageRun()
    kept = KeptCurve(tmp_path / "gone" / CURVE_FILE, run.vitals)
    kept.keep(sampled(run, 2))
    kept.keep(sampled(run, 2))
    assert kept.load(run.now).points == []
