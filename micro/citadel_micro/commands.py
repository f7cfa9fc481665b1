"""Subcommands that this package adds to ``citadel``.

Imports at the top of this module are the standard library, typer and the two lower packages only;
each command imports what it needs in its own body, so that help is fast and needs no extra. A
command returns an ``Exit`` (or None for OK) or raises an error of ``citadel_proto.errors``.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from citadel_bridge.command_table import add
from citadel_bridge.exit_codes import Exit

if TYPE_CHECKING:
    from citadel_micro.shell.config.config import MicroConfig


_COMMANDS: Final = {
    "sim": "citadel_micro.simulator.command:sim",
    "demo": "citadel_micro.demo.command:demo",
    "audit": "citadel_micro.demo.command:audit",
    "work": "citadel_micro.offline.command:work",
    "cache": "citadel_micro.offline.cache_command:cache",
    "study": "citadel_micro.offline.study.command:study",
    "tca": "citadel_micro.offline.tca.command:tca",
    "algos": "citadel_micro.shell.commands.algos:algos",
    "paper": "citadel_micro.shell.commands.paper:paper",
    "micro": "citadel_micro.commands:micro",
    "watchdog": "citadel_micro.watchdog.command:watchdog",
    "live": "citadel_micro.preflight.command:live",
    "doctor": "citadel_micro.preflight.doctor_command:doctor",
    "status": "citadel_micro.shell.commands.status:status",
    "top": "citadel_micro.shell.commands.status:top",
    "page": "citadel_micro.shell.commands.page:page",
    "operator": "citadel_micro.shell.commands.operator:operator",
    "risk": "citadel_micro.shell.commands.risk:risk",
    "alerts": "citadel_micro.shell.commands.alerts:alerts",
    "books": "citadel_micro.shell.commands.feeds_group:books",
    "capture": "citadel_micro.shell.commands.capture:capture",
    "export": "citadel_micro.shell.commands.export:export",
    "feeds": "citadel_micro.shell.commands.feeds:feeds",
    "instruments": "citadel_micro.shell.commands.instruments:instruments",
    "incident": "citadel_micro.shell.commands.incident:incident",
    "journal": "citadel_micro.shell.commands.journal:journal",
}
"""Where each command is: only the one that is asked for is imported."""


def register(app: typer.Typer, asked: str = "") -> None:
    """Add this package's commands to the root command, or only the one that is asked for."""
    if asked in ("", *_COMMANDS):
        import citadel_micro.adapters  # noqa: F401, PLC0415 - tells the shell which venues there are
    add(app, _COMMANDS, asked)


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
        from citadel_micro.shell.config.text import to_toml  # noqa: PLC0415

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
