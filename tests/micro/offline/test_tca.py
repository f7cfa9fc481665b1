"""What orders have cost, from their journals: exact sums, the market before a fill, and what is printed."""

from __future__ import annotations

import csv
import gzip
import json
import re
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from citadel_bridge.cli import main
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.offline.tca import tables
from citadel_micro.offline.tca.files import journals, orders_in
from citadel_micro.offline.tca.groups import BY, grouped
from citadel_micro.offline.tca.market_past import Best, MarketPast
from citadel_micro.offline.tca.order_costs import costs_of
from citadel_micro.offline.tca.orders import Fill, Instead, Order
from citadel_micro.offline.tca.rows import fill_rows, group_row, order_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from citadel_micro.core.marketdata.market_book import MarketBook
    from citadel_micro.core.model.commands import PublishReport

MS = 1_000_000
CAPTURE = "part.jsonl.gz"
BTC = "binance-usdm-btcusdt-20240808"
RULES = Instrument(
    venue="binance-usdm",
    symbol="BTC/USDT:USDT",
    venue_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    kind="linear",
    tick=Decimal("0.10"),
    lot=Decimal("0.001"),
    min_lots=1,
    min_notional=Decimal(5),
    contract_size=Decimal(1),
    maker_fee=Decimal("0.0002"),
    taker_fee=Decimal("0.0005"),
    fee_side="quote",
)


