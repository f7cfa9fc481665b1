"""What ``make bench`` runs, for how long at most, and what each aim is read from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from environments import race_python

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HERE: Final = Path(__file__).resolve().parent
RACE: Final = (str(HERE.parent / ".cache" / "race"), "--python")
NUMBER: Final = re.compile(r"\**(-?[\d,]*\.?\d+)(?: ?(?:x|%|ms|us|µs|s|/s|MB|KiB))?\**")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One script."""

    path: Path
    args: tuple[str, ...] = ()
    quick: tuple[str, ...] = ()
    """Instead of ``args`` in a short run."""
    limit_s: float
    """It is ended then, and has failed: some four times what it takes on a machine with nothing else to do."""

    @property
    def name(self) -> str:
        """As it is named on the page."""
        return self.path.stem


def plan() -> list[Script]:
    """In the order in which they run."""
    race = (*RACE, race_python())
    rows: list[tuple[str, tuple[str, ...], tuple[str, ...], float]] = [
        ("guard", (), (), 120),
        ("bench_peers", ("--rounds", "2"), ("--rounds", "1"), 900),
        ("bench_socket", ("--rounds", "3"), ("--rounds", "1"), 900),
        ("bench_crowd", ("--rounds", "3", "--seconds", "3"), ("--rounds", "1", "--seconds", "2"), 480),
        ("bench_ack", (), ("--orders", "50"), 480),
        ("bench_bridge", (), (), 300),
        ("bench_wire", (), (), 240),
        ("bench_tick", ("--rounds", "3"), ("--rounds", "1", "--frames", "20"), 900),
        ("bench_rest", (), ("--rounds", "1"), 120),
        ("bench_gate", (), (), 120),
        ("bench_macro", ("--seconds", "60"), ("--seconds", "40"), 480),
        ("bench_work", (), (), 300),
        ("race_work", (*race, "--rounds", "3"), (*race, "--rounds", "1"), 480),
        ("bench_journal", (), (), 180),
        ("bench_memory", (), ("--rounds", "1"), 240),
        ("bench_many", ("--seconds", "6"), ("--seconds", "3"), 300),
        ("bench_sim", (), ("--seconds", "4"), 120),
        ("bench_page", (), (), 240),
        ("bench_faults", (), (), 300),
    ]  # fmt: skip
    return [
        Script(path=HERE / f"{name}.py", args=args, quick=quick, limit_s=limit_s)
        for name, args, quick, limit_s in rows
    ]


@dataclass(frozen=True, slots=True)
class Aim:
    """One number that shall be reached."""

    title: str
    wanted: str
    """With its unit; a number that begins with ``<=`` is the most, any other the least."""
    bench: str
    row: str
    """A pattern of the row's cells of text, joined by `` / ``."""
    column: str
    against: str = ""
    """The peer, or the floor below it."""
    beside: tuple[tuple[str, str, str], ...] = ()
    """Words with a place for the figure, its row and column: of the peer, of the floor."""

    def met(self, value: float) -> bool:
        """Whether a measured value reaches it."""
        limit = number_of(self.wanted.removeprefix("<= "))
        if limit is None:
            raise ValueError(f"no number in {self.wanted!r}")
        return value <= limit if self.wanted.startswith("<=") else value >= limit


CCXT: Final = r" \(\d+\) / ccxt\.pro$"


def _frames(case: str, *, floor: bool = False) -> tuple[tuple[str, str, str], ...]:
    """What ours, ccxt.pro and the floors took of a frame."""
    who = {"ours": "stoic-citadel$", "ccxt.pro": r"ccxt\.pro$"}
    if floor:
        who |= {"scan in C with a book": "floor: scan in C, with", "simdjson": "floor: simdjson"}
    return tuple(
        (f"{words} {{}} µs", rf"{case} \(\d+\) / {row}", "us/frame, median")
        for words, row in who.items()
    )


