"""A key that is made here is a good key file but for its id, and its private half stays in it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from citadel_bridge.cli import main
from citadel_micro.shell.keys.key_file import read_key_file
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = ("--venue", "binance-spot", "--account", "354937868", "--network", "testnet")


def make(path: Path, *options: str) -> int:
    return main(["live", "make-key", str(path), *(options or OPTIONS)])


def test_with_its_id_it_is_a_key(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys" / "binance.toml"
    before = os.umask(0)
    try:
        assert make(path) == 0
    finally:
        os.umask(before)
    public, told = capfd.readouterr()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with pytest.raises(BadInput, match="id is empty"):
        read_key_file(path)
    path.write_text(path.read_text().replace('id = ""', f'id = "{"x" * 64}"'))
    key = read_key_file(path)
    assert (key.kind, key.account, key.network) == ("ed25519", "354937868", "testnet")
    private = load_pem_private_key(key.secret.reveal().encode(), password=None)
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    assert private.public_key().public_bytes(*form).decode() == public
    for line in key.secret.reveal().splitlines()[1:-1]:
        assert line not in public + told


def test_a_key_is_never_overwritten(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "keys" / "binance.toml"
    assert make(path) == 0
    text = path.read_text()
    assert make(path) == 2
    assert path.read_text() == text
    assert "never overwritten" in capfd.readouterr().err


def test_its_place_is_private(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    assert make(tmp_path / "open" / "k.toml") == 2
    (tmp_path / "project" / ".git").mkdir(parents=True)
    assert make(tmp_path / "project" / "keys" / "k.toml") == 2
    assert "git working tree" in capfd.readouterr().err
    assert not (tmp_path / "project" / "keys" / "k.toml").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--venue", "v", "--account", "1", "--network", "real"), "mainnet, testnet, demo"),
        (("--venue", 'v"\nid = "x', "--account", "1"), "--venue"),
        (("--venue", "v", "--account", "a b"), "--account"),
    ],
)
def test_bad_input(
    tmp_path: Path, options: tuple[str, ...], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert make(tmp_path / "keys" / "k.toml", *options) == 2
    assert says in capfd.readouterr().err
