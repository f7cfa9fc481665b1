"""Alerts over a real Apprise to a real web server on loopback."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest
from alert_kit import TOKEN, receiver, urls_file

from citadel_bridge.cli import main
from citadel_micro.shell.alerts.rules import Alert
from citadel_micro.shell.alerts.sender import Sender
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

ALERT = Alert(
    severity="critical", title="micro: halted", body="global is HALTED: <b>DAILY_LOSS</b>"
)


def test_an_alert_arrives_as_it_is(tmp_path: Path) -> None:
    with receiver() as (url, taken):
        sender = Sender(urls_file(tmp_path / "keys", "# mine", "", url))
        assert len(sender) == 1
        assert sender.send(ALERT) == []
    assert taken[0]["title"] == ALERT.title
    assert taken[0]["message"] == ALERT.body
    assert taken[0]["type"] == "failure"


def test_a_service_that_does_not_take_it_is_named_without_its_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with receiver(500) as (url, _), receiver() as (other, taken):
        sender = Sender(urls_file(tmp_path / "keys", url, other))
        assert sender.send(ALERT) == ["JSON"]
        assert len(taken) == 1
    assert TOKEN not in caplog.text


def test_a_file_that_cannot_be_used_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file of URLs") as missing:
        Sender(tmp_path / "none")
    assert "be-warned.md" in str(missing.value)
    with pytest.raises(BadInput, match="line 2 is no Apprise URL") as refused:
        Sender(urls_file(tmp_path / "keys", "# mine", f"nothing://{TOKEN}"))
    assert TOKEN not in str(refused.value)
    with pytest.raises(BadInput, match="names no service"):
        Sender(urls_file(tmp_path / "keys", "# nothing yet"))
    with pytest.raises(BadInput, match="0600"):
        Sender(urls_file(tmp_path / "keys", "json://127.0.0.1/", mode=0o644))


def test_without_apprise_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(BadInput, match=r"stoic-citadel\[alerts\]"):
        Sender(urls_file(tmp_path / "keys", "json://127.0.0.1/"))


def test_the_command_says_whether_alerts_arrive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiver() as (url, taken):
        path = urls_file(tmp_path / "keys", url)
        assert main(["alerts", "test", "--urls", str(path)]) == 0
        assert len(taken) == 1
    assert "sent to 1 services" in capsys.readouterr().out
    assert main(["alerts", "test", "--urls", str(path)]) == 4, "nobody listens any more"
    assert TOKEN not in capsys.readouterr().err
    assert main(["alerts", "test"]) == 2
    assert "alerts.urls_file" in capsys.readouterr().err
