"""``citadel macro trade --simulator ADDRESS``: anybody's strategy and configuration, on ``citadel sim``.

A last configuration is added to Freqtrade's command line, which turns its exchange to the simulator and
keeps its trades in a database of their own. Without any other configuration it is a complete one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from citadel_macro import freqtrade_files
from citadel_macro.demo import demo_config
from citadel_proto.disk import writing
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIG: Final = ("-c", "--config")
FOLDER: Final = ("--userdir", "--user-data-dir")
FILE: Final = "config-simulator.json"
_TURNED: Final = ("name", "enable_ws", "only_from_ccxt", "ccxt_config")
"""What is said of the exchange; its pairs are the user's."""


def on_simulator(words: Sequence[str], option: str) -> list[str]:
    """Freqtrade's words for ours: ``option`` and its address become a configuration file.

    Raises:
        BadInput: no address, one that is none, or a configuration that trades futures.
    """
    addresses, rest = _taken(words, (option,))
    if not addresses:
        return rest
    paths, _ = _taken(rest, CONFIG)
    folders, _ = _taken(rest, FOLDER)
    folder = Path(folders[-1] if folders else "user_data").absolute()
    address = addresses[-1]
    config = demo_config(
        address,
        address.replace("http", "ws", 1),
        signals="tcp://127.0.0.1:5555",
        market="tcp://127.0.0.1:5556",
        user_dir=folder,
        db_url=f"sqlite:///{folder / 'simulator.sqlite'}",
    )
    if paths:
        config = _turned(config, paths, option)
    path = folder / FILE
    with writing(path, "name another folder with --userdir"):
        path.write_text(json.dumps(config, indent=4) + "\n", "utf-8")
    return [*rest, "--config", str(path)]


def _turned(config: dict[str, Any], paths: Sequence[str], option: str) -> dict[str, Any]:
    """Only what has to differ from the user's own."""
    theirs = freqtrade_files.read(paths)
    if str(theirs.get("trading_mode", "spot")) != "spot":
        raise BadInput(
            f"trading_mode is {theirs['trading_mode']}",
            where=", ".join(paths),
            allowed=f"spot, with {option}",
            mend="remove trading_mode, or set exchange.ccxt_config as docs/reference/simulator.md shows it",
        )
    return {
        "dry_run": False,
        "db_url": config["db_url"],
        "exchange": {name: config["exchange"][name] for name in _TURNED},
    }


def _taken(words: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Values of an option of Freqtrade's parser, and the words without them."""
    values: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        name, _, value = word.partition("=")
        if name not in names:
            rest.append(word)
        elif value:
            values.append(value)
        else:
            value = next(left, "")
            if not value or value.startswith("-"):
                raise BadInput(f"{name} needs a value", where="the command line")
            values.append(value)
    return values, rest