@pytest.fixture(scope="module")
def worked(
    shared_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """A chase on a recording: its journal, and what ``citadel work`` says of it."""
    folder = tmp_path_factory.mktemp("tca")
    with gzip.open(shared_dir / "captures" / f"{BTC}.jsonl.gz") as whole:
        first = b"".join(islice(whole, 20_000))
    (folder / CAPTURE).write_bytes(gzip.compress(first, 1))
    journal = folder / "journal-work.ctape"
    done = CliRunner().invoke(
        cast("Any", _app()),
        [
            *("work", "--capture", str(folder / CAPTURE)),
            *("--venue", "binance-usdm", "--symbol", "BTC/USDT:USDT", "--side", "sell"),
            *("--quantity", "2", "--start-after", "2", "--journal", str(journal), "--json"),
        ],
    )
    assert done.exit_code == 0, done.output
    return journal, json.loads(done.stdout)


def _app() -> object:
    from citadel_bridge.cli import build  # noqa: PLC0415

    return build()


def test_the_children_add_up_to_what_the_run_said(worked: tuple[Path, dict[str, Any]]) -> None:
    journal, outcome = worked
    (order,), notes = orders_in([[journal]])
    assert notes == []
    fills = [fill for child in outcome["children"] for fill in child["fills"]]
    rows = fill_rows(costs_of(order))
    assert [(Decimal(f["price"]), Decimal(f["quantity"]), Decimal(f["fee"])) for f in fills] == [
        (Decimal(r["price"]), Decimal(r["quantity"]), Decimal(r["fee"])) for r in rows
    ]
    row = order_row(costs_of(order))
    assert Decimal(row["filled"]) == Decimal(outcome["filled"])
    assert row["reprices"] == outcome["reprices"]
    # Parts differ by the mid of a fill; their sum does not, but for the rounding of each.
    assert row["cost_bps"] == pytest.approx(outcome["implementation_shortfall_bps"], abs=5e-6)
    assert row["fees_bps"] == outcome["shortfall_parts_bps"]["fees"]
    # Exactly: what was paid against the arrival mid, in quote units.
    arrival = Fraction(Decimal(row["arrival_mid"]))
    paid = sum(
        Fraction(Decimal(r["quantity"])) * (arrival - Fraction(Decimal(r["price"]))) for r in rows
    )
    parts = [Fraction(Decimal(row[name])) for name in ("delay", "spread", "impact")]
    assert sum(parts) == paid
    assert Fraction(Decimal(row["fees"])) == sum(Fraction(Decimal(r["fee"])) for r in rows)


def test_the_same_order_taken_at_arrival_costs_what_work_says(
    worked: tuple[Path, dict[str, Any]],
) -> None:
    (order,), _ = orders_in([[worked[0]]])
    crossed = CliRunner().invoke(
        cast("Any", _app()),
        [
            *("work", "--capture", str(worked[0].with_name(CAPTURE))),
            *("--venue", "binance-usdm", "--symbol", "BTC/USDT:USDT", "--side", "sell"),
            *("--quantity", "2", "--start-after", "2", "--algo", "marketable_limit", "--json"),
        ],
    )
    said = json.loads(crossed.stdout)
    assert said["filled"] == "2"
    # Its order arrives some milliseconds later, so the market may have moved a little.
    ours = order_row(costs_of(order))["crossing_bps"]
    assert ours == pytest.approx(said["implementation_shortfall_bps"], abs=0.5)
    assert ours > 5.0, "the taker's fee alone"


def test_every_standing_is_a_child_that_began_and_ended(
    worked: tuple[Path, dict[str, Any]],
) -> None:
    (order,), _ = orders_in([[worked[0]]])
    children = {child["client_id"] for child in worked[1]["children"]}
    assert {each.child_id for each in order.standing} == children
    last = {each.child_id: each.ticks for each in order.standing}
    assert set(last.values()) == {0}
    assert order.points[0].at_ns == order.arrived_ns


# --- exact sums, of anything ----------------------------------------------------------------------


def best(bid: int, ask: int, *, micro: float = 0.0) -> Best:
    return Best(0, 0, bid, ask, micro or float(bid + ask))


def order_of(fills: Sequence[tuple[int, int, int | None]], **changes: Any) -> Order:  # noqa: ANN401
    """An order with fills of (ticks, lots, bid before)."""
    report = cast("PublishReport", _Report())
    order = Order(
        run="run", instrument=RULES, report=report, target=1_000, arrived_ns=1, arrival=best(9, 11)
    )
    order.fills = [
        Fill(
            child_id="c",
            trade_id=str(number),
            price_ticks=ticks,
            lots=lots,
            fee=Decimal(lots) / 10**8,
            fee_currency="USDT",
            liquidity="maker",
            at_ns=number,
            before=None if bid is None else best(bid, bid + 2),
        )
        for number, (ticks, lots, bid) in enumerate(fills)
    ]
    return replace(order, **changes)


class _Report:
    side, symbol, venue, algo, strategy, signal_id = "buy", "S", "v", "a", "s", "id"
    tag, status, reason_code, reprices, arrival_mid = "", "filled", "", 3, 1.0


tick = st.integers(1, 10_000)


@given(
    fills=st.lists(st.tuples(tick, st.integers(1, 50), tick | st.none()), max_size=12),
    arrival=tick,
    release=tick | st.none(),
    ended=tick | st.none(),
)
def test_parts_add_up_to_the_last_unit(
    fills: list[tuple[int, int, int | None]], arrival: int, release: int | None, ended: int | None
) -> None:
    order = order_of(
        fills,
        arrival=best(arrival, arrival + 2),
        release=None if release is None else best(release, release + 2),
        ended=None if ended is None else best(ended, ended + 2),
    )
    parts = costs_of(order).parts
    assert parts is not None
    lot = Fraction(RULES.tick) * Fraction(RULES.lot)
    assert parts.delay + parts.spread + parts.impact == sum(
        lots * (ticks - arrival - 1) * lot for ticks, lots, _ in fills
    )
    assert parts.fees == sum(Fraction(lots, 10**8) for _, lots, _ in fills)
    assert parts.worth == 1_000 * (arrival + 1) * lot


@given(st.lists(st.lists(st.tuples(tick, st.integers(1, 50), tick), max_size=4), max_size=6))
def test_groups_add_up_to_their_orders(orders: list[list[tuple[int, int, int | None]]]) -> None:
    costs = [costs_of(order_of(fills)) for fills in orders]
    for by in ([], ["side"], list(BY)):
        groups = grouped(costs, by)
        for part in ("worth", "delay", "spread", "impact", "fees", "opportunity"):
            assert sum(getattr(group.parts, part) for group in groups) == sum(
                getattr(one.parts, part) for one in costs
            )
        assert sum(group.orders for group in groups) == len(costs)


def test_a_maker_earns_its_half_spread_and_a_markout_is_the_orders() -> None:
    order = order_of([(9, 100, 9)])
    fill = order.fills[0]
    fill.later = {100 * MS: best(8, 10), 5_000 * MS: best(12, 14), 300_000 * MS: None}
    (around,) = costs_of(order).fills
    assert around.effective == Fraction(2 * (18 - 20) * 10_000, 20)
    assert around.realised == Fraction(2 * (18 - 26) * 10_000, 20)
    assert around.markouts[100 * MS][0] == Fraction(-2 * 10_000, 20)
    assert set(around.markouts) == {100 * MS, 5_000 * MS}
    (group,) = grouped([costs_of(order)], [])
    assert group.maker == 1.0
    assert group.markouts[5_000 * MS][0] == 3_000.0


def test_another_way_is_compared_only_where_both_are_whole() -> None:
    whole = order_of([(10, 1_000, 9)])
    whole.crossed = Instead(lots=1_000, value=11_000, taken=1_000)
    part = order_of([(10, 400, 9)])
    part.crossed = Instead(lots=1_000, value=11_000, taken=1_000)
    shallow = order_of([(10, 1_000, 9)])
    shallow.crossed = Instead(lots=900, value=9_900, why_not="the book was not deep enough")
    alone = grouped([costs_of(whole)], [])[0].against_crossing
    assert alone is not None
    assert alone > 900
    assert grouped([costs_of(each) for each in (whole, part, shallow)], [])[0].against_crossing == (
        pytest.approx(alone)
    )
    assert grouped([costs_of(part), costs_of(shallow)], [])[0].against_crossing is None


def test_without_a_market_at_arrival_nothing_is_compared() -> None:
    one = costs_of(order_of([(10, 100, 9)], arrival=None))
    assert one.parts is None
    row = order_row(one)
    assert row["cost_bps"] is None
    assert row["not_compared"]
    group = grouped([one, costs_of(order_of([(10, 1_000, 9)]))], [])[0]
    assert (group.orders, group.not_compared) == (2, 1)


# --- the market before a fill ---------------------------------------------------------------------


class _Book:
    """What ``MarketPast`` asks of a book."""

    state = "LIVE"
    bid = 100.0

    def best(self) -> tuple[float, float, float, float]:
        return self.bid, 1.0, self.bid + 0.2, 3.0


def test_the_market_before_a_fill_is_the_venues_where_it_has_times() -> None:
    book = _Book()
    past = MarketPast(cast("MarketBook", book), RULES)
    assert past.note(10 * MS, 1_000)
    book.bid = 99.0
    assert past.note(20 * MS, 2_000)
    assert not past.note(21 * MS, 2_500), "nothing has changed"
    book.bid = 98.0
    past.note(30 * MS, 3_000)
    now = 31 * MS
    # By our time the quote that shows the trade is already there; by the venue's it came after.
    assert (past.before(now) or best(0, 0)).bid == 980
    assert (past.before(now, 3_000) or best(0, 0)).bid == 990
    assert (past.before(now, 2_001) or best(0, 0)).bid == 990
    assert (past.before(20 * MS) or best(0, 0)).bid == 1_000
    assert past.before(10 * MS) is None
    book.state = "STALE"
    past.note(40 * MS, 4_000)
    assert (past.now or best(0, 0)).mid2 is None


def test_what_is_due_is_reported_when_its_time_has_come_and_never_before() -> None:
    book = _Book()
    past = MarketPast(cast("MarketBook", book), RULES)
    past.note(10 * MS)
    told: list[Best | None] = []
    past.after(15 * MS, 12 * MS, told.append)
    past.after(11 * MS, 12 * MS, told.append)
    assert [each and each.bid for each in told] == [1_000]
    book.bid = 99.0
    past.note(15 * MS)  # at the time itself: what comes then is in force then
    assert len(told) == 1
    book.bid = 98.0
    past.note(16 * MS)
    assert [each and each.bid for each in told] == [1_000, 990]
    past.after(99 * MS, 16 * MS, told.append)
    assert len(told) == 2


# --- what is printed and written ------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_fit(worked: tuple[Path, dict[str, Any]], width: int) -> None:
    orders, _ = orders_in([[worked[0]]])
    by = ["pair", "algo"]
    rows = [group_row(group, by) for group in grouped([costs_of(each) for each in orders], by)]
    console = Console(width=width, record=True, color_system=None)
    with console.capture() as shown:
        console.print(tables.terminal(rows, by))
    text = shown.get()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for name in ("cost", "missed", "100ms", "300s", "cross", "rest", "given up", "not said"):
        assert name in text


def test_all_kinds_of_files(worked: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    names = [tmp_path / f"out{kind}" for kind in (".html", ".json", ".csv", ".parquet")]
    words = [word for name in names for word in ("--out", str(name))]
    assert main(["tca", str(worked[0]), "--by", "order", *words]) == 0
    page = names[0].read_text()
    assert "<svg" in page
    assert "sell 2.000 BTC/USDT:USDT" in page
    assert not re.findall(r"(?:src|href)=|https?://|@import", page), "it needs nothing else"
    everything = json.loads(names[1].read_text())
    assert {key: bool(rows) for key, rows in everything.items()} == dict.fromkeys(
        ("groups", "orders", "fills"), True
    )
    with names[2].open() as file:
        (row,) = csv.DictReader(file)
    assert row["filled"] == "2.000"
    import pyarrow.parquet as pq  # noqa: PLC0415

    (read,) = pq.read_table(names[3]).to_pylist()
    assert read["worth"] == everything["orders"][0]["worth"]


def test_json_and_markdown(
    worked: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tca", str(worked[0].parent), "--by", "side", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["side"], row["orders"]) == ("sell", 1)
    # A second is no time to wait: the entry is given up, and counted apart.
    assert main(["tca", str(worked[0]), "--json", "--alone-timeout", "0.1"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["freqtrade_alone_compared"] + row["freqtrade_alone_gave_up"] == 1
    assert main(["tca", str(worked[0]), "--by", "all", "--markdown"]) == 0
    assert "| all | 1 | 100% |" in capsys.readouterr().out


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.ctape").write_text("no journal at all")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["absent"], ("there is no such journal", "citadel status")),
        (["empty"], ("no run has left a journal", "empty")),
        (["text.ctape"], ("not a tape", "text.ctape")),
        (["ok", "--by", "stratgy"], ("did you mean strategy?", "pair, side, size")),
        (["ok", "--by", "pair,algo,pair"], ("names one twice",)),
        (["ok", "--out", "costs.xlsx"], (".xlsx", ".json, .csv, .parquet, .html")),
        (["ok", "--out", "absent/costs.csv"], ("cannot be written", "absent/costs.csv")),
    ],
)
@pytest.mark.usefixtures("here")
def test_bad_input(
    words: list[str],
    said: tuple[str, ...],
    worked: tuple[Path, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    given_ = [str(worked[0]) if word == "ok" else word for word in words]
    assert main(["tca", *given_]) == 2
    shown = capsys.readouterr().err
    for part in said:
        assert part in shown


def test_runs_of_a_folder_are_read_together_oldest_first(tmp_path: Path) -> None:
    for name in ("b/journal-2.ctape", "a/journal-9.ctape", "b/journal-1.ctape"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = journals([tmp_path, tmp_path / "b"])
    assert [[path.name for path in run] for run in found] == [
        ["journal-9.ctape"],
        ["journal-1.ctape", "journal-2.ctape"],
    ]
