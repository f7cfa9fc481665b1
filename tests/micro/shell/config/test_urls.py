"""What is no web address is the user's mistake, said before anything is opened."""

from __future__ import annotations

import pytest

from citadel_bridge.cli import main
from citadel_bridge.exit_codes import Exit
from citadel_micro.shell.config.urls import HTTP, WS, checked_url, url_problem
from citadel_proto.errors import BadInput

BAD = ("", "x", "http://", "http://[::1", "http://127.0.0.1:99999", "http://a:0", "ws://a", "//a")


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_refused(text: str) -> None:
    assert url_problem(text, HTTP)
    with pytest.raises(BadInput, match="--rest-url"):
        checked_url(text, HTTP, "--rest-url")


def test_an_address_keeps_its_path_but_no_slash_behind() -> None:
    assert checked_url("http://[::1]:80/a/", HTTP, "x") == "http://[::1]:80/a"
    assert checked_url("wss://host", WS, "x") == "wss://host"


@pytest.mark.parametrize(
    "words",
    [
        ["instruments", "okx", "--rest-url", "http://[::1"],
        ["instruments", "okx", "--fresh-h", "inf"],
        ["replay", "x", "--signals", "tcp://127.0.0.1:0", "--wait", "inf"],
        ["feeds", "--json", "--metrics", "http://[::1"],
        ["capture", "--venue", "okx", "--symbols", "BTC/USDT", "--out", "x", "--ws-url", "ws://[a"],
        ["micro", "--print-config", "--rest-url", "http://[::1"],
    ],
)
def test_commands_end_with_bad_input(words: list[str]) -> None:
    assert main(words) == Exit.BAD_INPUT
