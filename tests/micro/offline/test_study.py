"""Many orders beside each other: what the tables say, and how sure they are."""

from __future__ import annotations

import errno
import gzip
import json
import math
from decimal import Decimal
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
from effort import campaign
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.marketdata import kernel
from citadel_micro.offline.study.command import _write
from citadel_micro.offline.study.page import RESULTS, plot, write
from citadel_micro.offline.study.parents import Ask, Fill, Row, Settings, run
from citadel_micro.offline.study.plans import BASELINES, Plan, parse, standard
from citadel_micro.offline.study.stats import newey_west, paired, quantile
from citadel_micro.offline.study.tables import lines, markdown
from citadel_micro.offline.study.tape import COLUMNS, load
from citadel_micro.offline.work import WorkOrder, work
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from tests.micro.offline.conftest import Citadel

numbers = st.lists(st.integers(-1_000, 1_000).map(float), min_size=2, max_size=30)

# --- statistics ---------------------------------------------------------------------------------


def test_without_overlap_it_is_the_usual_error_of_a_mean() -> None:
    mean, error = newey_west([1.0, 2.0, 3.0, 4.0], 0)
    assert mean == 2.5
    assert error == pytest.approx(math.sqrt(5 / 3) / 2)


def test_orders_that_see_the_same_market_count_less() -> None:
    same = [each for each in (1.0, -1.0, 2.0, -2.0, 1.0, -1.0) for _ in range(4)]
    assert newey_west(same, 3).error > 1.2 * newey_west(same, 0).error


@given(values=numbers, lags=st.integers(0, 40), shift=st.integers(-100, 100))
def test_the_error_is_never_below_that_of_independent_values(
    values: list[float], lags: int, shift: int
) -> None:
    found = newey_west(values, lags)
    assert found.error >= newey_west(values, 0).error * (1 - 1e-9)
    moved = newey_west([value + shift for value in values], lags)
    assert moved.mean == pytest.approx(found.mean + shift, abs=1e-9)
    assert moved.error == pytest.approx(found.error, abs=1e-6)


def test_one_value_proves_nothing() -> None:
    assert newey_west([3.0], 5) == (3.0, math.inf)
    assert newey_west([3.0], 5).t == 0.0
    assert math.isnan(newey_west([], 5).mean)


def test_plans_are_compared_at_the_starts_that_both_have() -> None:
    found = paired({1: 3.0, 2: 5.0, 3: 9.0}, {2: 4.0, 3: 7.0, 4: 0.0}, 0)
    assert found.mean == 1.5


def test_the_quantile_is_interpolated() -> None:
    assert quantile([4.0, 1.0, 3.0, 2.0], 0.5) == 2.5
    assert quantile([7.0], 0.95) == 7.0


# --- plans --------------------------------------------------------------------------------------


