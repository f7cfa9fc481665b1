"""Every error the project raises on purpose, and whose fault each one is.

::

    CitadelError
    ├── BadInput          the user's: says what, where, what is allowed, how to mend it
    ├── DecodeError       a sender's: bytes from the wire or a file that are not what they claim
    ├── VenueViolation    an exchange's: it broke its own protocol; resynchronise and go on
    ├── Refused           nobody's: a safety rule said no; nothing was done
    ├── PeerUnavailable   a peer's: a process, port or file lock that is needed is not to be had
    └── InvariantError    ours: a state that cannot be; halt, never go on

A package adds its own leaves below these, never beside them, so that ``except BadInput`` and its
siblings stay complete. The exit code of each is in ``citadel_bridge.exit_codes``.

This module imports nothing but the standard library, because the pure core raises from it.
"""

from __future__ import annotations


class CitadelError(Exception):
    """Root of the tree; never raised itself."""


class BadInput(CitadelError):  # noqa: N818 - the name says whose fault it is
    """Something a person gave is wrong: an argument, a file, a setting.

    The whole text is meant for that person, so it holds four things where they exist::

        raise BadInput(
            "quantity 0.00001 is below the minimum",
            where="signal BTC/USDT on binance-spot",
            allowed="at least 0.0001, in steps of 0.0001",
            mend="raise --quantity",
        )

    Args:
        what: what is wrong, with the value as it was given.
        where: the file, line, option or message that holds it.
        allowed: the values that would have been accepted.
        mend: what to do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        allowed: str | None = None,
        mend: str | None = None,
    ) -> None:
        """Keep the parts apart, and join them for ``str()``."""
        self.what = what
        self.where = where
        self.allowed = allowed
        self.mend = mend
        text = what if where is None else f"{where}: {what}"
        if allowed is not None:
            text += f"; allowed: {allowed}"
        if mend is not None:
            text += f"; {mend}"
        super().__init__(text)


class DecodeError(CitadelError):
    """Bytes that are not a message, or not the message that they claim to be.

    The only error that the codecs raise. The receiver counts and drops the bytes; the connection
    goes on.
    """


class VenueViolation(CitadelError):  # noqa: N818 - the name says whose fault it is
    """An exchange broke its protocol: a gap, a crossed book, an impossible report.

    The answer is to resynchronise with that venue, never to guess.
    """


class Refused(CitadelError):  # noqa: N818 - the name says what happened
    """A safety rule stopped a request that was otherwise well formed; nothing was done.

    The text names the rule, and says how a person who means it can go on, if at all.
    """


class PeerUnavailable(CitadelError):  # noqa: N818 - the name says whose fault it is
    """A peer, port or lock that the work needs is not there, or does not answer in time.

    The text names its address, how long it was waited for, and what would start or free it.
    """


class InvariantError(CitadelError):
    """A state that our own code must never reach. The answer is to halt."""
