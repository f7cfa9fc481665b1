"""Environments of the peers' own, made at first use: nothing is ever installed into the product's.

    python bench/environments.py [peers] [race]

``.venv-peers`` has the product's Python and what runs in one process with it; ``.venv-race`` has the newest Python
that is found, for programs that run beside it. What cannot be installed is said in words, and tried again the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PIP_S: Final = 420.0
"""Most of one package with all that it needs."""
INSIDE: Final = ("cryptofeed==2.4.1", "pysimdjson==7.0.2", "yyjson==4.0.6")
HFTBACKTEST: Final = "hftbacktest==2.4.4"
NAUTILUS: Final = "nautilus_trader==1.231.0"
OLDER_NAUTILUS: Final = "nautilus_trader==1.221.0"
"""The last one for Python 3.11."""


@dataclass(slots=True)
class Environment:
    """One environment, as it is."""

    folder: Path
    installed: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    """Requirement to why it is not there."""

    @property
    def python(self) -> Path:
        """Its interpreter, whether it is there or not."""
        return self.folder / "bin" / "python"

    def words(self) -> str:
        """One line for people."""
        lines = [f"{self.folder.name}: {', '.join(self.installed) or 'nothing'}"]
        lines += [f"skipped: {name}, because {why}" for name, why in self.missing.items()]
        return "\n".join(lines)


def ensure(
    folder: Path, python: str, wanted: tuple[str, ...], *, pip_s: float = PIP_S
) -> Environment:
    """The environment in a folder with these requirements; made anew for another interpreter.

    Each requirement is installed by itself, so that one that cannot be had takes no other along.
    """
    made = Environment(folder)
    ready = folder / ".ready"
    version = _version(python)
    if not version:
        made.missing = dict.fromkeys(wanted, f"{python} does not start")
        return made
    key = {"python": version, "folder": str(folder)}
    try:
        kept = json.loads(ready.read_text())
    except (OSError, ValueError):
        kept = {}
    if {name: kept.get(name) for name in key} != key:
        shutil.rmtree(folder, ignore_errors=True)
        why = _run([python, "-m", "venv", str(folder)], pip_s)
        if why:
            made.missing = dict.fromkeys(wanted, why)
            return made
        kept = {}
    for name in wanted:
        why = ""
        if name not in kept.get("installed", ()):
            command = [str(made.python), "-m", "pip", "install", "--quiet", "--no-input"]
            why = _run([*command, "--disable-pip-version-check", name], pip_s)
        if why:
            made.missing[name] = why
        else:
            made.installed.append(name)
    ready.write_text(json.dumps(key | {"installed": made.installed}))
    return made


def _version(python: str) -> str:
    command = [python, "-c", "import platform; print(platform.python_version())"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _run(command: list[str], seconds: float) -> str:
    """Why it failed: the last line that it said; empty when it did not."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        return f"it was not installed within {seconds:g} s"
    if not done.returncode:
        return ""
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return (said or done.stderr.splitlines() or ["it was not installed"])[-1].strip()


def peers(root: Path = ROOT) -> Environment:
    """What runs in one process with ours, so with the same Python."""
    return ensure(root / ".venv-peers", sys.executable, INSIDE)


def race(root: Path = ROOT) -> Environment:
    """What runs beside ours: hftbacktest, and the newest nautilus_trader that a Python here takes."""
    newest = os.environ.get("RACE_PYTHON") or _newest(root)
    nautilus = NAUTILUS if newest else OLDER_NAUTILUS
    return ensure(root / ".venv-race", newest or sys.executable, (HFTBACKTEST, nautilus))


def _newest(root: Path) -> str:
    """Python 3.12 or 3.13; empty where there is neither."""
    done = subprocess.run(
        [str(root / ".ci" / "python"), "3.12", "3.13"], capture_output=True, text=True, check=False
    )
    return "" if done.returncode else done.stdout.strip()


def use_peers(root: Path = ROOT) -> None:
    """Let this process import what is in ``.venv-peers``, after what is its own."""
    for place in sorted((root / ".venv-peers" / "lib").glob("python*/site-packages")):
        if place.parent.name == f"python{sys.version_info.major}.{sys.version_info.minor}":
            sys.path.append(str(place))


def race_python(root: Path = ROOT) -> str:
    """The interpreter of ``.venv-race`` where there is one, else this one."""
    python = root / ".venv-race" / "bin" / "python"
    return str(python) if python.exists() else sys.executable


MADE_BY: Final = {"peers": peers, "race": race}


def main() -> int:
    """Make those that are named, all by default, and say what they have; 0 even where something is skipped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MADE_BY, []], help="all by default")
    args = parser.parse_args()
    for name in args.names or MADE_BY:
        began = time.monotonic()
        print(f"{MADE_BY[name]().words()} ({time.monotonic() - began:.0f} s)", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
