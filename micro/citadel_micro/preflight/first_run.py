"""The small cap of a first live run: durable, and lifted by a person with a reason.

On a mainnet orders are capped until ``citadel live lift-cap`` was run for that account. A
cap that ended by itself would end unnoticed, so none does.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final

import msgspec

from citadel_micro.core.model.risk_limits import ANY
from citadel_micro.shell.journal.run_index import replace_whole
from citadel_micro.shell.marketdata.generic import is_generic
from citadel_proto.disk import writing
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.shell.config.config import MicroConfig

FILE: Final = "first-run.json"
"""In the run folder."""


class Lifted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Record that the cap of one account was lifted."""

    ts_ns: int
    reason: str


def account_name(config: MicroConfig, venue: str) -> str:
    """Name of an account in the file: ids are unique within a venue's network only."""
    return f"{venue}:{config.venues[venue].network}:{config.live_account}"


def capped_venues(config: MicroConfig) -> list[str]:
    """Venues on whose accounts the cap applies.

    Raises:
        BadInput: the file of the run folder cannot be read.
    """
    if config.mode != "live":
        return []
    lifted = _read(config.run_dir / FILE)
    return [
        venue
        for venue, section in config.venues.items()
        if section.network == "mainnet" and account_name(config, venue) not in lifted
    ]


def limits_in_effect(running: MicroConfig, fresh: MicroConfig | None = None) -> RiskLimits:
    """The limits of a run.

    Args:
        running: what the run was started with: decides whether it is live, and on which account.
        fresh: the current configuration, where its limits are applied meanwhile.

    Raises:
        BadInput: as ``capped_venues``.
    """
    source = running if fresh is None else fresh
    limits = _smaller(source.limits(), running, source.live.unverified_share)
    if not capped_venues(running):
        return limits
    cap, total = source.live.first_run_cap, source.live.first_run_total

    def least(one: Decimal) -> Decimal:
        return min(one, total)

    return dataclasses.replace(
        limits,
        max_order_notional=min(limits.max_order_notional, cap),
        max_position_notional=least(limits.max_position_notional),
        max_gross_exposure=least(limits.max_gross_exposure),
        max_net_exposure=least(limits.max_net_exposure),
        max_venue_exposure={name: least(most) for name, most in limits.max_venue_exposure.items()},
    )


def _smaller(limits: RiskLimits, config: MicroConfig, share: Decimal) -> RiskLimits:
    """A share of the limits on live venues whose execution is unverified.

    What is configured for such a venue by its name stays as it is.
    """
    venues = [name for name in config.venues if config.mode == "live" and is_generic(name)]
    if not venues:
        return limits
    exposure, orders = dict(limits.max_venue_exposure), dict(limits.max_venue_order_notional)
    for venue in venues:
        of_any = exposure.get(ANY)
        if of_any is not None:
            exposure.setdefault(venue, of_any * share)
        orders.setdefault(venue, limits.order_notional(venue) * share)
    return dataclasses.replace(limits, max_venue_exposure=exposure, max_venue_order_notional=orders)


def lift(config: MicroConfig, reason: str, now_ns: int) -> list[str]:
    """Lift the cap of this account, from the next start or change of limits on.

    Returns:
        The accounts whose cap was lifted; none where none was capped.

    Raises:
        BadInput: the file of the run folder cannot be read or written.
    """
    path = config.run_dir / FILE
    venues = capped_venues(config)
    lifted = _read(path)
    for venue in venues:
        lifted[account_name(config, venue)] = Lifted(now_ns, reason)
    if venues:
        with writing(path):
            config.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_whole(path, msgspec.json.encode(lifted), durable=True)
    return [account_name(config, venue) for venue in venues]


def _read(path: Path) -> dict[str, Lifted]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Lifted])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(path)) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadInput(
            f"not what `citadel live lift-cap` writes: {error}",
            where=str(path),
            mend="remove it: then the cap holds again",
        ) from error
