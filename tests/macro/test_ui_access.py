"""FreqUI's password: made once, private, never in a configuration that is shipped; its port is free or said."""

from __future__ import annotations

import json
import socket
import stat
from typing import TYPE_CHECKING, Any

import pytest
from freqtrade.enums import RunMode

from citadel_macro import ui_access
from citadel_macro.userdata import user_data
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRETS = ("username", "password", "jwt_secret_key", "ws_token")


def config(folder: Path, port: int, **api: object) -> dict[str, Any]:
    section = {"enabled": True, "listen_ip_address": "127.0.0.1", "listen_port": port}
    return {"runmode": RunMode.LIVE, "user_data_dir": folder, "api_server": section | api}


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    ui_access.prepare(config)
    section: dict[str, Any] = config["api_server"]
    return section


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    return free_port()


def test_what_is_lacking_is_made_once_and_kept_private(
    tmp_path: Path, port: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    made = prepared(config(tmp_path, port))
    assert len({made[name] for name in SECRETS}) == len(SECRETS)
    assert len(made["jwt_secret_key"]) >= 32  # Freqtrade's schema
    path = tmp_path / ui_access.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert prepared(config(tmp_path, port)) == made
    assert f"http://127.0.0.1:{port}" in caplog.text
    assert str(path) in caplog.text
    assert not [name for name in SECRETS[1:] if made[name] in caplog.text]
    other = tmp_path / "other"
    other.mkdir()
    assert prepared(config(other, port))["password"] != made["password"]


def test_what_is_named_is_left_alone(tmp_path: Path, port: int) -> None:
    theirs = {"username": "me", "password": "mine"}
    found = prepared(config(tmp_path, port, **theirs))
    assert {name: found[name] for name in theirs} == theirs
    assert found["jwt_secret_key"]
    whole = dict.fromkeys(SECRETS, "x" * 32)
    (tmp_path / ui_access.FILE).unlink()
    assert {**whole} == {name: prepared(config(tmp_path, port, **whole))[name] for name in SECRETS}
    assert not (tmp_path / ui_access.FILE).exists()


@pytest.mark.parametrize("runmode", [RunMode.BACKTEST, RunMode.UTIL_NO_EXCHANGE])
def test_who_serves_nothing_makes_nothing(tmp_path: Path, port: int, runmode: RunMode) -> None:
    assert "password" not in prepared(config(tmp_path, port) | {"runmode": runmode})
    assert "password" not in prepared(config(tmp_path, port, enabled=False))
    ui_access.prepare({"runmode": RunMode.LIVE, "user_data_dir": tmp_path})
    assert list(tmp_path.iterdir()) == []


def test_two_bots_that_start_at_once_share_one(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepared(config(tmp_path, port))
    # The second looked before the first had written.
    monkeypatch.setattr("pathlib.Path.exists", lambda _path: False)
    assert prepared(config(tmp_path, port)) == first


def test_a_file_that_others_can_read_is_refused(tmp_path: Path, port: int) -> None:
    prepared(config(tmp_path, port))
    (tmp_path / ui_access.FILE).chmod(0o640)
    with pytest.raises(BadInput, match="others can read the password") as refused:
        prepared(config(tmp_path, port))
    assert "chmod 600" in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"api_server": {"username": 1}}'])
def test_a_broken_file_is_said(tmp_path: Path, port: int, text: str) -> None:
    path = tmp_path / ui_access.FILE
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadInput, match="delete it"):
        prepared(config(tmp_path, port))


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, port: int) -> None:
    with pytest.raises(BadInput, match="cannot be kept"):
        prepared(config(tmp_path / "missing", port))


def test_a_port_in_use_is_said_instead_of_waited_for(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(BadInput, match=f"cannot listen on 127.0.0.1:{port}") as refused:
            prepared(config(tmp_path, port))
    assert "listen_port" in str(refused.value)


def test_shipped_configurations_serve_on_loopback_and_name_no_secret() -> None:
    for path in user_data().glob("config*.json"):
        section = json.loads(path.read_text()).get("api_server", {})
        assert not set(SECRETS) & set(section), path
        host = section.get("listen_ip_address", "127.0.0.1")
        # Inside a container, whose port compose publishes on loopback.
        assert host == ("0.0.0.0" if path.name == "config-compose.json" else "127.0.0.1")  # noqa: S104
    assert json.loads((user_data() / "config.json").read_text())["api_server"]["enabled"] is True
