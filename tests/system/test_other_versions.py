"""Each side of another version, from built wheels: that of before the newest change of the messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from effort import LONG
from process_kit import SYMBOL, Bench, Program, citadel, health, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not LONG, reason="builds a wheel of an older version: make long"),
]
MESSAGES = "proto/citadel_proto/messages.py"
BUY = ("buy", SYMBOL, "0.05", "--algo", "marketable_limit")


def git(repository: Path, *words: str) -> bytes:
    done = subprocess.run(
        ["/usr/bin/env", "git", "-C", str(repository), *words],
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.stdout if done.returncode == 0 else b""


@pytest.fixture(scope="module")
def older(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed wheel of the newest commit whose messages are not today's."""
    (newest,) = git(repository, "log", "-n", "1", "--format=%H", "--", MESSAGES).split() or [b""]
    before = git(repository, "rev-parse", "--verify", f"{newest.decode()}^").decode().strip()
    if not before:
        pytest.skip("no history of the messages here")
    folder = tmp_path_factory.mktemp("older")
    source = folder / "source"
    source.mkdir()
    archive = folder / "source.tar"
    archive.write_bytes(git(repository, "archive", before))
    subprocess.run(["/usr/bin/env", "tar", "-xf", str(archive), "-C", str(source)], check=True)
    built = subprocess.run(
        [
            *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
            *("--outdir", str(folder), str(source)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"CITADEL_KERNEL": "python"},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("*.whl")
    installed = folder / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    return installed


def environment(older: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CITADEL_")}
    return kept | {"PYTHONPATH": str(older)}


class OlderProgram(Program):
    """A program of the older wheel."""

    def __init__(self, program: Program, older: Path) -> None:
        self.__dict__.update(program.__dict__)
        self.older = older

    def start(self) -> dict[str, Any]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.arguments, stdout=log, stderr=log, env=environment(self.older)
            )
        self.process = process
        until(lambda: self.ready_file.exists() or process.poll() is not None)
        assert process.poll() is None, self.log.read_text()
        ready: dict[str, Any] = json.loads(self.ready_file.read_text())
        return ready


@pytest.fixture
def bench(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Bench]:
    made = Bench(tmp_path, (free_port(), free_port()))
    yield made
    made.close()


def is_filled(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert (report["status"], report["filled"]) == ("filled", "0.05000")


def test_the_older_version_is_another_one(older: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", "import citadel_proto.messages as m; print(m.__file__)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environment(older),
    ).stdout
    assert shown.startswith(str(older))


def test_an_older_client_with_this_micro(bench: Bench, older: Path) -> None:
    bench.up()
    words = [sys.executable, "-m", "citadel_bridge.cli", *bench.signal(*BUY)]
    is_filled(
        subprocess.run(
            words, capture_output=True, text=True, check=False, timeout=120, env=environment(older)
        )
    )


def test_this_client_with_an_older_micro_and_then_upgraded(bench: Bench, older: Path) -> None:
    """The journal of the older one is resumed by this version, and its positions are known."""
    this = bench.micro
    bench.micro = OlderProgram(this, older)
    ready = bench.micro.start()
    until(lambda: health(ready)["status"] == "ok")
    is_filled(citadel(*bench.signal(*BUY)))
    bench.micro.end(15)
    (journal,) = bench.journals()
    verified = citadel("replay", str(journal), "--verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    bench.micro = this
    this.ready_file.unlink(missing_ok=True)
    bench.up()
    sold = citadel(*bench.signal("sell", SYMBOL, "0.04", "--algo", "marketable_limit"))
    assert sold.returncode == 0, sold.stdout + sold.stderr
