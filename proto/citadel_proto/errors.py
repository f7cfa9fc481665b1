"""Every error the project raises on purpose, and whose fault each one is.

::

    CitadelError
    ├── BadInput          the user's: says what, where, what is allowed, how to fix it
    ├── DecodeError       a sender's: bytes from the wire or a file that are not a valid message
    ├── VenueViolation    an exchange's: it broke its own protocol; resynchronize and continue
    ├── Refused           nobody's: a safety rule refused the request; nothing was done
    ├── PeerUnavailable   a peer's: a process, port or file lock that is needed is not available
    └── InvariantError    ours: an impossible state; halt, never continue

A package adds its own leaves below these, never beside them, so that ``except BadInput`` and its
siblings stay complete. The exit code of each is in ``citadel_bridge.exit_codes``.

This module imports nothing but the standard library, because the pure core raises from it.
"""

from __future__ import annotations


class CitadelError(Exception):
    """Root of the tree; never raised itself."""


class BadInput(CitadelError):  # noqa: N818 - the name says whose fault it is
    """Invalid input from a person: an argument, a file, a setting.

    The whole text is meant for that person, so it holds four things where they exist::

        raise BadInput(
            "quantity 0.00001 is below the minimum",
            where="signal BTC/USDT on binance-spot",
            allowed="at least 0.0001, in steps of 0.0001",
            mend="raise --quantity",
        )

    Args:
        what: what is wrong, with the value as given.
        where: the file, line, option or message that holds it.
        allowed: the values that would have been accepted.
        mend: how to fix it.
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
    """Bytes that are not a message, or not the kind of message they claim to be.

    The only error that the codecs raise. The receiver counts and drops the bytes; the connection
    stays up.
    """


class VenueViolation(CitadelError):  # noqa: N818 - the name says whose fault it is
    """An exchange broke its protocol: a gap, a crossed book, an impossible report.

    The response is to resynchronize with that venue, never to guess.
    """


class Refused(CitadelError):  # noqa: N818 - the name says what happened
    """A safety rule stopped a request that was otherwise well formed; nothing was done.

    The text names the rule, and how to override it, if that is possible.
    """


class PeerUnavailable(CitadelError):  # noqa: N818 - the name says whose fault it is
    """A peer, port or lock that is needed is not there, or does not answer in time.

    The text names its address, how long micro waited, and what would start or free it.
    """


class InvariantError(CitadelError):
    """A state that our own code must never reach. The response is to halt."""
