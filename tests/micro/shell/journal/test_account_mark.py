from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from citadel_micro.shell.journal.account_mark import FILE, folder_secret, mark_of
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_keeps_its_mark_and_no_two_share_one(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    first, second = folder_secret(tmp_path), folder_secret(tmp_path / "b")
    assert folder_secret(tmp_path) == first != second
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    marks = {
        mark_of(secret, venue, account)
        for secret in (first, second)
        for venue in ("binance-spot", "okx-swap")
        for account in ("one", "two")
    }
    assert len(marks) == 8
    assert all(len(mark) == 6 and mark.isalnum() and mark == mark.lower() for mark in marks)
    assert mark_of(first, "v", "a") == mark_of(first, "v", "a")


@pytest.mark.parametrize("content", [b"", b"abc", b"\xff" * 32, b"0" * 31, b"G" * 32])
def test_a_damaged_mark_is_refused_and_not_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(BadInput, match=FILE):
        folder_secret(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be written"):
        folder_secret(tmp_path / "absent")
