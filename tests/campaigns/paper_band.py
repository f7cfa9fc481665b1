"""Static orders on every capture to its end: the three queue models must bound each other: ``make band``.

Orders of every side, size and distance are placed at several moments of each capture's busiest symbols,
under each model. After every event, what pessimistic has filled may not exceed expected, nor
that optimistic. Prints how far the models are apart::

    make band ARGS="--symbols 2 --starts 8 capture.jsonl.gz=binance-spot"
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "kit"))

from band_kit import busiest, play, shared  # noqa: E402

from citadel_proto.errors import BadInput  # noqa: E402


def given(text: str) -> tuple[Path, str]:
    """A capture and its venue, from ``path=venue``."""
    path, found, venue = text.rpartition("=")
    if not found:
        msg = f"{text!r} is not path=venue"
        raise argparse.ArgumentTypeError(msg)
    return Path(path), venue


def main() -> None:
    """Play them; ends 1 at the first order outside the band."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "captures", nargs="*", type=given, help="path=venue; default: the shared ones"
    )
    parser.add_argument("--symbols", type=int, default=2, help="of each capture, busiest first")
    parser.add_argument("--starts", type=int, default=4, help="moments at which orders are placed")
    args = parser.parse_args()
    checks = orders = 0
    began = time.monotonic()
    for path, venue in args.captures or shared():
        try:
            symbols = busiest(path, venue, args.symbols)
        except BadInput as error:
            print(f"{path.name} {venue}: skipped: {error}")
            continue
        for symbol in symbols:
            try:
                last = None
                for number, statics in play(path, venue, symbol, starts=args.starts):
                    for static in statics:
                        low, middle, high = static.filled()
                        checks += 1
                        if not low <= middle <= high <= static.lots:
                            sys.exit(f"OUTSIDE {path.name} {symbol} event {number}: {static}")
                    last = statics
            except BadInput as error:
                print(f"{path.name} {venue} {symbol}: skipped: {error}")
                continue
            found = [static.filled() for static in last or ()]
            orders += len(found)
            apart = sum(len(set(filled)) > 1 for filled in found)
            shares = [
                sum(
                    min(1.0, filled[k] / static.lots)
                    for filled, static in zip(found, last or (), strict=True)
                )
                / max(1, len(found))
                for k in range(3)
            ]
            print(
                f"{path.name} {venue} {symbol}: {len(found)} orders, filled "
                + " / ".join(f"{share:.1%}" for share in shares)
                + f", models differ for {apart}"
            )
    print(f"{orders} orders, {checks} checks in {time.monotonic() - began:.0f} s: inside the band")


if __name__ == "__main__":
    main()
