"""The compose example of two micros, read together with the stack that it changes."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from freqtrade.configuration.load_config import load_from_files

from citadel_macro.config import settings_of
from citadel_micro.shell.config.config import load

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def base(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((repository / "docker-compose.yml").read_text())
    return found


@pytest.fixture(scope="module")
def shards(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((repository / "deploy/shards.yml").read_text())
    return found


def test_each_pair_is_followed_by_one_of_them(
    repository: Path, base: dict[str, Any], shards: dict[str, Any]
) -> None:
    file = repository / "micro/micro.toml"
    whole = tomllib.loads(file.read_text())["venues"]["binance-spot"]["symbols"]
    micros = []
    for name in ("micro", "micro-2"):
        its = base["services"].get(name, {}).get("environment", {})
        its = its | shards["services"][name]["environment"]
        micros.append(load(file, environment={key: value for key, value in its.items() if value}))
    followed = [each.venues["binance-spot"].symbols for each in micros]
    assert all(followed)
    assert sorted(followed[0] + followed[1]) == sorted(whole)
    assert [each.instance for each in micros] == ["micro-1", "micro-2"]


def test_macro_listens_to_both_and_is_healthy_only_with_both(
    repository: Path, shards: dict[str, Any]
) -> None:
    its = shards["services"]["macro"]
    config = load_from_files([str(repository / "macro/user_data/config-compose.json")])
    config["citadel"]["market"] = its["environment"]["FREQTRADE__CITADEL__MARKET"]
    addresses = settings_of(config).market
    assert addresses == ("tcp://micro:5556", "tcp://micro-2:5556")
    test = its["healthcheck"]["test"]
    assert [word for word in test if word.startswith("tcp://")] == list(addresses)


def test_the_second_is_as_locked_down_as_the_first(
    base: dict[str, Any], shards: dict[str, Any]
) -> None:
    first, second = base["services"]["micro"], shards["services"]["micro-2"]
    own = {"environment", "volumes", "ports"}
    assert {key: value for key, value in second.items() if key not in own} == {
        key: value for key, value in first.items() if key not in own
    }
    assert second["volumes"] == ["micro-2-journal:/data", "keys-micro:/keys:ro"]
    assert all(port.startswith("127.0.0.1:") for port in second["ports"])
    assert set(shards["volumes"]) == {"micro-2-journal"}
