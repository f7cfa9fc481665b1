"""Errors of the channels: leaves of the tree in ``citadel_proto.errors``.

::

    PeerUnavailable
    ├── PortTaken           an address that this process must bind is in use
    ├── IntentsUnwritable   the intent log cannot be written (disk full …): nothing is sent
    └── MicroUnavailable    no heartbeat, no answer in time, or micro has another schema version
        └── ClockSkew       the two wall clocks differ by more than new risk allows

All of these are raised *before* a signal is sent. Once it is sent nothing raises: an order whose
acknowledgement is late is open, not failed.
"""

from __future__ import annotations

from citadel_proto.errors import PeerUnavailable


class PortTaken(PeerUnavailable):
    """An address that this process must bind is in use by another."""


class IntentsUnwritable(PeerUnavailable):
    """The intent log cannot be written; nothing was sent."""


class MicroUnavailable(PeerUnavailable):
    """Micro is not running, does not answer, or has another schema version; nothing was sent."""


class ClockSkew(MicroUnavailable):
    """Clocks of the two processes differ so much that expiry times would mean different things."""
