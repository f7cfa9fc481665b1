"""Ids of signals: one of each run of a connector and a number, so that they never repeat."""

from __future__ import annotations

import itertools

from citadel_proto.base36 import base36
from citadel_proto.errors import BadInput

_NS_PER_US = 1_000


class SignalIds:
    """The ids of one run.

    Args:
        epoch: of the run, in ns; no other run on the same intent log has one within a microsecond.
    """

    def __init__(self, epoch: int) -> None:
        self._run = f"{base36(epoch // _NS_PER_US)}-"
        self._numbers = itertools.count(1)

    def make(self) -> str:
        """A new one; from any thread."""
        return f"{self._run}{next(self._numbers)}"

    def own(self, signal_id: str) -> str:
        """One that the caller has chosen.

        Raises:
            BadInput: it is one that was made here, or will be.
        """
        run, number = signal_id[: len(self._run)], signal_id[len(self._run) :]
        if run == self._run and number.isdigit():
            raise BadInput(
                f"signal_id {signal_id!r} was used before, or will be: a number after {self._run} is "
                "given by this run of the bridge",
                mend="leave it out, or choose one of another form",
            )
        return signal_id
