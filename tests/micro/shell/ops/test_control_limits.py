"""``citadel operator limits``: the [risk] table as it is now, from the running micro's own sources."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from citadel_micro.core.model.events import LimitsChanged
from citadel_micro.shell.config.config import load
from citadel_micro.shell.ops.control import ControlServer, Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from citadel_micro.core.model.risk_limits import RiskLimits
    from citadel_micro.shell.ops.health import Vitals


@pytest.fixture
def posted() -> list[Any]:
    return []


def server(
    folder: Path,
    posted: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    reread: Callable[[], RiskLimits] | None,
) -> ControlServer:
    vitals = SimpleNamespace(runner=SimpleNamespace(post=posted.append))
    made = ControlServer(folder, cast("Vitals", vitals), reread)
    monkeypatch.setattr(made, "_state", lambda error: {"ok": not error, "error": error})
    return made


def ask(control: ControlServer) -> dict[str, Any]:
    return control.answer(msgspec.json.encode(Request(action="limits", reason="calm")))


def test_the_file_is_read_anew(
    tmp_path: Path, posted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "micro.toml"
    control = server(tmp_path, posted, monkeypatch, lambda: load(file).limits())
    for most in (100, 7):
        file.write_text(f"[risk]\nmax_order_notional = {most}\n")
        assert ask(control)["ok"]
        event = posted[-1]
        assert isinstance(event, LimitsChanged)
        assert (event.limits.max_order_notional, event.reason) == (Decimal(most), "calm")


def test_what_cannot_be_read_changes_nothing_and_says_where(
    tmp_path: Path, posted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "micro.toml"
    file.write_text("[risk]\nmax_order_notionall = 1\n")
    answer = ask(server(tmp_path, posted, monkeypatch, lambda: load(file).limits()))
    assert not answer["ok"]
    assert "max_order_notional" in answer["error"]
    assert posted == []


def test_a_micro_without_a_file_says_so(
    tmp_path: Path, posted: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = ask(server(tmp_path, posted, monkeypatch, None))
    assert (answer["ok"], posted) == (False, [])
