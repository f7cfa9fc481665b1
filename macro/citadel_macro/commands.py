"""Subcommands that this package adds to ``citadel``.

Imports at the top of this module are the standard library, typer and the two lower packages only;
each command imports what it needs in its own body, so that help is quick and needs no extra. A
command returns an ``Exit`` (or None for OK) or raises an error of ``citadel_proto.errors``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import Annotated, Final

import typer

from citadel_bridge.exit_codes import Exit  # noqa: TC001 - typer reads the annotations

FREQTRADE_COMMANDS: Final = (
    ("trade", "Trade; with dry_run false, orders go through micro."),
    ("backtesting", "Freqtrade's backtesting, as it is."),
    ("backtesting-analysis", "Freqtrade's analysis of backtests, as it is."),
    ("backtesting-show", "Freqtrade's past backtest results, as they are."),
    ("hyperopt", "Freqtrade's hyperopt, as it is."),
    ("hyperopt-list", "Freqtrade's hyperopt results, as they are."),
    ("hyperopt-show", "Details of Freqtrade's hyperopt results, as they are."),
    ("download-data", "Freqtrade's download of candles, as it is."),
    ("list-data", "Freqtrade's list of downloaded candles, as it is."),
    ("list-pairs", "Freqtrade's list of pairs, as it is."),
    ("list-markets", "Freqtrade's list of markets, as it is."),
    ("list-strategies", "Freqtrade's list of strategies, as it is."),
    ("list-freqaimodels", "Freqtrade's list of FreqAI models, as it is."),
    ("show-config", "Freqtrade's resolved configuration, as it is."),
    ("show-trades", "Freqtrade's trades, as they are."),
    ("plot-dataframe", "Freqtrade's candle plot, as it is."),
    ("plot-profit", "Freqtrade's profit plot, as it is."),
    ("install-ui", "Freqtrade's download of FreqUI, as it is."),
    ("webserver", "Freqtrade's webserver mode, as it is."),
)
"""Commands of Freqtrade that are passed on; everything after the name goes to Freqtrade."""

_PASS_ON: Final = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def register(app: typer.Typer) -> None:
    """Add this package's commands to the root command."""
    macro = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        help="Freqtrade, with its orders bridged to micro.",
    )
    app.add_typer(macro, name="macro")
    for name, text in FREQTRADE_COMMANDS:
        macro.command(name, help=text, context_settings=dict(_PASS_ON))(_pass_on)
    macro.command("demo-config")(demo_config)


def _pass_on(ctx: typer.Context) -> Exit:
    from citadel_macro.launcher import run  # noqa: PLC0415 - commands import what they need

    return run([str(ctx.info_name), *ctx.args])


def demo_config(
    *,
    sim: Annotated[str, typer.Option(help="REST address of `citadel sim`, http://host:port.")],
    sim_ws: Annotated[
        str | None, typer.Option(help="Its websocket address; default: the same host and port.")
    ] = None,
    user_dir: Annotated[
        Path, typer.Option(help="Freqtrade user folder of this run: candles, intents, database.")
    ],
    signals: Annotated[
        str, typer.Option(help="Address that macro binds.")
    ] = "tcp://127.0.0.1:5555",
    market: Annotated[str, typer.Option(help="Address of micro.")] = "tcp://127.0.0.1:5556",
    pairs: Annotated[
        str | None, typer.Option(help="Comma-separated; default: those of config-demo.json.")
    ] = None,
    ml: Annotated[
        bool, typer.Option("--ml", help="The LightGBM strategy (needs the extra ml).")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: standard output.")
    ] = None,
) -> None:
    """Write a Freqtrade configuration that trades on the simulator through micro."""
    from citadel_macro.demo import demo_config as build  # noqa: PLC0415 - see the module

    config = build(
        sim,
        sim_ws or sim.replace("http", "ws", 1),
        signals=signals,
        market=market,
        user_dir=user_dir,
        pairs=[pair.strip() for pair in pairs.split(",")] if pairs else None,
        ml=ml,
    )
    text = json.dumps(config, indent=2) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        out.write_text(text, "utf-8")