def test_a_plan_is_an_algorithm_with_parameters() -> None:
    plan = parse("slow=chase_limit:urgency=passive,min_dwell_ms=1000,post_only=true")
    params = (("urgency", "passive"), ("min_dwell_ms", 1000), ("post_only", True))
    assert plan == Plan("slow", "chase_limit", params)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("chase_limit", "name=algo"),
        ("a=hope", "hope"),
        ("a=limit:hope=1", "hope"),
        ("a=limit:x", "x"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(text: str, named: str) -> None:
    with pytest.raises(BadInput, match=named):
        parse(text)


# --- runs ---------------------------------------------------------------------------------------

ASKS = [
    ask
    for plan in (BASELINES[0], BASELINES[2])
    for ask in (Ask("buy", Decimal(1), plan), Ask("sell", Decimal(4), plan))
]


def settings(*, starts: int = 3, horizon_ns: int = 10_000_000_000, jobs: int = 2) -> Settings:
    return Settings(starts=starts, horizon_ns=horizon_ns, jobs=jobs)


@pytest.fixture(scope="module")
def rows(capture: Path) -> list[Row]:
    found, every_ns = run(load(capture, "binance-spot", "AAA/USDT"), ASKS, settings())
    assert every_ns > 3_000_000_000
    return found


def test_every_plan_works_every_order_at_every_start(rows: list[Row]) -> None:
    keys = {(row.plan, row.side, row.quantity, row.start) for row in rows}
    assert len(keys) == len(rows) == len(ASKS) * 3
    assert all(row.filled == pytest.approx(1.0) for row in rows if row.plan == "cross")
    assert all(row.maker == 0 for row in rows if row.plan == "cross")
    assert any(row.maker == 1 for row in rows if row.plan == "chase")
    assert all(math.isfinite(row.cost_bps) for row in rows)


def test_the_first_order_costs_what_work_says_of_it(capture: Path, rows: list[Row]) -> None:
    """The latencies of the study are others: a crossing does not feel them in a market this slow."""
    outcome = work(
        WorkOrder(
            capture=capture,
            venue="binance-spot",
            symbol="AAA/USDT",
            side="buy",
            quantity=Decimal(1),
            algo="marketable_limit",
            params=BASELINES[0].params,
        )
    ).outcome
    (first,) = [
        r for r in rows if (r.plan, r.side, r.quantity, r.start) == ("cross", "buy", "1", 0)
    ]
    assert first.cost_bps == pytest.approx(outcome["implementation_shortfall_bps"])


@pytest.mark.campaign
def test_the_same_study_twice_gives_the_same_rows(capture: Path, rows: list[Row]) -> None:
    tape = load(capture, "binance-spot", "AAA/USDT")
    again, _ = run(tape, ASKS, settings(jobs=5))
    assert again == rows


def test_a_prepared_capture_gives_the_same_rows(
    capture: Path, rows: list[Row], tmp_path: Path
) -> None:
    load(capture, "binance-spot", "AAA/USDT", cache=tmp_path)
    kept = [path.stat().st_mtime_ns for path in tmp_path.iterdir()]
    assert len(kept) == (kernel.DELTAS is not None), "slower than decoding in Python"
    tape = load(capture, "binance-spot", "AAA/USDT", cache=tmp_path)
    again, _ = run(tape, ASKS, settings())
    assert again == rows


def test_a_recording_that_is_shorter_than_an_order(capture: Path) -> None:
    with pytest.raises(BadInput, match="it lasts"):
        run(load(capture, "binance-spot", "AAA/USDT"), ASKS, settings(horizon_ns=10**12))


def row(plan: str, start: int, cost: float, side: str = "buy") -> Row:
    return Row(
        plan, side, "1", start, cost, 1.0, 0.5, 2.0, 1, "filled", "", [], (1.0, None, 0.0, 0.0)
    )


def test_a_table_compares_with_the_best_baseline() -> None:
    found = lines(
        "x",
        [
            *(row("cross", start, 5.0) for start in range(4)),
            *(row("chase", start, 4.0 + start % 2) for start in range(4)),
            *(row("mine", start, 4.2) for start in range(4)),
        ],
        lags=1,
    )
    both = {line.plan: line for line in found if line.side == "both"}
    assert both["chase"].over_best is None
    mine = both["mine"].over_best
    assert mine is not None
    assert mine.mean == pytest.approx(-0.3)
    assert {line.best for line in found} == {"chase"}
    assert both["mine"].markouts[0] == 1.0
    text = markdown(found, sides=False)
    assert "| -0.30 (" in text
    assert "buy" in markdown(found, sides=True)


def test_both_sides_together_cancel_the_drift() -> None:
    rows = [row("cross", start, 5.0 + start, side) for start in range(3) for side in ("buy",)]
    rows += [row("cross", start, 5.0 - start, "sell") for start in range(3)]
    (both,) = [line for line in lines("x", rows, lags=0) if line.side == "both"]
    assert both.cost.mean == 5.0
    assert both.cost.error == 0.0


# --- tables as recordings --------------------------------------------------------------------------


def table(folder: Path, kind: str = "depth") -> Path:
    rows = [",".join(COLUMNS)]
    now = 1_700_000_000_000_000_000
    first = "snapshot" if kind == "depth" else kind
    for step in range(40):
        kind_now = first if step == 0 else kind
        for side, price in (("bid", 99.9), ("ask", 100.1)):
            rows.append(f"{now},{now},{kind_now},{side},{price},{5 + step % 3},,{step}")
        rows.append(f"{now + 1000},{now + 1000},trade,sell,99.9,0.5,,{step}")
        now += 700_000_000
    path = folder / "table.csv.gz"
    path.write_bytes(gzip.compress("\n".join(rows).encode()))
    return path


@pytest.mark.parametrize("kind", [campaign("depth"), "bbo"])
def test_a_table_of_messages_is_a_recording(tmp_path: Path, kind: str) -> None:
    tape = load(table(tmp_path, kind), "bitstamp-spot", "BTC/USD")
    assert tape.trades == 40
    assert (tape.instrument.tick, tape.instrument.lot) == (Decimal("0.1"), Decimal("0.5"))
    cross = Ask("sell", Decimal(1), BASELINES[0])
    found, _ = run(tape, [cross], settings(starts=2, horizon_ns=5_000_000_000))
    assert [each.filled for each in found] == [1.0, 1.0]
    assert found[0].cost_bps == pytest.approx(
        20.0, abs=0.1
    )  # half a spread of 20 bps, and 10 of fee


def test_another_table_is_none(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("time,price\n1,2\n")
    with pytest.raises(BadInput, match="time_ns"):
        load(path, "bitstamp-spot", "BTC/USD")


# --- the command ----------------------------------------------------------------------------------


def test_the_command_prints_a_table_and_writes_json(
    citadel: Citadel, capture: Path, tmp_path: Path
) -> None:
    out = tmp_path / "study.json"
    what = f"{capture}=binance-spot,AAA/USDT,1"
    words = ("--starts", "2", "--horizon", "10", "--plan", "slow=chase_limit:min_dwell_ms=1000")
    done = citadel("study", what, *words, "--json-file", out)
    assert done.returncode == 0, done.stderr
    assert "| aaa 1 | slow |" in done.stdout or "**slow**" in done.stdout
    written = json.loads(out.read_text())
    assert {line["plan"] for line in written} >= {"cross", "join", "chase", "slow"}
    assert {line["side"] for line in written} == {"buy", "sell", "both"}
    assert json.loads(citadel("study", what, *words, "--json").stdout) == written


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["nowhere.gz=binance-spot,AAA/USDT"], "no such file"),
        (["{capture}"], "path=venue"),
        (["{capture}=binance-spot,AAA/USDT,-1"], "greater than 0"),
        (["{capture}=binance-spot,AAA/USDT", "--queue", "lucky"], "pessimistic"),
        (["{capture}=binance-spot,AAA/USDT", "--only"], "at least one"),
        (["{capture}=binance-spot,AAA/USDT", "--plan", "cross=peg"], "once"),
        (["{capture}=binance-spot,AAA/USDT", "--plan", "a=vwap"], "no volume to weigh by"),
        (["{capture}=binance-spot,AAA/USDT", "--plan", "a=oco"], "only reduces a position"),
        (["{capture}=binance-spot,AAA/USDT", "--plan", "a=bracket"], "one stop"),
        (["{capture}=binance-spot,AAA/USDT", "--plan", "a=snipe"], "limit price"),
        (["{capture}=binance-spot,AAA/USDT", "--maker-bps", "nan"], "--maker-bps"),
        (["{capture}=binance-spot,AAA/USDT", "--taker-bps", "inf"], "-1000 to 1000"),
        (["{capture}=binance-spot,AAA/USDT", "--page", "/"], "it is a folder"),
        (["{capture}=binance-spot,AAA/USDT", "--page", "{capture}"], "it is no text"),
        (["{capture}=binance-spot,AAA/USDT", "--json-file", "/no/where"], "does not exist"),
    ],
)
def test_what_it_cannot_do_it_says(
    citadel: Citadel, capture: Path, words: list[str], named: str
) -> None:
    done = citadel("study", *(word.format(capture=capture) for word in words))
    assert done.returncode == 2
    assert named in done.stderr
    assert done.stdout == ""


