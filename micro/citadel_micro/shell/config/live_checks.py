"""What a configuration must have before an order may be sent to a venue, and must never have."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any, Final

from citadel_bridge.auth import is_local
from citadel_micro.core.model.risk_limits import RiskLimits
from citadel_micro.shell.config.sources import ENV_PREFIX
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pydantic import BaseModel

    from citadel_micro.shell.config.model import MicroConfig, VenueSection
    from citadel_micro.shell.config.sources import Origins

LIVE: Final = "live"
REQUIRED: Final = tuple(
    each.name
    for each in fields(RiskLimits)
    if each.default is MISSING and each.default_factory is MISSING
)
"""Limits without a figure that would be safe for everybody: live, each has to be given."""

_SECRET_NAME: Final = re.compile(
    r"(?:^|_)(?:api_?key|api_?secret|secret|secret_?key|private_?key|passphrase|password)$"
)
_PAGE: Final = "see docs/howto/go-live.md"


def refuse_keys(values: Mapping[str, Any], environment: Iterable[str], origins: Origins) -> None:
    """Refuse an API key in the configuration or in a variable, without repeating it.

    Raises:
        BadInput: naming the setting.
    """
    for name in environment:
        if name.startswith(ENV_PREFIX) and _SECRET_NAME.search(name.lower()):
            raise _key_in_the_open(f"the environment variable {name}", "environment")
    for location in _locations(values):
        if _SECRET_NAME.search(location[-1].lower()):
            raise _key_in_the_open(".".join(location), origins.where(location))


def stricter(values: dict[str, Any]) -> None:
    """Set the defaults that differ between live mode and paper."""
    if values.get("mode") != LIVE:
        return
    risk = values.setdefault("risk", {})
    if isinstance(risk, dict):
        risk.setdefault("lease_required", True)
        venues = values.get("venues")
        if isinstance(venues, dict):
            risk.setdefault(
                "dms_venues",
                [
                    str(name).replace("_", "-")
                    for name, section in venues.items()
                    if not _rehearsed(section)
                ],
            )


def _rehearsed(section: object) -> bool:
    """A simulator on this machine, under no mainnet's name: nothing of worth rests there."""
    if not isinstance(section, dict) or section.get("network", "mainnet") == "mainnet":
        return False
    urls = [section.get(name) for name in ("private_rest_url", "ws_api_url")]
    return all(isinstance(url, str) and is_local(url) for url in urls)


def check_live(config: MicroConfig, origins: Origins) -> None:
    """Check what live trading needs of a configuration alone; the key and the venue come later.

    Raises:
        BadInput: the account is not named, a limit is not given, a key file is absent or where it
            must not be, or an address is not encrypted.
    """
    if config.mode != LIVE:
        return
    for name in ("mode", "live_account"):
        if origins.in_environment((name,)):
            raise BadInput(
                f"{name} comes from a variable: what was left over in a shell must not trade",
                where=origins.where((name,)),
                allowed="the configuration file, or the command line",
                mend=f"unset {ENV_PREFIX}{name.upper()}, and write it in the file",
            )
    if not config.live_account:
        raise BadInput(
            "live trading needs the account a second time",
            where=origins.where(("mode",)),
            allowed='live_account = "ID", equal to account in the key file',
            mend="add live_account to the configuration, or --live-account ID",
        )
    for venue, section in config.venues.items():
        _check_venue(config, venue, section, origins)
    risk: BaseModel = config.risk
    given = risk.model_fields_set
    missing = [name for name in REQUIRED if name not in given]
    if missing:
        raise BadInput(
            f"live trading needs limits of your own: {', '.join(missing)}",
            where=origins.where(("risk",)),
            allowed="a figure for each under [risk]; no figure is safe for everybody",
            mend="add them; docs/howto/go-live.md has an example",
        )


def _check_venue(config: MicroConfig, venue: str, section: VenueSection, origins: Origins) -> None:
    where = origins.where(("venues", venue))
    if section.key_file is None:
        raise BadInput(
            f"live trading on {venue} needs a key",
            where=where,
            allowed=f"venues.{venue}.key_file: a private file with an API key",
            mend=_PAGE,
        )
    for name in ("key_file", "watchdog_key_file"):
        path = getattr(section, name)
        if path is not None and _within(path, config.run_dir):
            raise BadInput(
                f"venues.{venue}.{name} is in the run folder, whose files are copied and sent",
                where=origins.where(("venues", venue, name)),
                mend="move the key to a folder of its own",
            )
    if section.watchdog_key_file is not None and _same(section.watchdog_key_file, section.key_file):
        raise BadInput(
            f"venues.{venue}.watchdog_key_file is the key that micro trades with",
            where=origins.where(("venues", venue, "watchdog_key_file")),
            mend="make a second key: the watchdog must work when the first is blocked",
        )
    for name in ("rest_url", "ws_url"):
        url = getattr(section, name)
        if url is not None and not url.startswith(("https://", "wss://")) and not is_local(url):
            raise BadInput(
                f"venues.{venue}.{name} is not encrypted: prices could be changed on the way",
                where=origins.where(("venues", venue, name)),
                allowed="https:// and wss://, or http:// and ws:// on loopback",
                mend="write the s, or remove it to use the venue's own",
            )
    if section.network == "mainnet" and not config.journal.fsync and not _simulated(section):
        raise BadInput(
            "journal.fsync is off: after a power cut micro would not know its own orders",
            where=origins.where(("journal", "fsync")),
            allowed="true on a mainnet",
            mend="remove it",
        )


def _simulated(section: VenueSection) -> bool:
    return all(
        url is not None and is_local(url) for url in (section.private_rest_url, section.ws_api_url)
    )


def _within(path: Path, folder: Path) -> bool:
    return path.expanduser().resolve().is_relative_to(folder.expanduser().resolve())


def _same(one: Path, other: Path) -> bool:
    return one.expanduser().resolve() == other.expanduser().resolve()


def _locations(values: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from ((str(name), *rest) for rest in _locations(value))
        else:
            yield (str(name),)


def _key_in_the_open(what: str, where: str) -> BadInput:
    return BadInput(
        f"{what} looks like a secret: keys are in no configuration and in no variable",
        where=where,
        allowed="venues.NAME.key_file: the path of a private file",
        mend=f"move it to a key file ({_PAGE}), and make a new key if others could read it",
    )
