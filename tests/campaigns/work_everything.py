"""``citadel work`` on every capture: each algorithm, side and size, with and without a limit: ``make work``.

No order may fill more than was asked or beyond its limit, no post-only order may take, none may stay open, and the
outcomes must be the same bytes under two hash seeds, each in a process of its own::

    make work ARGS="--symbols 2 --only kraken"
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "kit"))

from band_kit import busiest, shared  # noqa: E402
from work_kit import first_touch, orders, violations  # noqa: E402

import citadel_micro.adapters  # noqa: E402, F401 - tells which venues there are
from citadel_micro.offline.work import work  # noqa: E402
from citadel_proto.errors import BadInput  # noqa: E402

SEEDS = (1, 424_242)


def play(path: Path, venue: str, symbol: str, cache: Path) -> dict[str, Any]:
    """All orders of one symbol: how they ended, what was wrong, and a digest of every outcome."""
    digest, ends, wrong = hashlib.sha256(), Counter[str](), []
    fills = 0
    try:
        touch = first_touch(path, venue, symbol)
    except BadInput as error:
        return {"digest": "", "ends": {f"skipped: {error}": 1}, "fills": 0, "wrong": []}
    if touch is not None:
        for order in orders(path, venue, symbol, touch, cache):
            try:
                outcome: Any = work(order).outcome
            except BadInput as error:
                ends["refused"] += 1
                digest.update(str(error).encode())
                continue
            digest.update(json.dumps(outcome).encode())
            ends[str(outcome["status"])] += 1
            fills += sum(len(child["fills"]) for child in outcome["children"])
            name = f"{order.algo} {order.side} {order.quantity} limit {order.limit_price}"
            wrong += [f"{name}: {text}" for text in violations(order, outcome)]
    return {"digest": digest.hexdigest(), "ends": dict(ends), "fills": fills, "wrong": wrong}


def main() -> int:
    """Play everything; 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=1, help="of each capture, busiest first")
    parser.add_argument("--only", default="", help="captures and venues with this in their name")
    parser.add_argument("--one", nargs=4, metavar="", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        path, venue, symbol, cache = args.one
        print(json.dumps(play(Path(path), venue, symbol, Path(cache))))
        return 0
    total, bad = Counter[str](), 0
    with tempfile.TemporaryDirectory() as cache:
        for path, venue in shared():
            if args.only not in f"{path.name} {venue}":
                continue
            try:
                symbols = busiest(path, venue, args.symbols)
            except BadInput as error:
                print(f"{path.name} {venue}: skipped: {error}")
                continue
            for symbol in symbols:
                found = [_process(path, venue, symbol, cache, seed) for seed in SEEDS]
                wrong = list(found[0]["wrong"])
                if any(each["digest"] != found[0]["digest"] for each in found):
                    wrong.append("another hash seed gives other bytes")
                bad += len(wrong)
                total.update(found[0]["ends"])
                total["fills"] += found[0]["fills"]
                print(
                    f"{path.name} {venue} {symbol}: {found[0]['ends']}, {found[0]['fills']} fills",
                    flush=True,
                )
                for text in wrong:
                    print(f"  WRONG {text}", flush=True)
    print(f"{dict(total)}; wrong: {bad}")
    return 1 if bad else 0


def _process(path: Path, venue: str, symbol: str, cache: str, seed: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", str(path), venue, symbol, cache],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONHASHSEED": str(seed)},
    )
    if done.returncode:
        raise SystemExit(f"{path.name} {symbol}: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


if __name__ == "__main__":
    sys.exit(main())
