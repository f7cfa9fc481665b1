"""The ``citadel`` section of a Freqtrade configuration: its settings and their defaults.

Freqtrade itself ignores the section (its schema allows unknown top-level keys). Every setting
can also be set from the environment in Freqtrade's own way:
``FREQTRADE__CITADEL__SIGNALS=tcp://127.0.0.1:5555``.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from citadel_macro.venues import venue_of
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping

SECTION: Final = "citadel"
ENDPOINT: Final = re.compile(r"^(tcp://[^\s:]+:\d{1,5}|ipc://\S+)$")
INTENTS_FILE: Final = "citadel-intents.sqlite"
SHADOW_INTENTS_FILE: Final = "citadel-shadow-intents.sqlite"
SHADOW_FILE: Final = "citadel-shadow.sqlite"


def _listed(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


class BridgeSettings(BaseModel):
    """Settings of the bridge between Freqtrade and micro, as read from the configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    signals: str = "tcp://127.0.0.1:5555"
    """Endpoint that macro binds for what it sends."""
    market: Annotated[tuple[str, ...], BeforeValidator(_listed), Field(min_length=1)] = (
        "tcp://127.0.0.1:5556",
    )
    """Endpoint of micro that macro connects to; a list (or comma-separated) of several micros, each of
    which takes orders on pairs of its own (`citadel micro --shard`)."""
    lanes: Annotated[tuple[Path, ...], BeforeValidator(_listed)] = ()
    """Unix sockets of micros on this machine (their `bridge.lane`); a list, or comma-separated."""
    venue: str = ""
    """Venue id at micro; empty: derived from the exchange's name and the trading mode."""
    intents_db: str = ""
    """SQLite file of orders sent; empty: ``citadel-intents.sqlite`` in the user data folder."""
    owner: str = ""
    """Owner id that a new ``intents_db`` uses, in place of a file that was lost."""
    keys_dir: str = ""
    """Folder of CURVE keys; needed for endpoints that are not on loopback."""
    ack_timeout_ms: Annotated[int, Field(ge=1, le=5_000)] = 250
    """How long ``create_order`` waits for micro's first report."""
    query_timeout_ms: Annotated[int, Field(ge=1, le=10_000)] = 500
    """How long a query to micro may take."""
    cancel_wait_ms: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """How long a cancel waits for micro's confirmation before it is tried again."""
    book_max_age_ms: Annotated[int, Field(ge=1, le=60_000)] = 1_500
    """Oldest book of micro that Freqtrade may price an order from."""
    lock_minutes: Annotated[float, Field(gt=0, le=1_440)] = 5.0
    """How long a pair stays locked after micro rejected an entry on it."""
    orphan_policy: Literal["adopt", "flatten"] = "adopt"
    """What to do with a filled entry that Freqtrade's database does not know."""
    algo: Annotated[str, Field(min_length=1)] = "auto"
    """Execution algorithm of limit orders for which a strategy names no other."""
    chase_beyond_bps: Annotated[float, Field(ge=0, le=1_000)] = 10.0
    """How far beyond Freqtrade's own rate a chase may follow the market, in basis points."""
    order_life_s: Annotated[float, Field(gt=0, le=86_400)] | None = None
    """Longest time an entry or exit works at micro; None: Freqtrade's own ``unfilledtimeout``."""
    retry_s: Annotated[float, Field(ge=0, le=30)] = 1.0
    """Pause of Freqtrade's worker after a temporary error (Freqtrade's own: 30)."""
    wake_up: bool = True
    """Start the next loop of Freqtrade at once when an order fills."""
    markets_cache: str = ""
    """JSON file of market rules, for backtesting without any network; empty: none."""
    shadow: bool = False
    """Freqtrade trades by itself, with its own keys or dry; micro works each order on paper as well
    (as `citadel macro trade --shadow`)."""
    shadow_db: str = ""
    """SQLite table of a shadow; empty: ``citadel-shadow.sqlite`` in the user data folder."""

    @field_validator("signals", "market")
    @classmethod
    def _endpoint(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for address in (value,) if isinstance(value, str) else value:
            if not ENDPOINT.match(address):
                raise ValueError(
                    "endpoints look like tcp://127.0.0.1:5555 or ipc:///run/citadel/sig"
                )
        return value

    def intents_path(self, user_data_dir: Path) -> Path:
        """Path of the intent log."""
        return Path(self.intents_db) if self.intents_db else user_data_dir / INTENTS_FILE

    def shadow_path(self, user_data_dir: Path) -> Path:
        """Path of a shadow's table."""
        return Path(self.shadow_db) if self.shadow_db else user_data_dir / SHADOW_FILE


def settings_of(config: Mapping[str, Any]) -> BridgeSettings:
    """Read the ``citadel`` section of a Freqtrade configuration.

    Raises:
        BadInput: unknown key (with the nearest known one) or a value out of its range.
    """
    section = config.get(SECTION, {})
    if not isinstance(section, dict):
        raise BadInput(
            f"{SECTION!r} is {type(section).__name__}",
            where="Freqtrade configuration",
            allowed="an object of settings",
        )
    try:
        settings = BridgeSettings(**section)
    except ValidationError as error:
        raise _bad_input(error) from None
    if not settings.venue:
        settings = settings.model_copy(update={"venue": venue_of(config)})
    return settings


def _bad_input(error: ValidationError) -> BadInput:
    """The first problem that pydantic found, in our own wording."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    where = f"section {SECTION!r} of the Freqtrade configuration"
    known = sorted(BridgeSettings.model_fields)
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, known, n=1)
        return BadInput(
            f"unknown setting {key!r}",
            where=where,
            allowed=", ".join(known),
            mend=f"did you mean {near[0]!r}?" if near else "remove it",
        )
    message = str(first["msg"]).removeprefix("Value error, ")
    return BadInput(f"{key} = {first['input']!r}: {message}", where=where)
