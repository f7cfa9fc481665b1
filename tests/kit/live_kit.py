"""A good live configuration, for tests to spoil."""

from __future__ import annotations

from typing import TYPE_CHECKING

from key_kit import write_key

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = """
[risk]
max_order_notional = 100
max_position_notional = 200
max_gross_exposure = 200
max_net_exposure = 200
max_open_orders = 5
max_daily_loss = 20
max_rolling_loss = 10
max_drawdown = 30
max_order_quantity = {"*" = 1000}
max_position_quantity = {"*" = 1000}
max_venue_exposure = {"*" = 200}
"""


UNHURRIED = """
stale_ms = 60000
mark_stale_ms = 60000
feed_trip_ms = 60000
max_skew_ms = 60000
"""
"""In ``[risk]``, where the age of what was heard is not the subject: the machine may be busy."""
PATIENT = """
lease_soft_ms = 60000
lease_hard_ms = 120000
lease_dead_ms = 240000
"""
"""Likewise, of a macro or a command."""


def live_file(folder: Path, *, top: str = "", venue: str = "", limits: str = LIMITS) -> Path:
    """A good live configuration, and what is added to it."""
    key = write_key(folder / "keys")
    path = folder / "micro.toml"
    path.write_text(
        f"mode = 'live'\nlive_account = '354937868'\nrun_dir = '{folder}/run'\n{top}\n"
        f"[venues.binance-spot]\nnetwork = 'testnet'\nkey_file = '{key}'\n{venue}\n{limits}"
    )
    return path
