"""Where the channels are unless a configuration says otherwise."""

from __future__ import annotations

from typing import Final

DEFAULT_SIGNALS: Final = "tcp://127.0.0.1:5555"
"""Where a macro publishes signals."""
DEFAULT_MARKET: Final = "tcp://127.0.0.1:5556"
"""Where micro publishes books, reports and heartbeats."""
DEFAULT_COMMAND_SIGNALS: Final = "tcp://127.0.0.1:5557"
"""Where the command line publishes its signals; micro listens there as well."""
