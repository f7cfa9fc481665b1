"""Messages published and not yet acknowledged, and when to publish them again.

Locked by its owner (the connector); times are nanoseconds of the monotonic clock, passed in.
"""

from __future__ import annotations

from dataclasses import dataclass

from citadel_proto.messages import SignalChannel


@dataclass(slots=True)
class Unacknowledged:
    """One unacknowledged message."""

    message: SignalChannel
    due_ns: int
    pause_ns: int
    """Pause after the next send; doubles up to the queue's limit."""
    until_ns: int
    """Dropped then."""
    limit_ns: int
    sent: int = 0


class ResendQueue:
    """Messages by key, each sent again at growing intervals until it is removed or dropped."""

    def __init__(self) -> None:
        self._letters: dict[str, Unacknowledged] = {}
        self.resent = 0
        """Sends that were not the first of their message."""

    def __len__(self) -> int:
        return len(self._letters)

    def put(
        self,
        key: str,
        message: SignalChannel,
        *,
        now_ns: int,
        until_ns: int,
        first_ns: int,
        limit_ns: int,
        sent: bool = False,
    ) -> None:
        """Add a message; ``sent`` means that its first send is done, else it is due at once."""
        due = now_ns + first_ns if sent else now_ns
        self._letters[key] = Unacknowledged(message, due, first_ns, until_ns, limit_ns, int(sent))

    def take(self, key: str) -> bool:
        """Remove a message; False if it was not there."""
        return self._letters.pop(key, None) is not None

    def due(self, now_ns: int) -> tuple[list[SignalChannel], list[str]]:
        """Messages to send now, and the keys of those dropped just now."""
        send = []
        given_up = [key for key, letter in self._letters.items() if letter.until_ns <= now_ns]
        for key in given_up:
            del self._letters[key]
        for letter in self._letters.values():
            if letter.due_ns <= now_ns:
                self.resent += letter.sent > 0
                letter.sent += 1
                letter.due_ns = now_ns + letter.pause_ns
                letter.pause_ns = min(letter.pause_ns * 2, letter.limit_ns)
                send.append(letter.message)
        return send, given_up

    def next_due(self) -> int | None:
        """When ``due`` returns something; None when it is empty."""
        return min(
            (min(letter.due_ns, letter.until_ns) for letter in self._letters.values()), default=None
        )
