"""What several modules of tests of the executor share."""

from __future__ import annotations

from engine_kit import MS, Rig, signal

CHILD = "sctest-1-1"


def working(**changes: object) -> Rig:
    rig = Rig()
    rig.send(signal(**changes))
    rig.run(10 * MS)
    return rig