TICK: Final = (
    ("C echo {} µs", "C echo$", "5 ms gaps p50"),
    ("echo, same loop {} µs", "echo in Python", "5 ms gaps p50"),
)
AIMS: Final = (
    Aim("USD-M depth frame to book", "30x", "bench_peers", "USD-M, depth" + CCXT, "against ours", "ccxt.pro", _frames("USD-M, depth", floor=True)),
    Aim("USD-M mixed stream", "38x", "bench_peers", "USD-M, mixed" + CCXT, "against ours", "ccxt.pro", _frames("USD-M, mixed", floor=True)),
    Aim("the same through the engine", "24x", "bench_peers", "USD-M, mixed / ccxt.pro against our engine", "against ours", "ccxt.pro"),
    Aim("OKX", "14x", "bench_peers", "OKX, seqId" + CCXT, "against ours", "ccxt.pro", _frames("OKX, seqId")),
    Aim("Kraken with CRC", "9x", "bench_peers", "Kraken, CRC" + CCXT, "against ours", "ccxt.pro", _frames("Kraken, CRC")),
    Aim("Coinbase", "9x", "bench_peers", "Coinbase Advanced" + CCXT, "against ours", "ccxt.pro", _frames("Coinbase Advanced")),
    Aim("socket to book, OKX", "3x", "bench_socket", "OKX, books .* / nautilus", "against ours", "nautilus_trader"),
    Aim("socket to book, Bybit", "3x", "bench_socket", "Bybit .* / nautilus", "against ours", "nautilus_trader"),
    Aim("1,000 symbols, 20,000 frames a second", "<= 1.25x", "bench_crowd", "20,000 a second / stoic-citadel", "times bare", "a bare reader", (("{} µs", "20,000 a second / bare", "us/frame, processor, median"),)),
    Aim("signal to ack of a whole micro, p50", "<= 2.4 ms", "bench_ack", r"before_publish / \*\*submit -> acknowledged", "p50, ms", "two waits for the disk", (("the disk alone {} ms", "before_publish / the disk", "p50, ms"),)),
    Aim("the same with busy_poll, p50", "<= 2.0 ms", "bench_ack", r"before_publish, busy_poll / \*\*submit -> acknowledged", "p50, ms", "two waits for the disk"),
    Aim("the same with busy_poll, p99", "<= 4 ms", "bench_ack", r"before_publish, busy_poll / \*\*submit -> acknowledged", "p99, ms", "two waits for the disk"),
    Aim("signal received by micro, p50", "<= 1 ms", "bench_ack", r"before_publish / \*\*submit -> received", "p50, ms", "one wait for the disk", (("the disk alone {} ms", "before_publish / the disk", "p50, ms"),)),
    Aim("round trip of the wire, both ours", "<= 1.3x", "bench_wire", "both ours$", "times floor", "blocking pyzmq", (("{} µs", "blocking pyzmq on both", "p50, us"),)),
    Aim("CURVE on the wire", "<= 1.15x", "bench_wire", "CURVE costs ours", "times floor", "without it"),
    Aim("tick to order, 5 ms gaps, synced, p50", "<= 700 µs", "bench_tick", "ours, spot, websocket$", "5 ms gaps p50", "C echo", TICK),
    Aim("the same with busy_poll", "<= 550 µs", "bench_tick", "ours, spot, websocket, busy_poll$", "5 ms gaps p50", "C echo"),
    Aim("order over REST, 5 ms gaps", "3x", "bench_tick", "ccxt.pro REST / ours REST, spot$", "5 ms gaps", "ccxt.pro"),
    Aim("the same, journal not synced", "3x", "bench_tick", "ccxt.pro REST / ours REST, spot, not synced$", "5 ms gaps", "ccxt.pro"),
    Aim("an approved order, six symbols", "<= 10 µs", "bench_gate", "a position and an order in each of six", "p50, µs"),
    Aim("end of an order to Freqtrade's database, p50", "<= 100 ms", "bench_macro", "the end of an order in Freqtrade's", "p50, ms", "Freqtrade's own sleep", (("{} ms", "the same with the stock sleep", "p50, ms"),)),
    Aim("one order on a capture, filled at once", "250,000/s", "bench_work", "filled at once /", "frames/s"),
    Aim("the same, resting all the time", "250,000/s", "bench_work", "resting far away /", "frames/s"),
    Aim("the prepared capture, filled at once", "400,000/s", "bench_work", "filled at once, prepared", "frames/s"),
    Aim("the same, resting all the time", "400,000/s", "bench_work", "resting far away, prepared", "frames/s"),
    Aim("a prepared capture against a backtester", "4x", "race_work", "nautilus_trader", "ours prepared / it, its preparation counted", "nautilus_trader", (("{} frames/s", "nautilus_trader", "frames/s"), ("ours {}", "ours, prepared", "frames/s"))),
    Aim("a prepared capture against a compiled loop", "0.5x", "race_work", "hftbacktest", "ours prepared / it", "hftbacktest", (("{} frames/s", "hftbacktest", "frames/s"), ("ours {}", "ours, prepared", "frames/s"))),
    Aim("journal of the mixed stream, bytes an event", "<= 25", "bench_journal", "differences, compressed", "bytes an event", "a record an event", (("{} bytes", "a record an event, not", "bytes an event"),)),
    Aim("micro with one symbol, resident", "<= 60 MB", "bench_memory", "micro: MB", "median", "Python and its libraries"),
    Aim("a book of 2,000 levels with digits", "<= 60 KiB", "bench_memory", "a book of 2,000", "median"),
    Aim("200 symbols at 10 Hz, micro", "<= 5 %", "bench_many", "1 micro, 1 macro, 200", "micro %"),
    Aim("200 symbols at 10 Hz, macro", "<= 5 %", "bench_many", "1 micro, 1 macro, 200", "macro %"),
    Aim("journal recomputed, thousand events a second", "100", "bench_many", "replay", "thousand a second of processor time"),
    Aim("a viewer of the page, micro's side", "<= 10 %", "bench_page", "so the page", "of a core"),
    Aim("a viewer of the page, the browser's", "<= 10 %", "bench_page", "browser, all", "of a core"),
)  # fmt: skip


