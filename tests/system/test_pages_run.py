"""Commands of the pages, run in order as they stand there, each in a folder with what the page assumes."""

from __future__ import annotations

import json
import os
import re
import shlex
from contextlib import chdir
from typing import TYPE_CHECKING, Any, Final

from quick_start import run

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from process_kit import Bench

WEEK: Final = "docs/tutorial/from-dry-run-to-live-in-a-week.md"
FREQTRADE: Final[dict[str, Any]] = {
    "stake_currency": "USDT",
    "stake_amount": 100,
    "dry_run": True,
    "max_open_trades": 3,
    "exchange": {"name": "binance", "key": "", "secret": "", "pair_whitelist": ["BTC/USDT"]},
    "entry_pricing": {"price_side": "same"},
    "exit_pricing": {"price_side": "same"},
    "pairlists": [{"method": "StaticPairList"}],
}


def ran(folder: Path, line: str) -> subprocess.CompletedProcess[str]:
    """One line of a page, in a folder, which is the user's home too."""
    arguments = shlex.split(line.replace("~", str(folder)))
    assert arguments.pop(0) == "citadel"
    own = {"HOME": str(folder), "NO_COLOR": "1", "COLUMNS": "120"}
    with chdir(folder):
        return run(*arguments, environment=os.environ | own)


def lines(text: str, beginning: str) -> list[str]:
    """Lines of a page's blocks that begin so."""
    fenced = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [line for block in fenced for line in block.splitlines() if line.startswith(beginning)]


def test_keys_are_managed_as_the_page_says(repository: Path, tmp_path: Path) -> None:
    shown = lines((repository / "docs/howto/manage-keys.md").read_text(), "citadel keys ")
    assert len(shown) >= 6
    theirs = ran(tmp_path, "citadel keys make theirs --only recorder")
    assert theirs.returncode == 0, theirs.stderr
    (tmp_path / "theirs/recorder.public").rename(tmp_path / "recorder.public")
    # On one machine all pairs are made, as the sentence below the first block says.
    for line in [*shown[:2], "citadel keys make keys", *shown[2:]]:
        done = ran(tmp_path, line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_configurations_and_keys_are_made_as_the_week_says(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "user_data").mkdir()
    (tmp_path / "user_data/config.json").write_text(json.dumps(FREQTRADE))
    (tmp_path / ".config/citadel").mkdir(mode=0o700, parents=True)
    text = (repository / WEEK).read_text()
    shown = [*lines(text, "citadel init"), *lines(text, "citadel live make-key")]
    assert len(shown) == 3
    for line in shown:
        done = ran(tmp_path, line)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    # The names that the next lines of the page use.
    for name in ("micro-shadow.toml", "micro.toml"):
        assert f"citadel micro --config {name}" in text
        printed = ran(tmp_path, f"citadel micro --config {name} --print-config")
        assert printed.returncode == 0, printed.stderr


def test_every_way_of_stopping_works_as_the_week_says(bench: Bench, repository: Path) -> None:
    (_, saturday) = (repository / WEEK).read_text().split("## Saturday")
    shown = lines(saturday.partition("## Sunday")[0], "citadel operator")
    assert [line.split()[2] for line in shown] == ["pause", "status", "reset", "flatten", "kill"]
    bench.up()
    (bench.folder / "runs").mkdir()
    (bench.folder / "runs/live").symlink_to(bench.run_dir)
    trip = ""
    for line in shown:
        done = ran(bench.folder, line.replace("TRIP_ID", trip))
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        if "status" in line:
            state = ran(bench.folder, f"{line} --json")
            trip = json.loads(state.stdout)["trips"][0]["trip_id"]
    state = ran(bench.folder, "citadel operator status --run-dir runs/live --json")
    assert "KILLED" in {each["state"] for each in json.loads(state.stdout)["trips"]}
