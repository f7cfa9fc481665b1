"""Exit codes of every command, in one place.

===  ==================  ============================================================
 0   OK                  done, and what was checked agreed
 1   DIFFERENCE          the run itself worked; what it checked differs or failed
 2   BAD_INPUT           wrong argument, file, setting or installation: the text says how to fix it
 3   REFUSED             a safety rule refused it; nothing was done
 4   UNAVAILABLE         a peer, port, lock or disk that is needed is not available
70   BUG                 ours: please report it (EX_SOFTWARE of sysexits.h)
130  INTERRUPTED         Ctrl-C (128 + SIGINT)
141  READER_GONE         standard output was closed by its reader (128 + SIGPIPE)
===  ==================  ============================================================

A command returns an ``Exit`` (or None for ``OK``), or raises an error of the tree in
``citadel_proto.errors``; it never calls ``sys.exit``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from citadel_proto.errors import (
    BadInput,
    CitadelError,
    DecodeError,
    InvariantError,
    PeerUnavailable,
    Refused,
    VenueViolation,
)


class Exit(IntEnum):
    """What a command's process exit code means; see the module's table."""

    OK = 0
    DIFFERENCE = 1
    BAD_INPUT = 2
    REFUSED = 3
    UNAVAILABLE = 4
    BUG = 70
    INTERRUPTED = 130
    READER_GONE = 141


_EXIT_OF: Final[tuple[tuple[type[CitadelError], Exit], ...]] = (
    (BadInput, Exit.BAD_INPUT),
    (DecodeError, Exit.BAD_INPUT),  # at the command line: a file that is not of the claimed format
    (Refused, Exit.REFUSED),
    (PeerUnavailable, Exit.UNAVAILABLE),
    (VenueViolation, Exit.UNAVAILABLE),  # a venue that cannot be followed counts as unavailable
    (InvariantError, Exit.BUG),
)


def exit_of(error: CitadelError) -> Exit:
    """Exit code of an error that reached the command line; an unlisted kind is our bug."""
    for kind, code in _EXIT_OF:
        if isinstance(error, kind):
            return code
    return Exit.BUG
