"""What one connection of a feed has seen, for logs and metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionHealth:
    """State of one connection, for logs and metrics."""

    venue: str
    number: int
    up: bool
    symbols: tuple[str, ...]
    frames: int
    octets: int
    violations: int
    connects: int
    failures: int
    resubscribed: int
    last_frame_ns: int
