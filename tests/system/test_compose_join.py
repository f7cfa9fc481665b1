"""The file that joins an existing compose of Freqtrade, read together with what each side does with it.

``tests/compose/check-join.sh`` proves the same on a running stack.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from freqtrade.configuration.environment_vars import environment_vars_to_dict
from freqtrade.misc import deep_merge_dicts

from citadel_bridge.cli import main
from citadel_macro.config import settings_of
from citadel_micro.shell.config.config import load

if TYPE_CHECKING:
    from pathlib import Path

THEIRS: dict[str, Any] = {
    "stake_currency": "USDT",
    "stake_amount": 100,
    "dry_run": True,
    "max_open_trades": 3,
    "exchange": {"name": "binance", "pair_whitelist": ["BTC/USDT", "ETH/USDT"]},
    "pairlists": [{"method": "StaticPairList"}],
}


@pytest.fixture(scope="module")
def joined(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((repository / "deploy/freqtrade/join.yml").read_text())
    return found


def test_both_sides_meet_at_the_sockets_of_a_folder_that_is_theirs_alone(
    joined: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    micro, freqtrade = joined["services"]["micro"], joined["services"]["freqtrade"]
    (tmp_path / "config.json").write_text(json.dumps(THEIRS))
    toml = tmp_path / "micro.toml"
    assert main(["init", "-c", str(tmp_path / "config.json"), "--out", str(toml)]) == 0
    config = load(toml, environment=micro["environment"])
    assert config.mode == "paper"
    assert config.bridge.macro_required
    assert config.bridge.keys is None
    for name, value in freqtrade["environment"].items():
        monkeypatch.setenv(name, value)
    told = deep_merge_dicts(environment_vars_to_dict(), dict(THEIRS))
    settings = settings_of(told)
    assert told["dry_run"] is False
    assert config.bridge.macros == [settings.signals]
    assert settings.market == (config.bridge.market,)
    assert settings.venue in config.venues
    assert freqtrade["healthcheck"]["test"][-1] == settings.market[0]
    (name,) = joined["volumes"]
    for each in (micro, freqtrade):
        assert f"{name}:/run/citadel" in each["volumes"]
    assert "mode=0700" in joined["volumes"][name]["driver_opts"]["o"]
    assert settings.signals.startswith("ipc:///run/citadel/")


def test_micro_keeps_its_files_where_it_is_given_room(joined: dict[str, Any]) -> None:
    micro = joined["services"]["micro"]
    bind = micro["volumes"][0]
    # Made by Docker it would be root's, and neither side could write there.
    assert bind["bind"] == {"create_host_path": False}
    assert micro["command"][-1] == f"{bind['target']}/micro.toml"
    assert micro["environment"]["CITADEL_RUN_DIR"].startswith(f"{bind['target']}/")
    assert micro["read_only"] is True


def test_the_trades_of_before_are_in_another_database(joined: dict[str, Any]) -> None:
    words = joined["services"]["freqtrade"]["command"]
    database = next(word for word in words if word.startswith("--db-url="))
    assert database.endswith("/user_data/citadel/trades.sqlite")
    assert joined["services"]["freqtrade"]["entrypoint"] == ["python", "-m", "citadel_macro"]


def test_what_is_joined_is_locked_down_and_published_on_loopback(
    joined: dict[str, Any], repository: Path
) -> None:
    plain = yaml.safe_load((repository / "docker-compose.yml").read_text())["services"]
    for name, like in (("micro", "micro"), ("freqtrade", "macro")):
        service = joined["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["user"] == "${CITADEL_UID:-1000}:${CITADEL_GID:-1000}"
        assert service["image"] == plain[like]["image"]
        assert service["build"]["dockerfile"] == plain[like]["build"]["dockerfile"]
        assert [
            port for port in service.get("ports", ()) if not port.startswith("127.0.0.1:")
        ] == []
    assert joined["services"]["micro"]["healthcheck"] == plain["micro"]["healthcheck"]


def test_the_page_names_every_variable_that_must_be_set(repository: Path) -> None:
    text = (repository / "deploy/freqtrade/join.yml").read_text()
    page = (repository / "docs/howto/run-with-docker.md").read_text()
    needed = set(re.findall(r"\$\{(\w+):\?", text))
    assert needed == {"CITADEL", "CITADEL_STRATEGY"}
    exported = re.findall(r"(\w+)=", " ".join(re.findall(r"^    export (.*)$", page, re.MULTILINE)))
    assert needed | {"COMPOSE_FILE", "CITADEL_UID", "CITADEL_GID"} == set(exported)
