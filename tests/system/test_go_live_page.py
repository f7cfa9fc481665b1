"""The page about live trading: its files are read, and its commands are there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from key_kit import pem, write_key

from citadel_micro.preflight.boot import read_keys
from citadel_micro.shell.config.config import load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def page(repository: Path) -> str:
    return (repository / "docs" / "howto" / "go-live.md").read_text()


def test_its_key_file_and_its_configuration_go_together(tmp_path: Path, page: str) -> None:
    key, config, futures, *_others = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    whole = re.sub(r"-----BEGIN.*-----\n(?=''')", lambda _: pem(), key, flags=re.DOTALL)
    assert whole != key
    path = write_key(tmp_path / "keys", whole.replace("the venue's API key", "a" * 64))
    file = tmp_path / "live.toml"
    file.write_text(config.replace("~/.config/citadel/binance-testnet.toml", str(path)))
    loaded = load(file)
    assert loaded.mode == "live"
    assert read_keys(loaded)["binance-spot"].kind == "ed25519"
    usdm = futures.replace("~/.config/citadel/binance-usdm.toml", str(path))
    file.write_text(
        re.sub(
            r"^\[venues\..*?(?=^\[(?!venues)|\Z)",
            usdm,
            file.read_text(),
            flags=re.MULTILINE | re.DOTALL,
        )
    )
    assert load(file).venues["binance-usdm"].margin_mode == "isolated"


def test_its_commands_and_options_exist(repository: Path, page: str) -> None:
    reference = (repository / "docs" / "reference" / "commands.md").read_text()
    sections = dict(
        re.findall(
            r"^#+ `citadel ([a-z -]+)`\n(.*?)(?=^#+ `|\Z)", reference, re.MULTILINE | re.DOTALL
        )
    )
    shown = re.findall(r"^citadel (.+)$", page, re.MULTILINE)
    assert len(shown) >= 5
    for line in shown:
        words = line.split()
        name = " ".join(words[:2]) if " ".join(words[:2]) in sections else words[0]
        assert name in sections, line
        for option in re.findall(r"(--[a-z-]+)", line):
            assert f"`{option}" in sections[name], line


def test_every_setting_that_it_names_exists(repository: Path, page: str) -> None:
    reference = (repository / "docs" / "reference" / "configuration.md").read_text()
    for name in ("live_account", "watchdog_key_file", "private_rest_url", "ws_api_url"):
        assert f"`{name}`" in page
        assert f"`{name}`" in reference
    for name in re.findall(r"`(?:live|risk)\.([a-z_]+)`", page):
        assert f"| `{name}` |" in reference
