"""``citadel paper fit-latency``: the paper venue acknowledges as it was measured."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from paper_kit import Bench, quiet_config
from pydantic import ValidationError

from citadel_micro.core.model.events import OrderAccepted
from citadel_micro.shell.config.model import PaperSection
from citadel_micro.shell.journal.round_trips import quantiles_ms, round_trips
from citadel_micro.sim.paper_link import LinkConfig

if TYPE_CHECKING:
    from pathlib import Path

    from tests.micro.offline.conftest import Citadel

MS = 1_000_000
RESTLESS = (
    "--param",
    "min_dwell_ms=0",
    "--param",
    "retreat_ticks=1",
    "--param",
    "urgency=passive",
    "--start-after",
    "5",
)


@pytest.fixture(scope="module")
def journal(citadel: Citadel, capture: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fit") / "journal-1.ctape"
    words = citadel.arguments(capture, quantity="900")
    done = citadel(*words, *RESTLESS, "--journal", path)
    assert done.returncode == 0, done.stderr
    return path


def test_the_times_are_those_from_decision_to_acknowledgement(
    citadel: Citadel, capture: Path, journal: Path
) -> None:
    outcome = citadel.work(capture, *RESTLESS, quantity="900")
    wanted = [c["accepted_ns"] - c["placed_ns"] for c in outcome["children"] if c["accepted_ns"]]
    assert round_trips(journal) == {"binance-spot": wanted}
    assert round_trips(journal.parent) == {"binance-spot": wanted}
    assert all(4 * MS <= each < 100 * MS for each in wanted), "2 ms each way at least"


def test_too_few_orders_are_no_distribution(
    citadel: Citadel, journal: Path, tmp_path: Path
) -> None:
    done = citadel("paper", "fit-latency", tmp_path)
    assert (done.returncode, "no journal" in done.stderr) == (2, True)
    count = len(round_trips(journal)["binance-spot"])
    assert count < 20
    done = citadel("paper", "fit-latency", journal)
    assert done.returncode == 2
    assert f"{count} acknowledged orders of binance-spot" in done.stderr
    done = citadel("paper", "fit-latency", journal, "--venue", "okx")
    assert done.returncode == 2
    assert "0 acknowledged orders of okx" in done.stderr


def test_what_it_prints_is_a_configuration(
    citadel: Citadel, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("citadel_micro.shell.commands.paper.FEWEST", 2)
    done = citadel("paper", "fit-latency", journal, "--points", "5")
    assert done.returncode == 0, done.stderr
    section = PaperSection(**tomllib.loads(done.stdout)["paper"])
    times = round_trips(journal)["binance-spot"]
    assert section.latency_quantiles_ms == quantiles_ms(times, 5)
    assert section.latency_quantiles_ms[0] == pytest.approx(min(times) / MS, abs=0.001)


@pytest.mark.parametrize("wrong", [[2.0, 1.0], [-1.0, 2.0], [3.0], [1.0, float("nan")]])
def test_a_distribution_that_is_none_is_refused(wrong: list[float]) -> None:
    with pytest.raises(ValidationError, match="must"):
        PaperSection(latency_quantiles_ms=wrong)


def test_acknowledgements_come_as_they_were_measured() -> None:
    times = (4 * MS, 6 * MS, 30 * MS)
    bench = Bench(config=quiet_config(link=LinkConfig(round_trips_ns=times)))
    seen = []
    for _ in range(400):
        began = bench.now
        bench.order("buy", 90, 6)
        while not any(isinstance(each, OrderAccepted) for each in bench.reports):
            bench.at(bench.venue.next_timer() or 0)
        seen.append(bench.now - began)
        bench.settle()
        bench.reports.clear()
    seen.sort()
    assert times[0] <= seen[0]
    assert seen[-1] <= times[-1]
    assert seen[200] == pytest.approx(6 * MS, rel=0.25)
    assert seen[300] == pytest.approx(18 * MS, rel=0.25)
