"""Ports for programs that must be told one before they run."""

from __future__ import annotations

import os
import socket
import tempfile
from itertools import count
from pathlib import Path
from typing import Final

from citadel_bridge.file_locks import lock

_FIRST: Final = 10_240
_BLOCK: Final = 150
_BLOCKS: Final = 64
"""Together they end below those of ``citadel demo``, which begin at 20,000, and these below 32,768.

From there Linux takes what it gives to port 0 and to connections: such a port may be another's before the
program that was told it binds it.
"""


def _take_block() -> int:
    """The first port of a block that no other process of the tests has; it is ours until we end."""
    locks = Path(tempfile.gettempdir()) / f"citadel-test-ports-{os.getuid()}"
    locks.mkdir(mode=0o700, exist_ok=True)
    for each in range(_BLOCKS):
        block = (os.getpid() + each) % _BLOCKS
        opened = os.open(locks / str(block), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            lock(opened)
        except BlockingIOError:
            os.close(opened)
            continue
        return _FIRST + block * _BLOCK
    message = f"{_BLOCKS} processes of tests run at once: there is no block of ports left"
    raise RuntimeError(message)


_numbers: Final = count()
_begins: list[int] = []


def free_port() -> int:
    """A loopback port that nothing listens on, another one at each call, until the block begins anew."""
    if not _begins:
        _begins.append(_take_block())
    first = _begins[0]
    while True:
        port = first + next(_numbers) % _BLOCK
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
