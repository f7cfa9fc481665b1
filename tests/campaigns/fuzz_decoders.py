"""A longer search for frames that break a decoder, guided by coverage: ``make fuzz``.

Needs atheris, which is not part of the development environment::

    make fuzz ARGS="--seconds 600 --venue okx"

A frame that breaks a decoder is written to ``.cache/fuzz/`` and named on the way out. The corpus
starts from the captures, where they are, and is kept in the same folder from run to run.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "kit"))

try:
    import atheris
except ImportError:
    sys.exit("fuzz: atheris is not installed here; run .venv/bin/pip install -e '.[fuzz]'")

# Everything that is imported in here is instrumented; frame_kit imports the decoders.
with atheris.instrument_imports(include=["citadel_micro.shell.marketdata", "citadel_micro.core"]):
    from frame_kit import NASTY, Victim, real_frames

    from citadel_micro.shell.marketdata.spec import venue_ids

SEPARATOR = b"\n"
"""Between the frames of one input: state that one frame leaves is part of the search."""


def corpus(folder: Path, venue: str) -> Path:
    """Folder of first inputs: real frames alone and by threes, and the nasty pieces."""
    folder = folder / venue
    folder.mkdir(parents=True, exist_ok=True)
    shared = Path(os.environ.get("CITADEL_SHARED") or ROOT.parent / "shared")
    frames = real_frames(shared, venue, 60) if shared.is_dir() else []
    inputs = [
        *frames,
        *(SEPARATOR.join(frames[start : start + 3]) for start in range(0, len(frames), 3)),
        *NASTY,
    ]
    for number, data in enumerate(inputs):
        (folder / f"seed-{number:04d}").write_bytes(data)
    return folder


def main() -> None:
    """Fuzz one venue, or all of them one after the other for an equal share of the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=120, help="in all")
    parser.add_argument("--venue", choices=venue_ids(), help="only this one")
    args = parser.parse_args()
    venues = [args.venue] if args.venue else venue_ids()
    share = max(2, args.seconds // len(venues))
    failed = []
    for venue in venues:
        child = os.fork()  # atheris never returns
        if child == 0:
            _fuzz(venue, share)
        _, status = os.waitpid(child, 0)
        if status:
            failed.append(venue)
    print(f"fuzz: {len(venues)} decoders, {share} s each; broken: {', '.join(failed) or 'none'}")
    sys.exit(bool(failed))


def _fuzz(venue: str, seconds: int) -> None:
    folder = ROOT / ".cache" / "fuzz"
    seeds = corpus(folder, venue)
    ends_s = time.monotonic() + seconds

    def one(data: bytes) -> None:
        victim = Victim(venue)
        for frame in data.split(SEPARATOR):
            victim.take(frame)

    print(f"fuzz: {venue}, {seconds} s, until {ends_s:.0f}", flush=True)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=8192",
        "-verbosity=0",
        "-print_final_stats=1",
    ]
    crashes = f"-artifact_prefix={folder}/{venue}-"
    atheris.Setup([sys.argv[0], *options, crashes, str(seeds)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
