"""Before a live run: read its keys, and query every venue. Nothing is placed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from citadel_micro.preflight.first_run import capped_venues
from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from citadel_micro.core.model.instrument import Instrument
    from citadel_micro.preflight.checks import Check
    from citadel_micro.shell.account_facts import AccountInspector, AccountQuery
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.keys.api_key import ApiKey
    from citadel_micro.shell.order_adapter import OrderAdapters

log: Final = structlog.get_logger("preflight")


# What only a live run needs is imported where it begins: on paper none of it is.


def read_keys(config: MicroConfig) -> dict[str, ApiKey]:
    """The key of each venue; none on paper.

    Raises:
        BadInput: a key file is not private or not whole, or is of another venue, network or
            account than the configuration says.
    """
    if config.mode != "live":
        return {}
    keys: dict[str, ApiKey] = {}
    for venue, section in config.venues.items():
        if section.key_file is None:
            raise BadInput(f"live trading on {venue} needs a key", where=f"venues.{venue}.key_file")
        key = _read_key(config, venue, section.key_file)
        keys[venue] = key
    return keys


def read_watchdog_keys(config: MicroConfig) -> dict[str, ApiKey]:
    """The key of each venue with which the watchdog cancels. Raises as ``read_keys``."""
    keys: dict[str, ApiKey] = {}
    for venue, section in config.venues.items():
        if section.watchdog_key_file is None:
            raise BadInput(
                f"the watchdog needs a key of its own on {venue}",
                where=f"venues.{venue}.watchdog_key_file",
                allowed="a private file with a second key of the same account",
                mend="make one with `citadel live make-key`, permitted to read and to trade only",
            )
        keys[venue] = _read_key(config, venue, section.watchdog_key_file)
    return keys


def _read_key(config: MicroConfig, venue: str, path: Path) -> ApiKey:
    from citadel_micro.shell.keys.key_file import read_key_file  # noqa: PLC0415 - as above

    key = read_key_file(path.expanduser())
    for what, of_key, wanted, setting in (
        ("venue", key.venue, venue, f"[venues.{venue}]"),
        ("network", key.network, config.venues[venue].network, f"venues.{venue}.network"),
        ("account", key.account, config.live_account, "live_account"),
    ):
        if of_key != wanted:
            raise BadInput(
                f"the key is of {what} {of_key}, and {setting} says {wanted}",
                where=key.file,
                mend=f"use the key of {what} {wanted}, or correct {setting}",
            )
    return key


async def clear_to_trade(
    orders: OrderAdapters,
    config: MicroConfig,
    keys: Mapping[str, ApiKey],
    instruments: Mapping[tuple[str, str], Instrument],
    now: Callable[[], int],
    *,
    old: Collection[tuple[str, str]] = (),
) -> None:
    """Check every venue that has a key; on paper there is none. Raises as ``require_clear``.

    Args:
        orders: the makers of order adapters.
        config: of the run.
        keys: by venue.
        instruments: the venues' rules as listed, by venue and unified symbol: not those of a run that
            resumes another, whose orders may be in other ticks and lots.
        now: this machine's clock.
        old: (venue, symbol) of the run that this one resumes: one that cannot be traded any more is only
            warned of, since stops of the others may be held.
    """
    for venue, key in keys.items():
        inspector = orders.inspector(venue)
        if inspector is not None:
            its = {symbol: rules for (of, symbol), rules in instruments.items() if of == venue}
            resumed = frozenset(symbol for of, symbol in old if of == venue)
            require_clear(venue, await ask(inspector, config, key, its, now, resumed=resumed))
    for venue in capped_venues(config):
        cap, total = config.live.first_run_cap, config.live.first_run_total
        log.warning(
            "orders are capped until `citadel live lift-cap`",
            venue=venue,
            order=str(cap),
            total=str(total),
        )


async def ask(
    inspector: AccountInspector,
    config: MicroConfig,
    key: ApiKey,
    instruments: Mapping[str, Instrument],
    now: Callable[[], int],
    *,
    resumed: frozenset[str] = frozenset(),
) -> list[Check]:
    """Query one venue, and check its answer. Raises as ``AccountInspector.facts``.

    Args:
        inspector: of the venue.
        config: of the run.
        key: of the venue.
        instruments: rules that orders will be made by, by unified symbol.
        now: this machine's clock.
        resumed: symbols, as for ``clear_to_trade``.
    """
    from citadel_micro.preflight.checks import Expected, judge  # noqa: PLC0415 - as above

    facts = await inspector.facts(query_of(config, key, instruments, now))
    return judge(
        facts,
        Expected(
            venue=key.venue,
            section=config.venues[key.venue],
            account=config.live_account,
            instruments=instruments,
            resumed=resumed,
        ),
    )


async def check_watchdog(
    inspector: AccountInspector, config: MicroConfig, key: ApiKey, now: Callable[[], int]
) -> None:
    """Stop the watchdog where its key may withdraw, or may not trade.

    Raises:
        Refused: with every reason. Otherwise as ``ask``.
    """
    from citadel_micro.preflight.checks import OF_KEY  # noqa: PLC0415 - as above

    require_clear(
        key.venue,
        [each for each in await ask(inspector, config, key, {}, now) if each.name in OF_KEY],
    )


async def ask_watchdog(
    inspector: AccountInspector,
    config: MicroConfig,
    key: ApiKey,
    instruments: Mapping[str, Instrument],
    now: Callable[[], int],
) -> list[Check]:
    """Permissions of the watchdog's key; empty where there is none. Raises as ``ask``, and as ``read_keys``.

    micro itself never reads that key.
    """
    path = config.venues[key.venue].watchdog_key_file
    if path is None:
        return []
    from citadel_micro.preflight.checks import OF_KEY  # noqa: PLC0415 - as above
    from citadel_micro.shell.keys.key_file import read_key_file  # noqa: PLC0415

    second = read_key_file(path.expanduser())
    if (second.venue, second.network, second.account) != (key.venue, key.network, key.account):
        raise BadInput(
            f"the watchdog's key is of account {second.account} on {second.venue} ({second.network})",
            where=second.file,
            allowed=f"a key of account {key.account} on {key.venue} ({key.network})",
            mend="make it on the account that micro trades on: it has to cancel there",
        )
    # Keys of some venues have no id.
    if second.id == key.id and (key.id or second.secret == key.secret):
        raise BadInput(
            "the watchdog's key is the one that micro trades with",
            where=second.file,
            mend="make a second key: the watchdog must work when the first is blocked",
        )
    return [
        replace(each, name=f"watchdog: {each.name}")
        for each in await ask(inspector, config, second, instruments, now)
        if each.name in OF_KEY
    ]


def query_of(
    config: MicroConfig,
    key: ApiKey,
    instruments: Mapping[str, Instrument],
    now: Callable[[], int],
) -> AccountQuery:
    """The account to query, and what about it. Arguments as of ``ask``."""
    from citadel_micro.shell.account_facts import AccountQuery  # noqa: PLC0415 - as above

    return AccountQuery(
        venue=key.venue,
        key=key,
        section=config.venues[key.venue],
        instruments=instruments,
        now=now,
    )


def require_clear(venue: str, checks: list[Check]) -> None:
    """Log warnings, and stop the start where a check has refused.

    Raises:
        Refused: with every reason and how to fix it.
    """
    for each in checks:
        if each.verdict == "warn":
            log.warning("preflight", venue=venue, check=each.name, text=each.text, mend=each.mend)
    reasons = [
        f"  {each.name}: {each.text}\n    fix: {each.mend}"
        for each in checks
        if each.verdict == "refused"
    ]
    if reasons:
        raise Refused("\n".join([f"{venue} is not clear to trade; no order was sent", *reasons]))
    log.info("clear to trade", venue=venue, checks=len(checks))
