"""``citadel live``: check before the first order that trading will work, and lift the first run's cap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citadel_bridge.exit_codes import Exit
from citadel_bridge.json_output import Json, JsonLines, print_json
from citadel_proto.errors import BadInput, Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from citadel_micro.preflight.checks import Check
    from citadel_micro.shell.config.config import MicroConfig
    from citadel_micro.shell.keys.api_key import ApiKey

live = typer.Typer(no_args_is_help=True, help="Set up and check live trading.")

Config = Annotated[Path, typer.Option(help="TOML file, as for `citadel micro`.")]
LiveAccount = Annotated[
    str | None, typer.Option(help="The venue's id of the account, if the file does not have it.")
]
Testnet = Annotated[bool, typer.Option("--testnet", help="On the venue's testnet.")]


@live.command("check")
def check(
    config: Config,
    *,
    live_account: LiveAccount = None,
    testnet: Testnet = False,
    place_test_order: Annotated[
        bool,
        typer.Option(
            "--place-test-order",
            help="Also place one far post-only order of the smallest size, query it, reduce "
            "it, and cancel it.",
        ),
    ] = False,
    symbol: Annotated[
        str | None, typer.Option(help="Symbol of the test order; the first one by default.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 on warnings.")] = False,
    json: JsonLines = False,
) -> Exit:
    """Check everything that a live start depends on: clock, permissions, fees, filters.

    Reads only, whatever mode the configuration has. Ends 0 when nothing refuses a start, 3 when
    something does, 1 when a step of the test order failed; 2 for a wrong key or configuration, 4
    when the venue does not answer.
    """
    import asyncio  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_micro.adapters.orders import check_venues, orders_of  # noqa: PLC0415
    from citadel_micro.preflight.boot import read_keys  # noqa: PLC0415
    from citadel_micro.shell.keys.process_guard import guard_process  # noqa: PLC0415
    from citadel_micro.shell.networks import with_hosts  # noqa: PLC0415

    given = load_live(config, live_account, testnet=testnet)
    check_venues(given, orders_of(given.mode))
    loaded = with_hosts(given)
    wanted = None if not place_test_order else symbol or ""
    if symbol is not None and not place_test_order:
        raise BadInput("--symbol is of the test order", where="--symbol", mend="--place-test-order")
    guard_process()
    shown = show_json if json else show
    found = [asyncio.run(_walk(loaded, key, wanted, shown)) for key in read_keys(loaded).values()]
    return exit_of([each for checks in found for each in checks], strict=strict, quiet=json)


@live.command("make-key")
def make_key(
    file: Annotated[Path, typer.Argument(help="Key file to write; its folder is made if absent.")],
    *,
    venue: Annotated[str, typer.Option(help="Venue id, as in the configuration.")],
    account: Annotated[str, typer.Option(help="The venue's id of the account.")],
    network: Annotated[str, typer.Option(help="mainnet, testnet or demo.")] = "mainnet",
    json: Json = False,
) -> Exit:
    """Make an Ed25519 key on this machine, and print its public half to register at the venue.

    The private half stays in the file. The venue then gives the key an id, which goes into the file
    as `id`.
    """
    from typing import get_args  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_micro.shell.keys.api_key import Network  # noqa: PLC0415
    from citadel_micro.shell.keys.key_file import is_name  # noqa: PLC0415
    from citadel_micro.shell.keys.make_key import make_key_file  # noqa: PLC0415

    for each in get_args(Network):
        if each == network:
            break
    else:
        raise BadInput(
            f"no network {network!r}", where="--network", allowed=", ".join(get_args(Network))
        )
    for option, text in (("--venue", venue), ("--account", account)):
        if not is_name(text):
            raise BadInput(
                "not a name", where=option, allowed="up to 64 letters, digits, . _ : @ -"
            )
    public = make_key_file(file.expanduser(), venue=venue, account=account, network=each)
    if json:
        print_json({"file": str(file), "public_key": public})
        return Exit.OK
    typer.echo(public, nl=False)
    typer.echo(f"Register this public key at the venue, then write its id into {file}", err=True)
    return Exit.OK


@live.command("lift-cap")
def lift_cap(
    config: Config,
    *,
    reason: Annotated[str, typer.Option(help="Why; kept in the run folder.")],
    live_account: LiveAccount = None,
    early: Annotated[
        bool, typer.Option("--early", help="Before `live.first_run_orders` orders have filled.")
    ] = False,
    json: Json = False,
) -> Exit:
    """Lift the first run's cap: from now on this account's orders may reach the configured limits.

    A running micro applies it with `citadel operator limits`, any other at its start.
    """
    import time  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_micro.preflight.first_run import capped_venues, lift  # noqa: PLC0415
    from citadel_micro.shell.journal.filled_orders import filled_orders  # noqa: PLC0415

    if not reason.strip():
        raise BadInput("lifting the cap needs a reason", where="--reason", mend='--reason "why"')
    loaded = load_live(config, live_account, testnet=False)
    wanted, filled = loaded.live.first_run_orders, filled_orders(loaded.run_dir)
    if capped_venues(loaded) and filled < wanted and not early:
        raise Refused(
            f"{filled} orders have filled in {loaded.run_dir}, of {wanted} before the cap is lifted "
            "(live.first_run_orders); --early lifts it all the same"
        )
    lifted = lift(loaded, reason, time.time_ns())
    if json:
        print_json({"lifted": lifted, "filled_orders": filled})
        return Exit.OK
    for each in lifted:
        typer.echo(f"lifted: {each}")
    if not lifted:
        typer.echo("no cap holds: it was lifted before, or the network is no mainnet")
    return Exit.OK


def load_live(path: Path, live_account: str | None, *, testnet: bool) -> MicroConfig:
    """A configuration as for live trading, whatever mode it has. Raises BadInput."""
    import os  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_micro.shell import logs  # noqa: PLC0415
    from citadel_micro.shell.config.config import load  # noqa: PLC0415

    overrides: dict[str, Any] = {"mode": "live"}
    if live_account is not None:
        overrides["live_account"] = live_account
    loaded = load(
        path,
        environment=dict(os.environ),
        overrides=overrides,
        venue_overrides={"network": "testnet"} if testnet else None,
    )
    logs.configure("error", loaded.log.format, instance=loaded.instance)
    return loaded


async def _walk(
    config: MicroConfig,
    key: ApiKey,
    trial: str | None,
    show: Any,  # noqa: ANN401 - one of two
) -> list[Check]:
    """All checks of one venue, each shown when it is known."""
    checks: list[Check] = []
    async for each in _checks(config, key, trial):
        show(each)
        checks.append(each)
    return checks


async def _checks(config: MicroConfig, key: ApiKey, trial: str | None) -> AsyncIterator[Check]:
    import time  # noqa: PLC0415 - commands import what they need when invoked

    from citadel_micro.adapters.orders import orders_of  # noqa: PLC0415
    from citadel_micro.preflight.boot import ask, ask_watchdog, query_of  # noqa: PLC0415
    from citadel_micro.preflight.trial_order import walk  # noqa: PLC0415
    from citadel_micro.shell.instruments.run_rules import load_rules  # noqa: PLC0415

    inspector = orders_of(config.mode).inspector(key.venue)
    if inspector is None:
        raise BadInput(f"nothing is known of {key.venue}'s accounts", where=f"venues.{key.venue}")
    rules = {symbol: each for (_, symbol), each in (await load_rules(config)).items()}
    if trial is not None and trial and trial not in rules:
        raise BadInput(f"no symbol {trial!r}", where="--symbol", allowed=", ".join(rules))
    refused = False
    second = await ask_watchdog(inspector, config, key, rules, time.time_ns)
    for each in [*await ask(inspector, config, key, rules, time.time_ns), *second]:
        refused = refused or each.verdict == "refused"
        yield each
    if trial is None or refused:
        return
    desk = await inspector.trial_desk(query_of(config, key, rules, time.time_ns))
    try:
        async for each in walk(desk, rules[trial or next(iter(rules))], time.time_ns):
            yield each
    finally:
        await desk.close()


def show(each: Check) -> None:
    """Print a check for a person."""
    typer.echo(f"{each.verdict:8} {each.name:26} {each.text}")
    if each.mend:
        typer.echo(f"{'':35} {each.mend}")


def show_json(each: Check) -> None:
    """Print a check as one JSON object."""
    print_json(each)


def exit_of(checks: list[Check], *, strict: bool, quiet: bool) -> Exit:
    """The exit code that checks come to, and a last line that counts them unless quiet."""
    counts = {
        verdict: sum(each.verdict == verdict for each in checks)
        for verdict in ("ok", "warn", "refused", "failed")
    }
    if not quiet:
        shown = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        typer.echo(f"\n{shown}")
    if counts["refused"]:
        return Exit.REFUSED
    if counts["failed"] or (strict and counts["warn"]):
        return Exit.DIFFERENCE
    return Exit.OK