def test_a_disk_that_is_full_is_said_with_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")  # which names no file

    monkeypatch.setattr(type(tmp_path), "write_text", full)
    for page, json_file in ((tmp_path / "a.md", None), (None, tmp_path / "a.json")):
        with pytest.raises(BadInput, match=r"a\.(md|json): cannot be written: No space left"):
            _write(page, json_file, [], [], [])


def test_where_every_order_is_rejected_it_says_why_and_ends_with_a_code(
    citadel: Citadel, capture: Path
) -> None:
    what = f"{capture}=binance-spot,AAA/USDT,1e-9"
    words = ("--only", "--plan", "a=peg", "--starts", "2", "--horizon", "1", "--jobs", "1")
    done = citadel("study", what, *words)
    assert done.returncode == 3
    assert "4 orders were rejected: BELOW_MIN" in done.stderr


def test_a_plan_may_have_a_list_of_one_number_or_of_several() -> None:
    for text in ("3", "3,1.5,2"):
        assert dict(parse(f"a=vwap:slices=4,profile={text}").params)["profile"] == text


def test_fills_keep_their_kind_through_the_pipe(rows: list[Row]) -> None:
    assert all(isinstance(fill, Fill) for each in rows for fill in each.fills)


# --- the page --------------------------------------------------------------------------------------


def test_what_a_person_wrote_on_the_page_stays(tmp_path: Path) -> None:
    page = tmp_path / "study.md"
    found = lines(
        "a b",
        [row(plan, start, 5.0 + start) for plan in ("cross", "mine") for start in range(3)],
        0,
    )
    page.write_text("# Ours\n\nBy hand.\n")
    files = write(page, found, ["first"])
    assert [file.name for file in files] == ["study.md", "study-a-b.svg"]
    write(page, found, ["second"])
    text = page.read_text()
    assert text.startswith("# Ours\n\nBy hand.\n")
    assert ("first" in text, "second" in text, text.count(RESULTS)) == (False, True, 1)
    assert "](study-a-b.svg)" in text


def test_the_plot_is_xml_with_a_row_for_every_plan() -> None:
    found = lines(
        "a<b", [row(plan, start, 5.0) for plan in ("cross", "m&m") for start in range(3)], 0
    )
    text = plot("a<b", [line for line in found if line.side == "both"])
    root = ET.fromstring(text)  # noqa: S314 - our own
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("cross") == texts.count("m&m") == 1
    assert len(list(root.iter("{http://www.w3.org/2000/svg}circle"))) == 2


def test_a_plan_reads_back_what_it_says() -> None:
    for plan in standard():
        assert parse(f"{plan.name}={plan.text}") == plan
