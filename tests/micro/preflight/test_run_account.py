"""A run folder is of one account, of paper or of a venue, for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from key_kit import hmac_text, write_key

from citadel_micro.preflight.run_account import FILE, check_account, claim
from citadel_micro.shell.keys.key_file import read_key_file
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.shell.keys.api_key import ApiKey


def keys(folder: Path, account: str = "1", network: str = "testnet") -> dict[str, ApiKey]:
    text = hmac_text(account=account, network=network)
    return {"binance-spot": read_key_file(write_key(folder / "keys", text))}


@pytest.mark.parametrize("used", [True, False])
def test_paper_goes_on_in_folders_of_before(tmp_path: Path, *, used: bool) -> None:
    check_account(tmp_path, {}, used=used)
    claim(tmp_path, {})
    assert not (tmp_path / FILE).exists()


def test_a_live_run_takes_a_new_folder_for_good(tmp_path: Path) -> None:
    its = keys(tmp_path)
    check_account(tmp_path, its, used=False)
    claim(tmp_path, its)
    check_account(tmp_path, its, used=True)
    claim(tmp_path, its)
    assert (tmp_path / FILE).read_bytes() == b'{"binance-spot":"testnet:1"}'


def test_a_live_run_takes_over_no_paper_positions(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is of paper, and this run is of account testnet:1"):
        check_account(tmp_path, keys(tmp_path), used=True)


@pytest.mark.parametrize("other", [("2", "testnet"), ("1", "mainnet")])
def test_no_other_account_and_no_paper_in_a_live_folder(
    tmp_path: Path, other: tuple[str, str]
) -> None:
    claim(tmp_path, keys(tmp_path))
    for its in ({}, keys(tmp_path, *other)):
        with pytest.raises(BadInput, match="a folder of its own"):
            check_account(tmp_path, its, used=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}'])
def test_a_damaged_file(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(BadInput, match="cannot be read"):
        check_account(tmp_path, {}, used=True)
