"""What a key file must be, and that no refusal tells what is in it."""

from __future__ import annotations

import os
import stat
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from key_kit import KEY_ID, KEY_SECRET, PASSPHRASE, hmac_text, pem, write_key

from citadel_micro.shell.keys.key_file import read_key_file
from citadel_micro.shell.keys.redaction import REDACTOR
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


def refusal(path: Path, **options: tuple[Path, ...]) -> str:
    with pytest.raises(BadInput) as caught:
        read_key_file(path, **options)
    shown = "".join(traceback.format_exception(caught.value))
    for planted in (KEY_ID, KEY_SECRET, PASSPHRASE):
        assert planted not in shown
    assert caught.value.where
    assert caught.value.mend
    return str(caught.value)


def test_a_good_file_gives_its_key(folder: Path) -> None:
    key = read_key_file(write_key(folder, hmac_text(passphrase=PASSPHRASE)))
    assert (key.venue, key.account, key.network, key.kind) == (
        "binance-spot",
        "354937868",
        "testnet",
        "hmac",
    )
    assert key.id.reveal() == KEY_ID
    assert key.secret.reveal() == KEY_SECRET
    assert key.passphrase.reveal() == PASSPHRASE


def test_an_account_that_is_a_number(folder: Path) -> None:
    key = read_key_file(write_key(folder, hmac_text(account=None) + "account = 354937868\n"))
    assert key.account == "354937868"


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_the_kind_follows_from_the_private_key(folder: Path, kind: str) -> None:
    text = pem(kind)
    key = read_key_file(write_key(folder, hmac_text(secret=None, private_key="\n" + text)))
    assert key.kind == kind
    assert key.secret.reveal() == text.strip()


def test_a_hex_key_is_secp256k1_and_needs_no_id(folder: Path) -> None:
    text = hmac_text(secret=None, id=None, private_key="0x" + "ab" * 32)
    key = read_key_file(write_key(folder, text))
    assert key.kind == "secp256k1"
    assert key.secret.reveal() == "ab" * 32
    assert not key.id


def test_what_was_read_is_redacted_from_then_on(folder: Path) -> None:
    secret = "only-in-this-test-0123456789"
    assert secret in REDACTOR.values(secret)
    read_key_file(write_key(folder, hmac_text(secret=secret)))
    assert REDACTOR.values(f"x {secret} y") == "x *** y"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o660, 0o644, 0o610])
def test_others_may_neither_read_nor_write_it(folder: Path, mode: int) -> None:
    path = write_key(folder)
    path.chmod(mode)
    text = refusal(path)
    assert f"mode {mode:04o}" in text
    assert "chmod 600" in text


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o755, 0o770, 0o711])
def test_others_may_not_open_its_folder(folder: Path, mode: int) -> None:
    path = write_key(folder)
    folder.chmod(mode)
    assert f"chmod 700 {folder}" in refusal(path)


def test_others_may_not_swap_the_folder(tmp_path: Path) -> None:
    path = write_key(tmp_path / "open" / "keys")
    (tmp_path / "open").chmod(0o777)
    assert "others may swap" in refusal(path)
    (tmp_path / "open").chmod(0o1777)
    assert read_key_file(path).kind == "hmac"


def test_a_read_only_file_and_folder_will_do(folder: Path) -> None:
    path = write_key(folder)
    path.chmod(0o400)
    folder.chmod(0o500)
    assert read_key_file(path).kind == "hmac"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("which", ["file", "folder", "above"])
def test_it_belongs_to_who_runs_micro(tmp_path: Path, which: str) -> None:
    path = write_key(tmp_path / "above" / "keys")
    os.chown({"file": path, "folder": path.parent, "above": path.parent.parent}[which], 4321, -1)
    assert "belongs to user 4321" in refusal(path)


def _link(path: Path) -> Path:
    link = path.with_name("link.toml")
    link.symlink_to(path)
    return link


def _second_name(path: Path) -> Path:
    os.link(path, path.with_name("second.toml"))
    return path


def _pipe(path: Path) -> Path:
    path.unlink()
    os.mkfifo(path, 0o600)
    return path


def _folder(path: Path) -> Path:
    path.unlink()
    path.mkdir(0o700)
    return path


def _huge(path: Path) -> Path:
    path.write_text("#" * 70_000)
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_link, "is a link to"),
        (_second_name, "has 2 names"),
        (_pipe, "is not a plain file"),
        (_folder, "is not a plain file"),
        (_huge, "has 70000 bytes"),
    ],
)
def test_it_is_one_plain_file(folder: Path, make: Callable[[Path], Path], says: str) -> None:
    assert says in refusal(make(write_key(folder)))


def test_a_link_on_the_way_is_followed_and_what_it_leads_to_is_judged(tmp_path: Path) -> None:
    path = write_key(tmp_path / "real")
    (tmp_path / "way").symlink_to(tmp_path / "real")
    assert read_key_file(tmp_path / "way" / path.name).kind == "hmac"
    (tmp_path / "real").chmod(0o755)
    assert f"chmod 700 {tmp_path / 'real'}" in refusal(tmp_path / "way" / path.name)


