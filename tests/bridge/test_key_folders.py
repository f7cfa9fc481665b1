"""Key folders of sides that must not read each other's secrets."""

from __future__ import annotations

import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from citadel_bridge.auth import KeyStore
from citadel_bridge.exit_codes import Exit
from citadel_bridge.key_folders import make_folders
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

SIDES = ("micro", "macro")


def contents(base: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(base)): path.read_bytes()
        for path in sorted(base.rglob("*"))
        if path.is_file()
    }


def test_each_folder_has_one_secret_and_all_public_keys(tmp_path: Path) -> None:
    assert make_folders(tmp_path, SIDES) == ["micro", "macro"]
    assert sorted(contents(tmp_path)) == [
        "macro/macro.public",
        "macro/macro.secret",
        "macro/micro.public",
        "micro/macro.public",
        "micro/micro.public",
        "micro/micro.secret",
    ]
    for side in SIDES:
        secret = tmp_path / side / f"{side}.secret"
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


def test_the_folders_fit_together(tmp_path: Path) -> None:
    make_folders(tmp_path, SIDES)
    micro, macro = KeyStore(tmp_path / "micro"), KeyStore(tmp_path / "macro")
    assert micro.server("micro").allow == {macro.pair("macro").public}
    assert macro.server("macro").allow == {micro.pair("micro").public}
    assert macro.client("macro", "micro").server == micro.pair("micro").public
    assert micro.client("micro", "macro").server == macro.pair("macro").public


def test_again_it_changes_nothing(tmp_path: Path) -> None:
    make_folders(tmp_path, SIDES)
    before = contents(tmp_path)
    assert make_folders(tmp_path, SIDES) == []
    assert contents(tmp_path) == before


def test_a_side_that_lost_its_folder_gets_new_keys_and_the_other_learns_of_it(
    tmp_path: Path,
) -> None:
    make_folders(tmp_path, SIDES)
    kept = (tmp_path / "macro" / "macro.secret").read_bytes()
    shutil.rmtree(tmp_path / "micro")
    assert make_folders(tmp_path, SIDES) == ["micro"]
    assert (tmp_path / "macro" / "macro.secret").read_bytes() == kept
    new = KeyStore(tmp_path / "micro").pair("micro").public
    assert KeyStore(tmp_path / "macro").client("macro", "micro").server == new


def test_a_role_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="allowed: macro, micro, cli, recorder"):
        make_folders(tmp_path, ["micro", "king"])
    assert contents(tmp_path) == {}


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "micro").write_text("in the way")
    with pytest.raises(BadInput, match="cannot write keys"):
        make_folders(tmp_path, SIDES)


def test_as_a_program(tmp_path: Path) -> None:
    def run(*roles: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "citadel_bridge.key_folders", str(tmp_path), *roles],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    first, second, wrong = run(*SIDES), run(*SIDES), run("king")
    assert (first.returncode, first.stdout) == (Exit.OK, "made: micro, macro\n")
    assert (second.returncode, second.stdout) == (Exit.OK, "kept: micro, macro\n")
    assert wrong.returncode == Exit.BAD_INPUT
    assert "macro, micro, cli, recorder" in wrong.stderr
