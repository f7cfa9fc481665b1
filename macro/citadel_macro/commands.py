"""Subcommands that this package adds to ``citadel``.

Imports at the top of this module are the standard library, typer and the two lower packages only;
each command imports what it needs in its own body, so that help is fast and needs no extra. A
command returns an ``Exit`` (or None for OK) or raises an error of ``citadel_proto.errors``.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from citadel_bridge.exit_codes import Exit  # noqa: TC001 - typer reads the annotations
from citadel_bridge.json_output import Json, print_json

FREQTRADE_COMMANDS: Final = (
    (
        "trade",
        "Trade; dry_run false: through micro. --shadow: micro on paper beside it. --simulator URL: there.",
    ),
    ("create-userdir", "Freqtrade's user folder, as it makes it."),
    ("new-config", "Freqtrade's questions for a new configuration, unchanged."),
    ("show-config", "Freqtrade's resolved configuration, unchanged."),
    ("new-strategy", "Freqtrade's template of a strategy, unchanged."),
    ("download-data", "Freqtrade's download of candles, unchanged."),
    ("convert-data", "Freqtrade's conversion of candles, unchanged."),
    ("convert-trade-data", "Freqtrade's conversion of public trades, unchanged."),
    ("trades-to-ohlcv", "Freqtrade's candles from public trades, unchanged."),
    ("list-data", "Freqtrade's list of downloaded candles, unchanged."),
    ("backtesting", "Freqtrade's backtesting, unchanged."),
    ("backtesting-show", "Freqtrade's past backtest results, unchanged."),
    ("backtesting-analysis", "Freqtrade's analysis of backtests, unchanged."),
    ("edge", "Freqtrade's edge module, unchanged."),
    ("hyperopt", "Freqtrade's hyperopt, unchanged."),
    ("hyperopt-list", "Freqtrade's hyperopt results, unchanged."),
    ("hyperopt-show", "Details of Freqtrade's hyperopt results, unchanged."),
    ("list-exchanges", "Freqtrade's list of exchanges, unchanged."),
    ("list-markets", "Freqtrade's list of markets, unchanged."),
    ("list-pairs", "Freqtrade's list of pairs, unchanged."),
    ("list-strategies", "Freqtrade's list of strategies, unchanged."),
    ("list-hyperoptloss", "Freqtrade's list of hyperopt loss functions, unchanged."),
    ("list-freqaimodels", "Freqtrade's list of FreqAI models, unchanged."),
    ("list-timeframes", "Freqtrade's list of timeframes, unchanged."),
    ("show-trades", "Freqtrade's trades, unchanged."),
    ("test-pairlist", "Freqtrade's test of pairlists, unchanged."),
    ("convert-db", "Freqtrade's migration of its database, unchanged."),
    ("install-ui", "Freqtrade's download of FreqUI, unchanged."),
    ("plot-dataframe", "Freqtrade's candle plot, unchanged."),
    ("plot-profit", "Freqtrade's profit plot, unchanged."),
    ("webserver", "Freqtrade's webserver mode, unchanged."),
    ("strategy-updater", "Freqtrade's update of old strategies, unchanged."),
    ("lookahead-analysis", "Freqtrade's search for lookahead bias, unchanged."),
    ("recursive-analysis", "Freqtrade's search for recursive formulas, unchanged."),
)
"""Commands of Freqtrade that are passed on; everything after the name goes to Freqtrade."""

SHADOW: Final = "--shadow"
SIMULATOR: Final = "--simulator"
"""Options of ours among Freqtrade's."""

_PASS_ON: Final = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


def register(app: typer.Typer, asked: str = "") -> None:
    """Add this package's commands to the root command, or at least the one that is asked for."""
    if asked not in ("", "macro", "init", "shadow"):
        return
    macro = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        help="Freqtrade, with its orders bridged to micro.",
    )
    app.add_typer(macro, name="macro")
    for name, text in FREQTRADE_COMMANDS:
        macro.command(name, help=text, context_settings=dict(_PASS_ON))(_pass_on)
    macro.command("demo-config")(demo_config)
    app.command("init")(init)
    from citadel_macro.shadow.command import shadow  # noqa: PLC0415 - it needs the standard library only

    app.add_typer(shadow, name="shadow")


