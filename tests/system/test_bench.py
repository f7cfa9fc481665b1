"""The benchmarks' result as data, its comparison, and the guard of what compiled code must save."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
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
    spec = importlib.util.spec_from_file_location(f"bench_{name}", BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def result(text: str) -> dict[str, Any]:
    tables = script("run").tables_of(text)
    bench = {"exit": 0, "text": text, "tables": tables}
    return {"began": "then", "commit": "abc", "benches": {"work": bench}}


def test_every_number_of_a_table_is_found_by_its_row_and_column() -> None:
    assert script("run").numbers_of(result(PRINTED)) == {
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
    assert without - {"bench_ack", "bench_wire"} == of_others


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
    fake.write_text(f"print({PRINTED!r})\nraise SystemExit(3)\n")
    found = module.run([fake])
    assert found["benches"]["bench_fake"]["exit"] == 3
    assert json.loads(json.dumps(found)) == found
    assert "## bench_fake\n\nsome text\n| order" in module.page_of(found)


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
    assert len(json.loads(out.read_text())) == 6
