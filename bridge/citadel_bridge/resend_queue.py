"""What has been published and not yet answered, and when to publish it again.

Locked by its owner (the connector); times are nanoseconds of the monotonic clock, passed in.
"""

from __future__ import annotations

from dataclasses import dataclass

from citadel_proto.messages import SignalChannel


@dataclass(slots=True)
class Letter:
    """One message under way."""

    message: SignalChannel
    due_ns: int
    pause_ns: int
    """Pause after the next sending; doubles up to the outbox's limit."""
    until_ns: int
    """Given up then."""
    limit_ns: int
    sent: int = 0


class ResendQueue:
    """Letters by key, each sent again with growing pauses until it is taken out or given up."""

    def __init__(self) -> None:
        self._letters: dict[str, Letter] = {}
        self.resent = 0
        """Sendings that were not the first of their letter."""

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
        """Add a letter; ``sent`` says that its first sending is done, else it is due at once."""
        due = now_ns + first_ns if sent else now_ns
        self._letters[key] = Letter(message, due, first_ns, until_ns, limit_ns, int(sent))

    def take(self, key: str) -> bool:
        """Remove a letter; False if it was not there."""
        return self._letters.pop(key, None) is not None

    def due(self, now_ns: int) -> tuple[list[SignalChannel], list[str]]:
        """Messages to send now, and the keys of the letters that were given up just now."""
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
        """When ``due`` has something; None when it is empty."""
        return min(
            (min(letter.due_ns, letter.until_ns) for letter in self._letters.values()), default=None
        )
