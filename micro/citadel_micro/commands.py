"""Subcommands that this package adds to ``citadel``.

Imports at the top of this module are the standard library, typer and the two lower packages only;
each command imports what it needs in its own body, so that help is fast and needs no extra. A
command returns an ``Exit`` (or None for OK) or raises an error of ``citadel_proto.errors``.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import typer

from citadel_bridge.exit_codes import Exit

if TYPE_CHECKING:
    from citadel_micro.shell.config.config import MicroConfig


def register(app: typer.Typer) -> None:
    """Add this package's commands to the root command."""
    import citadel_micro.adapters  # noqa: F401, PLC0415 - tells the shell which venues there are
    from citadel_micro.demo.command import audit, demo  # noqa: PLC0415
    from citadel_micro.offline.cache_command import cache  # noqa: PLC0415
    from citadel_micro.offline.command import work  # noqa: PLC0415
    from citadel_micro.offline.study.command import study  # noqa: PLC0415
    from citadel_micro.offline.tca.command import tca  # noqa: PLC0415
    from citadel_micro.preflight.command import live  # noqa: PLC0415
    from citadel_micro.preflight.doctor_command import doctor  # noqa: PLC0415
    from citadel_micro.shell.commands.alerts import alerts  # noqa: PLC0415
    from citadel_micro.shell.commands.algos import algos  # noqa: PLC0415
    from citadel_micro.shell.commands.capture import capture  # noqa: PLC0415
    from citadel_micro.shell.commands.export import export  # noqa: PLC0415
    from citadel_micro.shell.commands.feeds import feeds  # noqa: PLC0415
    from citadel_micro.shell.commands.feeds_group import books  # noqa: PLC0415
    from citadel_micro.shell.commands.incident import incident  # noqa: PLC0415
    from citadel_micro.shell.commands.instruments import instruments  # noqa: PLC0415
    from citadel_micro.shell.commands.journal import journal  # noqa: PLC0415
    from citadel_micro.shell.commands.operator import operator  # noqa: PLC0415
    from citadel_micro.shell.commands.page import page  # noqa: PLC0415
    from citadel_micro.shell.commands.paper import paper  # noqa: PLC0415
    from citadel_micro.shell.commands.risk import risk  # noqa: PLC0415
    from citadel_micro.shell.commands.status import status, top  # noqa: PLC0415
    from citadel_micro.simulator.command import sim  # noqa: PLC0415 - see the module's text
    from citadel_micro.watchdog.command import watchdog  # noqa: PLC0415

    app.command("sim")(sim)
    app.command("demo")(demo)
    app.command("audit")(audit)
    app.command("work")(work)
    app.add_typer(cache, name="cache")
    app.command("study")(study)
    app.command("tca")(tca)
    app.command("algos")(algos)
    app.add_typer(paper, name="paper")
    app.command("micro")(micro)
    app.command("watchdog")(watchdog)
    app.add_typer(live, name="live")
    app.command("doctor")(doctor)
    app.command("status")(status)
    app.command("top")(top)
    app.command("page")(page)
    app.command("operator")(operator)
    app.add_typer(risk, name="risk")
    app.add_typer(alerts, name="alerts")
    app.command("books")(books)
    app.command("capture")(capture)
    app.command("export")(export)
    app.command("feeds")(feeds)
    app.command("instruments")(instruments)
    app.add_typer(incident, name="incident")
    app.add_typer(journal, name="journal")


def micro(
    *,
    mode: Annotated[str | None, typer.Option(help="How to trade: paper or live.")] = None,
    live_account: Annotated[
        str | None,
        typer.Option(help="The venue's id of the account, which live trading needs again."),
    ] = None,
    testnet: Annotated[
        bool, typer.Option("--testnet", help="Use the venue's testnet: its books and its money.")
    ] = False,
    first_run_cap: Annotated[
        str | None,
        typer.Option(help="Largest order on a mainnet until `citadel live lift-cap`."),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="TOML file.")] = None,
    run_dir: Annotated[Path | None, typer.Option(help="Folder of the journal.")] = None,
    symbols: Annotated[
        str | None, typer.Option(help="Unified symbols, comma-separated: BTC/USDT,ETH/USDT.")
    ] = None,
    on_demand: Annotated[
        str | None,
        typer.Option(help="Symbols or patterns followed while a macro names them: '*/USDT'."),
    ] = None,
    rest_url: Annotated[
        str | None, typer.Option(help="REST root instead of the venue's: http://HOST:PORT.")
    ] = None,
    ws_url: Annotated[
        str | None, typer.Option(help="Websocket root instead of the venue's: ws://HOST:PORT.")
    ] = None,
    signals: Annotated[
        str | None, typer.Option(help="Where macros publish signals, comma-separated addresses.")
    ] = None,
    commands: Annotated[
        str | None, typer.Option(help="Where the command line publishes signals.")
    ] = None,
    market: Annotated[
        str | None, typer.Option(help="Address to publish reports and books on.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(help="As one of several micros: own, or 2/3 for the second share of three."),
    ] = None,
    http: Annotated[
        str | None, typer.Option(help="HOST:PORT of the page, /healthz and /metrics, or 'off'.")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error.")] = None,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write the addresses here as JSON when everything is up.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print the effective configuration and end.")
    ] = False,
) -> Exit:
    """Run the execution daemon: follow a venue, check and execute signals.

    Without a configuration it trades on paper on Binance's public data. Ctrl-C, SIGTERM and every
    other signal that ends a process cancel all orders and end it; a second Ctrl-C ends it at once.
    """
    import os  # noqa: PLC0415 - see the module's text

    from citadel_micro.shell import logs  # noqa: PLC0415
    from citadel_micro.shell.config.config import load  # noqa: PLC0415
    from citadel_micro.shell.config.text import to_toml  # noqa: PLC0415

    bridge = {"macros": signals, "command_lines": commands, "market": market, "shard": shard}
    overrides: dict[str, Any] = {
        "mode": mode,
        "live_account": live_account,
        "live": {"first_run_cap": first_run_cap},
        "run_dir": run_dir,
        "bridge": bridge,
        "http": _http(http),
        "log": {"level": log_level},
    }
    venue_overrides = {
        "symbols": symbols,
        "on_demand": on_demand,
        "rest_url": rest_url,
        "ws_url": ws_url,
        "network": "testnet" if testnet else None,
    }
    environment = dict(os.environ)

    def read() -> MicroConfig:
        return load(
            config,
            environment=environment,
            overrides=_given(overrides),
            venue_overrides=_given(venue_overrides),
        )

    loaded = read()
    if print_config:
        typer.echo(to_toml(loaded))
        return Exit.OK

    from citadel_micro.process import run_micro  # noqa: PLC0415

    logs.configure(loaded.log.level, loaded.log.format, instance=loaded.instance)
    return run_micro(loaded, ready_file, read)


def _http(text: str | None) -> dict[str, Any]:
    """The ``[http]`` table for ``HOST:PORT``, ``PORT`` or ``off``."""
    if text is None:
        return {}
    if text == "off":
        return {"enabled": False}
    host, _, port = text.rpartition(":")
    return {"port": port, **({"host": host.strip("[]")} if host else {})}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that were given; tables without any are left out."""
    kept = {
        key: _given(value) if isinstance(value, dict) else value for key, value in values.items()
    }
    return {key: value for key, value in kept.items() if value is not None and value != {}}
