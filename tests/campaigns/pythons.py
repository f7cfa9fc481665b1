"""The same events give the same commands in every Python, under any hash seed, by either kernel: ``make pythons``.

Random lives of the engine at the paper venue, with faults and crashes (``chaos_kit``), are recorded in this Python
and recomputed in each other one: by ``python3.12`` and later on the path or of pyenv, and by the CPython of Pyodide
packages (WebAssembly, 32 bits) where ``make`` could install them. There is nothing but the standard library
in those, so the engine's own room is what is run. The lives' journals are then written by each Python that a few
packages could be installed for, octet for octet; and a whole micro runs in each of those (``whole_micros``).
Ends 1 when a digest differs.
"""

from __future__ import annotations

import argparse
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "kit"))

from chaos_kit import ChaosRun
from chaos_market import INSTRUMENTS
from whole_micros import whole

from citadel_micro.shell.journal import records
from citadel_micro.sim.faults import SCENARIOS

ROOT: Final = Path(__file__).resolve().parents[2]
REPLAY: Final = Path(__file__).with_name("pythons_replay.py")
JOURNAL: Final = Path(__file__).with_name("pythons_journal.py")
PACKAGES: Final = ("msgspec", "zstandard", "structlog", "Cython", "setuptools", "hatchling")
"""What a journal is written with, and a kernel compiled."""
WASM: Final = Path(__file__).with_name("pythons_wasm.js")
INSTALLED: Final = ("python3.12", "python3.13", "python3.14")
SEEDS: Final = ("0", "1", "4242")


def record(path: Path, runs: int, first: int) -> int:
    """Play random runs, and keep what each life of the engine was given."""
    lives = []
    for seed in range(first, first + runs):
        for faults in SCENARIOS:
            for life in ChaosRun(seed, faults, journal=True).play().lives:
                rows = [(now_ns, records.decode_event(data)) for now_ns, data, _ in life.rows]
                lives.append((life.config, INSTRUMENTS, rows))
    path.write_bytes(pickle.dumps(lives, protocol=4))
    return len(lives)


def interpreters() -> dict[str, str]:
    """Those that answer, by version; a shim of pyenv may stand for none."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    names = [*INSTALLED, *map(str, sorted(pyenv.glob("versions/*/bin/python3.1[2-9]")))]
    found: dict[str, str] = {}
    for name in names:
        words = [name, "-S", "-c", "import sys; print(sys.version.split()[0])"]
        try:
            version = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        except (OSError, subprocess.CalledProcessError):
            continue
        found.setdefault(version.strip(), name)
    return found


def packages_for(python: str, cache: Path) -> Path | None:
    """A folder with ``PACKAGES`` for another Python, installed once; None where they cannot be had."""
    folder = cache / f"packages-{Path(python).name}"
    if not folder.is_dir():
        words = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
        words += ["--target", str(folder), "-c", str(ROOT / "constraints.txt"), *PACKAGES]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            print(
                f"no packages for {python}, so it writes no journal: {done.stderr.strip()[-200:]}"
            )
            shutil.rmtree(folder, ignore_errors=True)
            return None
    return folder


def journals(lives: Path, cache: Path, others: list[str]) -> dict[str, list[str]]:
    """Digest of the lives' journals by each Python, kernel and hash seed."""
    found: dict[str, list[str]] = {}
    places = {name: packages_for(name, cache) for name in others}
    # This one has its packages beside it.
    usable = [(sys.executable, "")]
    usable += [(name, str(place)) for name, place in places.items() if place is not None]
    for name, path in usable:
        for kernel in ("compiled", "python"):
            for seed in SEEDS:
                words = [name, "-B", str(JOURNAL), str(ROOT), str(lives), str(cache)]
                row = told(words, PYTHONHASHSEED=seed, CITADEL_KERNEL=kernel, PYTHONPATH=path)
                found[f"journal by {row[4]}, {row[3]} kernel, hash seed {seed}"] = row
    return found


def told(words: list[str], **environment: str) -> list[str]:
    """What a program prints, word by word."""
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env=os.environ | environment
    )
    if done.returncode:
        raise SystemExit(f"{words!r}\n{done.stdout}{done.stderr}")
    return done.stdout.split()


def main() -> int:
    """Record, recompute everywhere, compare."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=1, help="seeds of each scenario")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache" / "pythons")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lives = Path(folder) / "lives.pickle"
        count = record(lives, given.runs, given.first)
        found: dict[str, list[str]] = {}
        versions = interpreters()
        others = list(versions.values())
        for seed in SEEDS:
            for kernel in ("auto", "python"):
                words = [sys.executable, str(REPLAY), str(ROOT), str(lives)]
                row = told(words, PYTHONHASHSEED=seed, CITADEL_KERNEL=kernel)
                found[f"{row[4]}, {row[3]} kernel, hash seed {seed}"] = row
            for name in others:
                words = [name, "-S", "-B", str(REPLAY), str(ROOT), str(lives)]
                row = told(words, PYTHONHASHSEED=seed, CITADEL_KERNEL="python")
                found[f"{row[4]}, {row[3]} kernel, hash seed {seed}"] = row
            for package in sorted(given.cache.glob("*/node_modules/pyodide")):
                row = told(["node", str(WASM), str(package), str(ROOT), folder, seed])
                found[f"{row[4]} in WebAssembly, hash seed {seed}"] = row
        written = journals(lives, given.cache, others)
    first = next(iter(found.values()))
    print(f"{count} lives, {first[1]} events, {first[2]} commands")
    return max(compared(found), compared(written), whole(given.cache, versions))


def compared(found: dict[str, list[str]]) -> int:
    """Print how each compares with the first; 1 when one differs."""
    first = next(iter(found.values()))
    for name, row in found.items():
        print(f"{'same' if row[:3] == first[:3] else 'DIFFERS'}  {row[0][:16]}  {name}")
    return int(any(row[:3] != first[:3] for row in found.values()))


if __name__ == "__main__":
    sys.exit(main())