@pytest.mark.parametrize("as_file", [True, False], ids=["worktree", "clone"])
def test_it_is_outside_of_any_repository(tmp_path: Path, *, as_file: bool) -> None:
    path = write_key(tmp_path / "project" / "deep" / "keys")
    git = tmp_path / "project" / ".git"
    if as_file:
        git.write_text("gitdir: elsewhere\n")
    else:
        git.mkdir()
    assert f"git working tree {git.parent}" in refusal(path)
    # Nor through a link that begins outside.
    (tmp_path / "elsewhere").symlink_to(path.parent)
    assert "git working tree" in refusal(tmp_path / "elsewhere" / path.name)


def test_the_project_itself_holds_no_keys() -> None:
    here = Path(__file__).parent / "no-such-key.toml"
    assert "no such key file" in refusal(here)


def test_absent(folder: Path) -> None:
    assert "no such key file" in refusal(folder / "binance.toml")


def test_what_is_no_file_is_said_before_its_folder_is_judged() -> None:
    """Whoever did as he was told would take the permissions of /dev away from everybody."""
    said = refusal(Path("/dev/null"))
    assert "is not a plain file" in said
    assert "chmod 700 /dev" not in said


# --- secrets that containers and systemd hand over ---


def vault(tmp_path: Path) -> Path:
    """As Docker has it: a file of mode 0444 in a folder that all may read."""
    place = tmp_path / "run-secrets"
    place.mkdir(mode=0o755)
    place.chmod(0o755)
    path = place / "binance"
    path.write_text(hmac_text())
    path.chmod(0o444)
    return path


def test_a_secret_that_the_machinery_mounted_is_taken(tmp_path: Path) -> None:
    path = vault(tmp_path)
    refusal(path)
    assert read_key_file(path, vaults=(path.parent,)).kind == "hmac"


def test_kubernetes_gives_a_link_within_its_mount(tmp_path: Path) -> None:
    path = vault(tmp_path)
    data = path.parent / "..2026"
    data.mkdir()
    path.rename(data / "binance")
    (path.parent / "..data").symlink_to("..2026")
    path.symlink_to("..data/binance")
    assert read_key_file(path, vaults=(path.parent,)).kind == "hmac"


def test_a_link_out_of_the_mount_is_none_of_its(tmp_path: Path) -> None:
    path = vault(tmp_path)
    outside = tmp_path / "outside.toml"
    path.rename(outside)
    path.symlink_to(outside)
    assert "is a link to" in refusal(path, vaults=(path.parent,))


def test_a_mount_that_others_may_write_to_is_none(tmp_path: Path) -> None:
    path = vault(tmp_path)
    path.parent.chmod(0o777)
    assert f"chmod 700 {path.parent}" in refusal(path, vaults=(path.parent,))


# --- what is in it ---


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("  \n\n", "is empty"),
        (KEY_SECRET, "is not TOML"),
        (f"{KEY_ID}:{KEY_SECRET}\n", "is not TOML"),
        (f'{{"key": "{KEY_ID}", "secret": "{KEY_SECRET}"}}', "is not TOML"),
        (hmac_text() + f"{KEY_SECRET} = 'x'\n", "has an unknown setting"),
        (hmac_text() + "secert = 'x'\n", "did you mean secret?"),
        (hmac_text(venue=None), "venue is missing"),
        (hmac_text(account=None), "account is missing"),
        (hmac_text(network=None), "network is missing"),
        (hmac_text(network="live"), "network is none of mainnet, testnet, demo"),
        (hmac_text(id=None), "id is missing"),
        (hmac_text(secret=None), "has no secret or private_key"),
        (hmac_text(private_key=pem()), "has both secret and private_key"),
        (hmac_text(secret="  "), "secret is empty"),
        (hmac_text(secret="short"), "secret is not 8 or more"),
        (hmac_text(secret=KEY_SECRET + " "), "secret is not 8 or more"),
        (hmac_text(secret=KEY_SECRET + "\n" + KEY_ID), "secret is not 8 or more"),
        (hmac_text(id="x" * 20 + "é"), "id is not 8 or more"),
        (hmac_text(account="a b"), "account is not a name"),
        (
            hmac_text(account=None) + "account = true\n",
            "account is empty or not a quoted text",
        ),
        (hmac_text(secret=None, private_key=KEY_SECRET), "private_key is neither PKCS#8 PEM"),
        (hmac_text(secret=None, private_key=pem()[:90]), "private_key is neither PKCS#8 PEM"),
        (
            hmac_text(
                secret=None,
                private_key="-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n"
                "-----END ENCRYPTED PRIVATE KEY-----",
            ),
            "is encrypted",
        ),
        (hmac_text(secret=None, private_key=pem("rsa", bits=1024)), "RSA of 1024 bits"),
    ],
)
def test_bad_content_is_named_and_never_repeated(folder: Path, text: str, says: str) -> None:
    assert says in refusal(write_key(folder, text))


def test_bytes_that_are_no_text(folder: Path) -> None:
    path = write_key(folder)
    path.write_bytes(b"\xff\xfe" + KEY_SECRET.encode())
    assert "is not UTF-8" in refusal(path)


def test_the_kit_writes_private_files(folder: Path) -> None:
    assert stat.S_IMODE(write_key(folder).stat().st_mode) == 0o600
