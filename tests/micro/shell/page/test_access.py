"""Who may look and who may act: names, origins, tokens."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from citadel_micro.shell.page.access import TOKEN_FILE, Gate, bearer, host_name, token_of
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "t" * 43
GATE = Gate(TOKEN, ("desk.example.org",))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1:5580", "127.0.0.1", "localhost", "LocalHost:1", "localhost.:5580"),
        *("[::1]:5580", "[::1]", "192.0.2.7:80", "desk.example.org:443", "Desk.Example.org."),
    ],
)
def test_addresses_and_names_that_are_ours(host: str) -> None:
    assert GATE.host_allowed(host)


@pytest.mark.parametrize(
    "host",
    [
        *("", "stranger.example", "stranger.example:5580", "localhost.stranger.example"),
        *("127.0.0.1.stranger.example", "desk.example.org.stranger.example", "[stranger.example]"),
        *("127.0.0.1@stranger.example", "0x7f.1", "2130706433", "localhost stranger"),
    ],
)
def test_any_other_name_could_be_a_strangers(host: str) -> None:
    assert not GATE.host_allowed(host)


def test_the_origin_is_our_own_page_or_none() -> None:
    host = "127.0.0.1:5580"
    assert GATE.origin_allowed(None, host)
    assert GATE.origin_allowed("http://127.0.0.1:5580", host)
    assert GATE.origin_allowed("https://desk.example.org", "desk.example.org")
    for origin in (
        "null",
        "",
        "http://127.0.0.1:5581",
        "http://localhost:5580",
        "http://127.0.0.1:5580.stranger.example",
        "https://stranger.example",
        "file://",
    ):
        assert not GATE.origin_allowed(origin, host)


def test_the_token_and_nothing_like_it() -> None:
    assert GATE.token_good(TOKEN)
    for wrong in ("", TOKEN[:-1], TOKEN + "t", TOKEN.upper(), "ü" * 43, "\udcff"):
        assert not GATE.token_good(wrong)


def test_the_token_comes_in_a_header_that_only_our_page_can_set() -> None:
    assert bearer({"Authorization": f"Bearer {TOKEN}"}) == TOKEN
    assert bearer({"Authorization": f"bearer  {TOKEN} "}) == TOKEN
    assert bearer({"Authorization": f"Basic {TOKEN}"}) == ""
    assert bearer({"Cookie": f"token={TOKEN}"}) == ""


@pytest.mark.parametrize(
    ("peer", "headers", "free"),
    [
        ("127.0.0.1", {"Host": "127.0.0.1:5580"}, True),
        ("127.0.0.1", {"Host": "localhost"}, True),
        ("::1", {"Host": "[::1]:5580"}, True),
        ("::ffff:127.0.0.1", {"Host": "localhost"}, True),
        ("192.0.2.7", {"Host": "localhost"}, False),
        ("127.0.0.1", {"Host": "192.0.2.7"}, False),
        ("127.0.0.1", {"Host": "desk.example.org"}, False),
        ("127.0.0.1", {"Host": "localhost", "X-Forwarded-For": "192.0.2.7"}, False),
        ("127.0.0.1", {"Host": "localhost", "Forwarded": "for=192.0.2.7"}, False),
        (None, {"Host": "localhost"}, False),
        ("127.0.0.1", {}, False),
    ],
)
def test_only_this_machine_looks_without_a_token(
    peer: str | None, headers: dict[str, str], free: bool
) -> None:
    assert Gate.open_to(peer, headers) is free


def test_names_are_read_as_a_browser_writes_them() -> None:
    assert host_name("[::1]:5580") == "::1"
    assert host_name("Example.ORG.:80") == "example.org"


def test_a_token_is_made_once_and_private(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        token = token_of(tmp_path, None)
    finally:
        os.umask(old)
    file = tmp_path / TOKEN_FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(token) >= 40
    assert token_of(tmp_path, None) == token
    assert [each.name for each in tmp_path.iterdir()] == [TOKEN_FILE]


def test_a_token_that_others_could_know_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / TOKEN_FILE
    first = token_of(tmp_path, None)
    file.chmod(0o644)
    second = token_of(tmp_path, None)
    assert second != first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text("short")
    assert len(token_of(tmp_path, None)) >= 40


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(TOKEN)
    other.chmod(0o600)
    (tmp_path / TOKEN_FILE).symlink_to(other)
    assert token_of(tmp_path, None) != TOKEN
    assert other.read_text() == TOKEN


def test_a_configured_token_must_be_private_and_long(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    assert token_of(tmp_path, file) == TOKEN
    file.write_text("short\n")
    with pytest.raises(BadInput, match="no such file with a token"):
        token_of(tmp_path, tmp_path / "none")
    with pytest.raises(BadInput, match="does not hold a token"):
        token_of(tmp_path, file)
    file.write_text(TOKEN)
    file.chmod(0o644)
    with pytest.raises(BadInput, match="others"):
        token_of(tmp_path, file)