def _pass_on(ctx: typer.Context) -> Exit:
    # What Freqtrade imports lives until the process ends: to look for garbage in it meanwhile is a fifth
    # of its start, and a pause of half a second each time later.
    gc.disable()
    try:
        from citadel_macro.launcher import run  # noqa: PLC0415 - commands import what they need
    finally:
        gc.enable()
    gc.freeze()
    name, words = str(ctx.info_name), list(ctx.args)
    if name != "trade":
        return run([name, *words])
    from citadel_macro.on_simulator import on_simulator  # noqa: PLC0415 - commands import what they need

    shadow = SHADOW in words
    words = on_simulator([each for each in words if each != SHADOW], SIMULATOR)
    return run([name, *words], shadow=shadow)


def init(
    *,
    config: Annotated[
        list[Path],
        typer.Option("--config", "-c", help="Freqtrade's configuration; may be repeated."),
    ],
    capital: Annotated[
        str | None, typer.Option(help="What the account may use, in the stake currency.")
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="For a micro that only shadows Freqtrade, on paper.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: micro.toml, or micro-shadow.toml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over an existing file.")] = False,
    as_json: Json = False,
) -> None:
    """Write micro's configuration for an existing one of Freqtrade, and say what to change there.

    Venue and pairs are Freqtrade's; limits are proposed from the stake. Nothing of Freqtrade's is
    changed, and it trades on paper.
    """
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415 - see the module

    from citadel_macro.init_config import propose  # noqa: PLC0415 - see the module
    from citadel_proto.disk import writing  # noqa: PLC0415 - see the module
    from citadel_proto.errors import BadInput, Refused  # noqa: PLC0415 - see the module

    try:
        money = None if capital is None else Decimal(capital)
    except InvalidOperation:
        money = Decimal(0)
    if money is not None and not (money.is_finite() and money > 0):
        raise BadInput(f"{capital!r} is no amount", where="--capital", allowed="a number above 0")
    out = out or Path("micro-shadow.toml" if shadow else "micro.toml")
    if out.exists() and not force:
        raise Refused(f"{out} exists: name another with --out, or write over it with --force")
    proposal = propose(config, money, shadow=shadow)
    with writing(out, "name another with --out"):
        out.write_text(proposal.toml, "utf-8")
    names = " ".join(f"-c {path}" for path in config)
    trade = f"trade {SHADOW}" if shadow else "trade"
    then = (f"citadel micro --config {out}", f"citadel macro {trade} {names}")
    if as_json:
        print_json({"file": str(out), "advice": proposal.advice, "then": then})
        return
    typer.echo(f"wrote {out}" + ("" if shadow else ": read its limits before you use it"))
    for text in proposal.advice:
        typer.echo(f"in Freqtrade's configuration: {text}")
    typer.echo(f"then: {then[0]}   and   {then[1]}")


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
    ui_port: Annotated[
        int | None,
        typer.Option(help="Port on loopback for FreqUI; default: without it.", min=1024, max=65535),
    ] = None,
    futures: Annotated[
        bool, typer.Option("--futures", help="Trade USD-M futures instead of spot.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="File to write; default: standard output.")
    ] = None,
) -> None:
    """Write a Freqtrade configuration that trades on the simulator through micro."""
    from citadel_macro.demo import demo_config as build  # noqa: PLC0415 - see the module
    from citadel_proto.disk import writing  # noqa: PLC0415 - see the module

    config = build(
        sim,
        sim_ws or sim.replace("http", "ws", 1),
        signals=signals,
        market=market,
        user_dir=user_dir,
        pairs=[pair.strip() for pair in pairs.split(",")] if pairs else None,
        ml=ml,
        ui_port=ui_port,
        futures=futures,
    )
    text = json.dumps(config, indent=2) + "\n"
    if out is None:
        sys.stdout.write(text)
    else:
        with writing(out, "name another with --out"):
            out.write_text(text, "utf-8")
