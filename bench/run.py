"""Every benchmark in one run, as one page and as data: ``make bench``.

    python bench/run.py [--quick] [--only NAME] [--out FOLDER]
    python bench/run.py --compare OLD.json NEW.json

Sets up the peers in environments of their own (``environments.py``), runs each script of the plan (``plan.py``), shows
what they print, and writes ``page.md`` and ``results.json``: each aim with what was measured, how long each script
took, and every table cell by cell. A script that fails or does not end in time is named on the page, and the run
ends 1. A comparison prints the numbers of two results side by side with their ratio. Times of two runs differ by
20 % for the machine's sake alone; ratios that were measured within a run, by less.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import environments
from plan import Script, judged, lines_of, numbers_of, plan

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE: Final = Path(__file__).resolve().parent
NOTABLE: Final = 1.2
"""A number that has changed by this factor is marked."""
GRACE_S: Final = 20.0
"""To end what it has started, for a script that is ended."""
SAID: Final = 2_000
"""Characters of what a script that failed said last."""

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
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


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


def run(scripts: Sequence[Script], *, quick: bool = False) -> dict[str, Any]:
    """Run the scripts one after the other, printing what they print."""
    result: dict[str, Any] = {
        "began": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "quick": quick,
        "benches": {},
    }
    for script in scripts:
        print(f"\n## {script.name}\n", flush=True)
        result["benches"][script.name] = _one(script, script.quick if quick else script.args)
    result["aims"] = [row for row in judged(result) if row["bench"] in result["benches"]]
    return result


def _one(script: Script, args: Sequence[str]) -> dict[str, Any]:
    """Run one, for as long as it may take."""
    lines = []
    late = threading.Event()
    began, load = time.monotonic(), os.getloadavg()[0]
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(
            [sys.executable, str(script.path), *args],
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            start_new_session=True,  # so that it can be ended with all that it has started
        )

        def end() -> None:
            late.set()
            _end(process)

        timer = threading.Timer(script.limit_s, end)
        timer.start()
        with process:
            try:
                for line in process.stdout or ():
                    print(line, end="", flush=True)
                    lines.append(line)
                process.wait()
            finally:
                timer.cancel()
                timer.join()
                _end(process)
        said.seek(0)
        errors = said.read()[-SAID:]
    print(errors, end="", file=sys.stderr, flush=True)
    text = "".join(lines)
    why = ""
    if late.is_set():
        why = f"it was not done within {script.limit_s:g} s"
    elif process.returncode:
        why = f"it ended with {process.returncode}"
    return {
        "args": list(args),
        "exit": process.returncode or int(late.is_set()),
        "why": why,
        "said": errors if why else "",
        "seconds": round(time.monotonic() - began, 1),
        "load": load,
        "text": text,
        "tables": tables_of(text),
    }


def _end(process: subprocess.Popen[str]) -> None:
    """End a script's whole session: as Ctrl-C does, then by force."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def failed(result: dict[str, Any]) -> list[str]:
    """Each script that failed, and why; each aim that no row was found for, unless its peer was skipped."""
    benches = result["benches"]
    found = [f"{name}: {bench['why']}" for name, bench in benches.items() if bench["why"]]
    for aim in result.get("aims", ()):
        lost = aim["verdict"] == "not measured" and not benches[aim["bench"]]["why"]
        if lost and not _skipped(aim["against"], result.get("environments", ())):
            found.append(f"{aim['bench']}: no row of its tables is for the aim {aim['aim']!r}")
    return found


def _skipped(peer: str, environments: Sequence[str]) -> bool:
    lines = [line for words in environments for line in words.splitlines()]
    return bool(peer) and any(line.startswith(f"skipped: {peer}==") for line in lines)


def page_of(result: dict[str, Any]) -> str:
    """One page: what failed, the aims, how long each took, and everything that was printed."""
    kind = "a short run" if result["quick"] else "a whole run"
    parts = [f"# Benchmarks\n\n{result['began']}, commit {result['commit']}, {kind}, "]
    parts.append(f"Python {result['python']}, {result['cores']} cores, load {result['load']:.1f}\n")
    if wrong := failed(result):
        parts.append("\n**Failed**: " + "; ".join(wrong) + "\n")
    parts += [f"\n{line}\n" for line in result.get("environments", ())]
    parts.append("\n## Aims\n\n" + "\n".join(lines_of(result["aims"])) + "\n")
    parts.append(
        "\n## How long each took\n\n| script | seconds | load before |\n| --- | ---: | ---: |\n"
    )
    parts += [
        f"| {name} | {bench['seconds']:.0f} | {bench['load']:.1f} |\n"
        for name, bench in result["benches"].items()
    ]
    for name, bench in result["benches"].items():
        parts.append(f"\n## {name}\n\n{bench['text']}")
        if bench["why"]:
            parts.append(f"\n{bench['why']}; the last that it said:\n\n```\n{bench['said']}\n```\n")
    return "".join(parts)


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
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a look")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the result")
    parser.add_argument("--compare", type=Path, nargs=2, metavar=("OLD", "NEW"))
    args = parser.parse_args()
    if args.compare:
        old, new = (json.loads(path.read_text()) for path in args.compare)
        print("\n".join(compare(old, new)))
        return 0
    names = [each.name for each in plan() if args.only in each.name]
    if not names:
        known = ", ".join(each.name for each in plan())
        parser.error(f"no script has {args.only!r} in its name; there are {known}")
    ready = [make().words() for make in environments.MADE_BY.values()]
    print("\n".join(ready), flush=True)
    # Once more: where the race runs is known when its environment is there.
    scripts = [each for each in plan() if each.name in names]
    result = {**run(scripts, quick=args.quick), "environments": ready}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (args.out / "page.md").write_text(page_of(result))
    print("\n" + "\n".join(lines_of(result["aims"])))
    print(f"\n{args.out / 'page.md'} and results.json")
    if wrong := failed(result):
        print(f"failed: {'; '.join(wrong)}", file=sys.stderr)
    return 1 if failed(result) else 0


if __name__ == "__main__":
    sys.exit(main())