def number_of(cell: str) -> float | None:
    """The number of a cell with or without its unit; None for text."""
    match = NUMBER.fullmatch(cell)
    return None if match is None else float(match.group(1).replace(",", ""))


def numbers_of(result: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    """Every number of a result by benchmark, row (its cells of text) and column."""
    found: dict[tuple[str, ...], float] = {}
    for name, bench in result["benches"].items():
        for table in bench["tables"]:
            for row in table["rows"]:
                label = " / ".join(cell for cell in row if cell and number_of(cell) is None)
                for column, cell in zip(table["columns"], row, strict=False):
                    value = number_of(cell)
                    if value is not None:
                        found.setdefault((name, label, column), value)
    return found


def judged(result: Mapping[str, Any], aims: Sequence[Aim] = AIMS) -> list[dict[str, Any]]:
    """A row an aim: what was wanted, what was measured (None where nothing was), and whether it is met."""
    numbers = numbers_of(result)
    found = []

    def measured(aim: Aim, row: str, column: str) -> float | None:
        return next(
            (
                value
                for (bench, label, title), value in numbers.items()
                if bench == aim.bench and title == column and re.match(row, label)
            ),
            None,
        )

    for aim in aims:
        value = measured(aim, aim.row, aim.column)
        beside = {words: measured(aim, row, column) for words, row, column in aim.beside}
        verdict = "not measured" if value is None else "met" if aim.met(value) else "missed"
        found.append(
            {
                "aim": aim.title,
                "wanted": aim.wanted,
                "measured": value,
                "against": aim.against,
                "beside": {words: each for words, each in beside.items() if each is not None},
                "bench": aim.bench,
                "verdict": verdict,
            }
        )
    return found


def lines_of(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The aims as a table."""
    yield "| aim | wanted | measured | against | script | |"
    yield "| --- | ---: | ---: | --- | --- | --- |"
    for row in rows:
        unit = re.sub(r"^(<= )?[\d,.]+", "", row["wanted"])
        value = "" if row["measured"] is None else f"{row['measured']:,.10g}{unit}"
        figures = ", ".join(words.format(f"{each:,.10g}") for words, each in row["beside"].items())
        against = f"{row['against']} ({figures})" if figures else row["against"]
        yield (
            f"| {row['aim']} | {row['wanted']} | {value} | {against} | {row['bench']} "
            f"| {row['verdict']} |"
        )
