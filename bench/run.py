"""Every benchmark in one run, as one page and as data: ``make bench``.

    python bench/run.py [--only NAME] [--out FOLDER]
    python bench/run.py --compare OLD.json NEW.json

Runs each ``bench_*.py`` and the guard, shows what they print, and writes ``page.md`` and ``results.json``, which
has every table cell by cell. A comparison prints the numbers of two results side by side with their ratio. Times
of two runs differ by 20 % for the machine's sake alone; ratios that were measured within a run, by less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE: Final = Path(__file__).resolve().parent
NOTABLE: Final = 1.2
"""A number that has changed by this factor is marked."""
_NUMBER: Final = re.compile(r"\**(-?[\d,]*\.?\d+)(?: ?(?:x|%|ms|us|µs|s|/s|MB|KiB))?\**")

Table = dict[str, Any]
"""``columns``: their titles. ``rows``: a list of cells each, as printed."""


def tables_of(text: str) -> list[Table]:
    """The markdown tables in a text."""
    found: list[Table] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if re.fullmatch(r"\|(?: *:?-+:? *\|)+", line) and number:
            rows = []
            for row in lines[number + 1 :]:
                if not row.startswith("|"):
                    break
                rows.append(_cells(row))
            found.append({"columns": _cells(lines[number - 1]), "rows": rows})
    return found


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def number_of(cell: str) -> float | None:
    """The number of a cell with or without its unit; None for text."""
    match = _NUMBER.fullmatch(cell)
    return None if match is None else float(match.group(1).replace(",", ""))


def numbers_of(result: dict[str, Any]) -> dict[tuple[str, ...], float]:
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


def compare(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """A table of what both results have, and what only one has."""
    before, after = numbers_of(old), numbers_of(new)
    yield f"old: {old['commit']} {old['began']}; new: {new['commit']} {new['began']}"
    yield "| benchmark | row | column | old | new | new / old |"
    yield "| --- | --- | --- | ---: | ---: | --- |"
    for key in before:
        if key in after:
            one, other = before[key], after[key]
            ratio = other / one if one else float("nan")
            mark = "" if one and 1 / NOTABLE < ratio < NOTABLE else " !"
            yield f"| {' | '.join(key)} | {one:g} | {other:g} | {ratio:.2f}{mark} |"
    for title, here, there in (("old", before, after), ("new", after, before)):
        only = sum(key not in there for key in here)
        if only:
            yield f"\n{only} numbers are in the {title} result alone"


def run(scripts: Sequence[Path]) -> dict[str, Any]:
    """Run the scripts one after the other, printing what they print."""
    result: dict[str, Any] = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "benches": {},
    }
    for script in scripts:
        print(f"\n## {script.stem}\n", flush=True)
        lines = []
        with subprocess.Popen(
            [sys.executable, str(script)], stdout=subprocess.PIPE, text=True
        ) as process:
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line)
        text = "".join(lines)
        result["benches"][script.stem] = {
            "exit": process.returncode,
            "text": text,
            "tables": tables_of(text),
        }
    return result


def page_of(result: dict[str, Any]) -> str:
    """One page of everything that was printed."""
    head = (
        f"# Benchmarks\n\n{result['began']}, commit {result['commit']}, Python {result['python']}, "
        f"{result['cores']} cores, load {result['load']:.1f}\n"
    )
    return head + "".join(
        f"\n## {name}\n\n{bench['text']}" for name, bench in result["benches"].items()
    )


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "unknown"
    done = subprocess.run(
        (git, "describe", "--always", "--dirty"),
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "unknown"


def main() -> int:
    """Run or compare. Ends 1 when a benchmark failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="scripts whose name has this in it")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the result")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("OLD", "NEW"))
    args = parser.parse_args()
    if args.compare:
        old, new = (json.loads(path.read_text()) for path in args.compare)
        print("\n".join(compare(old, new)))
        return 0
    scripts = [*sorted(HERE.glob("bench_*.py")), HERE / "guard.py"]
    result = run([each for each in scripts if args.only in each.stem])
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "page.md").write_text(page_of(result))
    print(f"\n{args.out / 'page.md'} and results.json")
    failed = [name for name, bench in result["benches"].items() if bench["exit"]]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
