"""Chances of faults at a simulated exchange, for live tests of every venue."""

from __future__ import annotations

from typing import Final

SOFT: Final = (
    "answer-lost=0.05",
    "unknown-executed=0.05",
    "http-503-executed=0.05",
    "answer-delayed=0.05,for=0.7",
    "event-first=0.2",
    "answer-first=0.2",
    "event-duplicated=0.2",
    "event-delayed=0.1",
    "event-lost=0.03",
    "query-lag=0.1",
    "cancel-unknown=0.1",
    "session-cut=0.01",
)
"""What every exchange does now and then."""

MANY: Final = (
    "answer-lost=0.05",
    "unknown-executed=0.05",
    "http-503-executed=0.05",
    "answer-garbled=0.03",
    "answer-delayed=0.05,for=0.7",
    "event-first=0.2",
    "answer-first=0.2",
    "event-duplicated=0.2",
    "event-reordered=0.2",
    "event-delayed=0.1",
    "event-lost=0.03",
    "new-delayed=0.1,for=2",
    "query-lag=0.1",
    "cancel-unknown=0.1",
    "fill-wins=0.05",
    "stream-terminated=0.02",
    "session-cut=0.01",
    "server-shutdown=0.01,for=0.5",
)
"""And what some do: garbled answers, events out of order, connections that end."""

HARSH: Final = (
    *MANY,
    "request-lost=0.08",
    "request-delayed=0.1,for=1.2",
    "unknown-lost=0.08",
    "unknown-late=0.08,for=1.5",
    "overloaded=0.08",
    "http-503-lost=0.08",
    "too-many-requests=0.02,for=1",
    "clock-skew=0.03,for=5",
    "mute=0.02,for=4",
    "event-delayed=0.2,for=3",
    "query-lag=0.3,for=4",
)
"""A bad day."""
