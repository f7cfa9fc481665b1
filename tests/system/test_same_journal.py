"""The same run's journal has the same octets, whatever the hash seed and the kernel are.

``make pythons`` writes it by every other Python that there is, too.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from chaos_kit import ChaosRun
from chaos_market import INSTRUMENTS

from citadel_micro.core.marketdata import kernel
from citadel_micro.shell.journal import records

ROOT = Path(__file__).parents[2]
JOURNAL = ROOT / "tests" / "campaigns" / "pythons_journal.py"


@pytest.mark.campaign
def test_hash_seed_and_kernel_change_no_octet(tmp_path: Path) -> None:
    lives = [
        (life.config, INSTRUMENTS, [(at, records.decode_event(data)) for at, data, _ in life.rows])
        for life in ChaosRun(1, journal=True).play().lives
    ]
    path = tmp_path / "lives.pickle"
    path.write_bytes(pickle.dumps(lives))
    found = set()
    for kind in ("compiled", "python") if kernel.COMPILED else ("python",):
        for seed in ("0", "1", "4242"):
            words = [sys.executable, "-B", str(JOURNAL), str(ROOT), str(path), str(tmp_path)]
            more = {"PYTHONHASHSEED": seed, "CITADEL_KERNEL": kind}
            done = subprocess.run(
                words, env=os.environ | more, capture_output=True, text=True, check=True
            )
            digest, events, commands, used, _ = done.stdout.split()
            assert used == kind
            found.add((digest, events, commands))
    assert len(found) == 1
    assert int(found.pop()[1]) == sum(len(rows) for *_, rows in lives) > 0
