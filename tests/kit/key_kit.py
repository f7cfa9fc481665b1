"""Key files for tests: planted keys that a test can look for afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

if TYPE_CHECKING:
    from pathlib import Path

KEY_ID: Final = "PLANTEDidPLANTEDidPLANTEDidPLANTEDidPLANTEDidPLANTEDidPLANTEDid1"
KEY_SECRET: Final = "PLANTEDsecretPLANTEDsecretPLANTEDsecretPLANTEDsecretPLANTEDsecr2"
PASSPHRASE: Final = "PLANTED+pass/phrase=3"


def pem(kind: str = "ed25519", *, bits: int = 2048) -> str:
    """A new private key as PKCS#8 PEM."""
    key = (
        ed25519.Ed25519PrivateKey.generate()
        if kind == "ed25519"
        else rsa.generate_private_key(65537, bits)
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def hmac_text(**changes: str | None) -> str:
    """The text of a good HMAC key file, with some settings changed, or removed by None."""
    values: dict[str, str | None] = {
        "venue": "binance-spot",
        "account": "354937868",
        "network": "testnet",
        "id": KEY_ID,
        "secret": KEY_SECRET,
        **changes,
    }
    return "".join(
        f"{name} = '''{value}'''\n" for name, value in values.items() if value is not None
    )


def write_key(folder: Path, text: str | None = None, *, name: str = "binance.toml") -> Path:
    """A key file of mode 0600 in a folder of mode 0700."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    path = folder / name
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(hmac_text() if text is None else text)
    return path
