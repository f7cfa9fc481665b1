"""Recompute recorded lives of the engine and write their journals; prints one digest of all their octets.

Run by ``pythons.py`` in every Python that has the packages: PATH of the repository, file of lives, folder for compiled
kernels. A journal names the Python that wrote it, which is left out here, and has no other stamp of its machine.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import sys
import tempfile
from importlib import import_module, metadata
from pathlib import Path


def add_compiled(root: Path, folder: Path) -> None:
    """Build the compiled kernel for this Python where the checkout has it for another one only."""
    import citadel_micro.core.marketdata as room  # noqa: PLC0415 - found through the path of ``main``

    tag = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
    if any(Path(room.__path__[0]).glob(f"_book.{tag}*.so")):
        return
    built = folder / f"kernel-{tag}"
    if not built.is_dir():
        os.chdir(root)
        hatch_build = import_module("hatch_build")  # not typed, as what it imports
        built.mkdir(parents=True)
        hatch_build._build(hatch_build.PACKAGE, built)
    room.__path__.append(str(built))


def main() -> int:
    """Print the digest, and how much it is of."""
    root, lives, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]), Path(sys.argv[3])
    sys.path[:0] = [str(root / each) for each in ("proto", "bridge", "micro", "tests/kit", "")]
    metadata.version = lambda _name: "0"  # type: ignore[assignment]
    platform.python_version = lambda: "3"
    if os.environ["CITADEL_KERNEL"] == "compiled":
        add_compiled(root, folder.resolve())

    from ladder_kit import ladder  # noqa: PLC0415 - found through the path above

    from citadel_micro.core.engine.engine import Engine  # noqa: PLC0415
    from citadel_micro.core.marketdata import kernel  # noqa: PLC0415
    from citadel_micro.shell.journal.journal import new_journal  # noqa: PLC0415

    digest = hashlib.sha256()
    events = commands = 0
    with ladder(), tempfile.TemporaryDirectory() as place:
        known = pickle.loads(lives.read_bytes())  # noqa: S301 - our own
        for number, (config, instruments, rows) in enumerate(known):
            engine = Engine(config, instruments)
            journal = new_journal(Path(place, str(number)), config, instruments, rows[0][0])
            for now_ns, event in rows:
                events += 1
                journal.event(now_ns, event)
                for command in engine.handle(event, now_ns):
                    commands += 1
                    journal.command(now_ns, command)
            journal.sync()
            journal.close()
            digest.update(journal.path.read_bytes())
    how = "compiled" if kernel.COMPILED else "python"
    print(f"{digest.hexdigest()} {events} {commands} {how} {sys.version.split()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
