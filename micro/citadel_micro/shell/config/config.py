"""Configuration of micro: one TOML file, environment overrides, and a default for every key.

Precedence, highest first: command line, environment (``CITADEL_HTTP__PORT=9000``), file, defaults.
An unknown key is refused with the nearest known one; a bad value is reported with
the place it came from. Every duration and size has its unit in its name.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from citadel_bridge.auth import is_local
from citadel_micro.core.algos import algorithm
from citadel_micro.core.algos.base import checked
from citadel_micro.shell.config.live_checks import (
    check_live,
    refuse_keys,
    stricter,
)
from citadel_micro.shell.config.model import (
    DEFAULT_VENUE,
    HTTP_PORT_DEFAULT,
    MicroConfig,
    VenueSection,
)
from citadel_micro.shell.config.sharding import OWN, share, share_of, taken
from citadel_micro.shell.config.sources import Origins, explain, from_environment, from_file
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["DEFAULT_VENUE", "HTTP_PORT_DEFAULT", "MicroConfig", "VenueSection", "load"]

_SHARD: Final = ("bridge", "shard")
_SCALARS: Final = frozenset({"mode", "live_account", "instance", "run_dir"})


def load(
    path: Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    venue_overrides: Mapping[str, Any] | None = None,
) -> MicroConfig:
    """Read the configuration.

    Args:
        path: TOML file; None takes the defaults.
        environment: variables; none by default, so that a caller that wants the
            process's own has to pass them.
        overrides: nested values of the command line.
        venue_overrides: values of the command line for the one venue, whichever it is.

    Raises:
        BadInput: everything that is wrong, each with where it is, what is allowed and how to fix
            it.
    """
    origins = Origins()
    merged: dict[str, Any] = {}
    if path is not None:
        origins.add_file(path, from_file(path), merged)
    sections = {name for name, field in MicroConfig.model_fields.items() if name not in _SCALARS}
    origins.add_environment(
        from_environment(environment or {}, scalars=_SCALARS, sections=sections), merged
    )
    origins.add_overrides(overrides or {}, merged)
    if venue_overrides:
        named = merged.get("venues")
        name = next(iter(named), None) if isinstance(named, dict) else None
        origins.add_overrides({"venues": {name or DEFAULT_VENUE: venue_overrides}}, merged)
    refuse_keys(merged, environment or {}, origins)
    stricter(merged)
    try:
        config = MicroConfig(**merged)
    except ValidationError as error:
        raise explain(error, MicroConfig, origins) from error
    _cross_checks(config, origins)
    return _narrowed(config, origins)


def _cross_checks(config: MicroConfig, origins: Origins) -> None:
    """Checks across several values."""
    if config.http.host not in {"127.0.0.1", "localhost", "::1"} and not config.http.allow_remote:
        raise BadInput(
            f"http.host is {config.http.host}, which is not loopback",
            where=origins.where(("http", "host")),
            allowed="127.0.0.1, ::1, localhost",
            mend="set http.allow_remote = true if the network before it is trusted",
        )
    if config.bridge.keys is None:
        for name in ("market", "macros", "command_lines"):
            value = getattr(config.bridge, name)
            for address in [value] if isinstance(value, str) else value:
                if not is_local(address):
                    raise BadInput(
                        f"bridge.{name} has {address}, which is not loopback, and there are no "
                        "keys",
                        where=origins.where(("bridge", name)),
                        allowed="127.0.0.1, ipc://, or any address with bridge.keys",
                        mend="make keys with `citadel keys make DIR` and set bridge.keys = DIR",
                    )
    if config.bridge.lane is not None:
        from citadel_bridge.lane import check_path  # noqa: PLC0415 - most have none

        check_path(config.bridge.lane, origins.where(("bridge", "lane")))
    for address in config.bridge.macros:
        if address in config.bridge.command_lines:
            raise BadInput(
                f"{address} is both under macros and under command_lines",
                where=origins.where(("bridge", "macros")),
                mend="name it once: what comes from a command line may cancel anybody's order",
            )
    for venue in config.reference:
        if venue in config.venues:
            raise BadInput(
                f"{venue} is both under venues and under reference",
                where=origins.where(("reference", venue)),
                mend=f"a venue that is traded on is compared as well: remove [reference.{venue}]",
            )
    for name, values in config.algorithms.items():
        with _at(origins, "algorithms", name):
            checked(name, algorithm(name).params, values.items())
    with _at(origins, "risk"):
        config.limits()
    check_live(config, origins)


def _narrowed(config: MicroConfig, origins: Origins) -> MicroConfig:
    """The configuration of this micro alone: its share of the symbols, a name and a folder of its own.

    Raises:
        BadInput: it has no name that tells it from the others, or no symbol falls to it; or one account
            would be traded by several micros, none of which knows the others' orders.
    """
    shard = config.bridge.shard
    if not shard:
        return config
    found = share(shard)
    if found is None:
        if "instance" not in config.model_fields_set:
            raise BadInput(
                "one of several micros needs a name of its own",
                where=origins.where(_SHARD),
                mend='add instance = "NAME", another for each: macro tells them apart by it',
            )
        return config
    if config.mode == "live":
        raise BadInput(
            f"share {shard} of one configuration is one account traded by several micros, each of which "
            "would judge its limits by its own orders only",
            where=origins.where(_SHARD),
            allowed="own: a configuration, symbols and an account for each",
            mend=f'set bridge.shard = "{OWN}" and name the pairs of this account under symbols',
        )
    venues = {}
    for name, section in config.venues.items():
        symbols = taken(shard, section.symbols)
        if not symbols:
            others = {each: share_of(each, found[1]) for each in section.symbols}
            raise BadInput(
                f"none of venues.{name}.symbols falls to share {shard}: "
                + ", ".join(f"{each} to {number}" for each, number in others.items()),
                where=origins.where(_SHARD),
                mend=f'use fewer shares, or bridge.shard = "{OWN}" with symbols for each',
            )
        venues[name] = section.model_copy(update={"symbols": symbols})
    changes: dict[str, Any] = {"venues": venues}
    if "instance" not in config.model_fields_set:
        changes["instance"] = f"{config.instance}-{found[0]}"
    if "run_dir" not in config.model_fields_set:
        changes["run_dir"] = config.run_dir.with_name(f"{config.run_dir.name}-{found[0]}")
    return config.model_copy(update=changes)


@contextmanager
def _at(origins: Origins, *location: str) -> Iterator[None]:
    """Add the configuration's origin of a BadInput from the core."""
    try:
        yield
    except BadInput as error:
        raise BadInput(
            error.what, where=origins.where(location), allowed=error.allowed, mend=error.mend
        ) from error
