"""Record ``demo.tape`` anew: a whole demo, both channels, with micro's kill -9 in the middle.

Run it from the root of the checkout, and look at the difference that it makes to the tests::

    .venv/bin/python tests/system/data/record.py

Books are thinned out to five levels a second, so that the tape stays small.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

TAPE = Path(__file__).with_name("demo.tape")
CITADEL = (sys.executable, "-m", "citadel_bridge.cli")
THIN = {"CITADEL_BRIDGE__BOOK_INTERVAL_MS": "1000", "CITADEL_BRIDGE__BOOK_LEVELS": "5"}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        run_dir = Path(folder) / "run"
        paper = [*CITADEL, "demo", "--paper", "--run-dir", str(run_dir)]
        demo = subprocess.Popen(paper, env=os.environ | THIN)
        config = run_dir / "micro.toml"
        while not config.exists():
            time.sleep(0.1)
        time.sleep(0.5)  # it is written in one go, but not necessarily read in one
        bridge = tomllib.loads(config.read_text())["bridge"]
        TAPE.unlink(missing_ok=True)
        words = ["record", "--out", TAPE, "--compress", "--market", bridge["market"]]
        words += ["--signals", bridge["macros"][0]]
        words += ["--command-signals", bridge["command_lines"][0]]
        recorder = subprocess.Popen([*CITADEL, *words])
        code = demo.wait()
        recorder.send_signal(signal.SIGINT)
        return code or recorder.wait()


if __name__ == "__main__":
    sys.exit(main())
