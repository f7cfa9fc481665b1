"""The benchmarks' result as data, its comparison, and the guard of what compiled code must save."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
from chromium import NAMES

from citadel_micro.core.marketdata import kernel

BENCH: Final = Path(__file__).resolve().parents[2] / "bench"
PRINTED: Final = """some text
| order | frames/s | ratio |
| --- | ---: | ---: |
| at once | 152,107 | 2.5x |
| **far away** | **0.25 ms** | |

| stage | p50 |
| --- | --- |
| disk | 0.47 |
after it
"""


def script(name: str) -> Any:  # noqa: ANN401 - a module
    if str(BENCH) not in sys.path:
        sys.path.append(str(BENCH))  # where they import each other from
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for themselves
    spec.loader.exec_module(module)
    return module


def result(text: str) -> dict[str, Any]:
    tables = script("run").tables_of(text)
    bench = {"exit": 0, "text": text, "tables": tables}
    return {"began": "then", "commit": "abc", "benches": {"work": bench}}


def test_every_number_of_a_table_is_found_by_its_row_and_column() -> None:
    assert script("plan").numbers_of(result(PRINTED)) == {
        ("work", "at once", "frames/s"): 152_107.0,
        ("work", "at once", "ratio"): 2.5,
        ("work", "**far away**", "frames/s"): 0.25,
        ("work", "disk", "p50"): 0.47,
    }


def test_two_results_are_compared_number_by_number() -> None:
    later = PRINTED.replace("152,107", "304,214").replace("| disk", "| tape")
    lines = list(script("run").compare(result(PRINTED), result(later)))
    assert "| work | at once | frames/s | 152107 | 304214 | 2.00 ! |" in lines
    assert "| work | at once | ratio | 2.5 | 2.5 | 1.00 |" in lines
    assert lines[-2:] == [
        "\n1 numbers are in the old result alone",
        "\n1 numbers are in the new result alone",
    ]


def test_every_benchmark_prints_a_table_which_is_what_the_data_is_made_of() -> None:
    of_others = {"bench_faults"}  # its table is the product's, ``fault_table``
    without = {path.stem for path in BENCH.glob("bench_*.py") if '"| ---' not in path.read_text()}
    assert without == of_others


def test_faults_are_measured_on_the_captures_that_there_are(
    shared_dir: Path, tmp_path: Path
) -> None:
    name = "okx-2026-checksum0.transcoded"
    (tmp_path / "captures").mkdir()
    with gzip.open(shared_dir / "captures" / f"{name}.jsonl.gz", "rb") as whole:
        few = [next(whole) for _ in range(60)]
    with gzip.open(tmp_path / "captures" / f"{name}.jsonl.gz", "wb") as part:
        part.writelines(few)
    done = subprocess.run(
        [sys.executable, str(BENCH / "bench_faults.py")],
        env=os.environ | {"CITADEL_SHARED": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ((row,),) = (table["rows"] for table in script("run").tables_of(done.stdout))
    assert row[:2] == [name, "`chain+crc:colon:25`"]


def test_a_run_writes_a_page_and_data(tmp_path: Path) -> None:
    module = script("run")
    fake = tmp_path / "bench_fake.py"
    fake.write_text(f"import sys\nprint({PRINTED!r})\nsys.exit('no such venue')\n")
    found = module.run([module.Script(path=fake, limit_s=100)])
    assert found["benches"]["bench_fake"]["exit"] == 1
    assert json.loads(json.dumps(found)) == found
    page = module.page_of(found)
    assert "## bench_fake\n\nsome text\n| order" in page
    assert "**Failed**: bench_fake: it ended with 1\n" in page
    assert "it ended with 1; the last that it said:\n\n```\nno such venue" in page


def test_a_script_that_does_not_end_is_ended_with_what_it_started_and_has_failed(
    tmp_path: Path,
) -> None:
    module = script("run")
    stuck = tmp_path / "bench_stuck.py"
    # The child keeps the pipe open, so that the page would wait for it too.
    stuck.write_text(
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "time.sleep(600)\n"
    )
    found = module.run([module.Script(path=stuck, limit_s=0.5)])
    assert module.failed(found) == ["bench_stuck: it was not done within 0.5 s"]
    assert found["benches"]["bench_stuck"]["exit"]


def test_an_aim_is_met_missed_or_not_measured() -> None:
    module = script("plan")
    aims = [
        module.Aim(
            "most", "<= 0.5 ms", "work", "disk", "p50", "peer", (("it {} ms", "disk", "p50"),)
        ),
        module.Aim("least", "3x", "work", "at once", "ratio"),
        module.Aim("gone", "3x", "work", "nowhere", "ratio"),
    ]
    rows = module.judged(result(PRINTED), aims)
    assert [row["verdict"] for row in rows] == ["met", "missed", "not measured"]
    assert list(module.lines_of(rows))[2:] == [
        "| most | <= 0.5 ms | 0.47 ms | peer (it 0.47 ms) | work | met |",
        "| least | 3x | 2.5x |  | work | missed |",
        "| gone | 3x |  |  | work | not measured |",
    ]


def test_an_aim_that_no_row_was_found_for_fails_the_run_unless_its_peer_was_skipped() -> None:
    module = script("run")
    lost = {"aim": "first", "against": "peer", "bench": "work", "verdict": "not measured"}
    found = result(PRINTED) | {"aims": [lost, lost | {"aim": "met", "verdict": "met"}]}
    found["benches"]["work"]["why"] = ""
    assert module.failed(found) == ["work: no row of its tables is for the aim 'first'"]
    skipped = ["one\nskipped: peer==1.0, because it was not installed"]
    assert module.failed(found | {"environments": skipped}) == []
    found["benches"]["work"]["why"] = "it ended with 1"
    assert module.failed(found) == ["work: it ended with 1"]  # which is why the row is missing


def test_a_name_of_no_script_is_refused_before_anything_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script("run")
    monkeypatch.setattr(module.environments, "MADE_BY", {})
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "nowhere"])
    with pytest.raises(SystemExit):
        module.main()
    said = capsys.readouterr()
    assert "no script has 'nowhere' in its name; there are guard, bench_peers" in said.err
    assert said.out == ""


def test_every_benchmark_is_in_the_plan_and_every_aim_in_a_table_of_it() -> None:
    module = script("plan")
    planned = {each.name: each.path for each in module.plan()}
    assert {path.stem for path in BENCH.glob("bench_*.py")} <= set(planned)
    assert all(path.is_file() for path in planned.values())
    for aim in module.AIMS:
        source = planned[aim.bench].read_text()
        for column in (aim.column, *(column for _, _, column in aim.beside)):
            assert column in source, (aim, column)
        assert module.number_of(aim.wanted.removeprefix("<= ")) is not None


def test_the_aim_of_the_journal_is_read_from_the_row_of_what_micro_writes() -> None:
    (aim,) = (each for each in script("plan").AIMS if each.bench == "bench_journal")
    cases = script("bench_journal").CASES
    assert [how for name, how in cases.items() if re.match(aim.row, name)] == [(True, True)]


FAKE_PYTHON: Final = """#!/bin/sh
case "$*" in
*python_version*) echo {version} ;;
*venv*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
*lost*) echo "ERROR: No matching distribution found for lost==1" >&2; exit 1 ;;
*pip*) echo "$*" >> "{log}" ;;
esac
"""


def test_a_peer_that_cannot_be_installed_is_said_and_takes_no_other_along(tmp_path: Path) -> None:
    ensure = script("environments").ensure
    python, log, folder = tmp_path / "python", tmp_path / "log", tmp_path / ".venv-x"

    def made(version: str, *wanted: str) -> str:
        python.write_text(FAKE_PYTHON.format(version=version, log=log))
        python.chmod(0o755)
        words: str = ensure(folder, str(python), wanted).words()
        return words

    said = ".venv-x: one==1, two==2\nskipped: lost==1, because ERROR: No matching distribution found for lost==1"
    assert made("3.11.7", "one==1", "lost==1", "two==2") == said
    assert len(log.read_text().splitlines()) == 2
    assert made("3.11.7", "one==1", "lost==1", "two==2") == said
    assert len(log.read_text().splitlines()) == 2  # what is there is not installed again
    assert made("3.12.1", "one==1") == ".venv-x: one==1"
    assert len(log.read_text().splitlines()) == 3  # but for another Python it is
    assert "does not start" in ensure(folder, str(tmp_path / "none"), ("one==1",)).words()


@pytest.mark.campaign
@pytest.mark.timeout(300)
@pytest.mark.skipif(not any(map(shutil.which, NAMES)), reason="no Chromium here")
def test_a_viewer_of_the_page_costs_either_side_what_it_may_at_most() -> None:
    """Twenty books, ten updates a second: by processor time, which what else runs lengthens a little."""
    done = subprocess.run(
        [sys.executable, str(BENCH / "bench_page.py"), "6"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 books at 10 updates a second" in done.stdout


def test_compiled_code_and_short_records_save_what_they_must(tmp_path: Path) -> None:
    """By ratio in one process, of the quickest rounds: another program slows both sides."""
    if kernel.DELTAS is None:
        assert os.environ.get("CITADEL_REQUIRE_KERNEL") != "1"
        pytest.skip("the compiled kernel is not built, or not asked for")
    out = tmp_path / "ratios.json"
    done = subprocess.run(
        [sys.executable, str(BENCH / "guard.py"), "--json", str(out)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(json.loads(out.read_text())) == 7
