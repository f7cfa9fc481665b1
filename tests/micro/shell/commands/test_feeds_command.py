"""`citadel feeds` with an address that is none."""

from __future__ import annotations

import pytest

from citadel_bridge.cli import main
from citadel_bridge.exit_codes import Exit


@pytest.mark.parametrize("text", ["nonsense", "127.0.0.1:5556", "http://127.0.0.1:5556"])
def test_a_market_that_is_no_address(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["feeds", "--market", text]) == Exit.BAD_INPUT
    said = capfd.readouterr().err
    assert f"{text!r} is no address of a channel" in said
    assert "where: --market" in said
    assert "tcp://127.0.0.1:PORT, ipc://PATH" in said
