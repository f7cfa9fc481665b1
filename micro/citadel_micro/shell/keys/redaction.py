"""Removes the secrets that this process has loaded from any text that leaves it.

By value: a secret is found wherever it is, whatever the field is called. By name: the value after
``signature=`` or ``X-MBX-APIKEY:`` is removed as well, since signatures are made per request.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Final
from urllib.parse import quote, quote_plus

from citadel_micro.shell.keys.secret import SHOWN, Secret

LEAST: Final = 8
"""Characters. A shorter text may be an ordinary word, and no venue issues such a key."""

_HEADERS: Final = (
    "X-MBX-APIKEY",
    "OK-ACCESS-KEY",
    "OK-ACCESS-SIGN",
    "OK-ACCESS-PASSPHRASE",
    "X-BAPI-API-KEY",
    "X-BAPI-SIGN",
    "API-Key",
    "API-Sign",
    "Authorization",
)
_PARAMETERS: Final = (
    "signature",
    "apiKey",
    "api_key",
    "listenKey",
    "token",
    "passphrase",
    "secret",
    "sign",
)
_NAMED: Final = re.compile(
    r"""(?ix) (?<![A-Za-z0-9_-])
    (?P<name> (?:%s) ["']? \s* (?: [=:] | %%3D ) \s* (?:Bearer\s+|Basic\s+)? )
    (?: (?P<quote>["']) (?:\\.|(?!(?P=quote)).)* (?P=quote) | [^\s"'&,;)\]}>]+ )
    """  # noqa: UP031 - braces are part of the expression
    % "|".join(re.escape(each) for each in (*_HEADERS, *_PARAMETERS))
)
_PEM: Final = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)


class Redactor:
    """The secrets of a process, and their removal from a text."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._any: re.Pattern[str] | None = None

    def add(self, *secrets: Secret) -> None:
        """Add a secret, in each form that a request or a message may contain."""
        for each in secrets:
            self._values |= _forms(each.reveal())
        longest_first = sorted(self._values, key=lambda text: (-len(text), text))
        self._any = (
            re.compile("|".join(re.escape(each) for each in longest_first))
            if longest_first
            else None
        )

    def text(self, text: str) -> str:
        """The text without any secret."""
        if self._any is not None:
            text = self._any.sub(SHOWN, text)
        if "PRIVATE KEY-----" in text:
            text = _PEM.sub(SHOWN, text)
        return _NAMED.sub(_shown, text)

    def values(self, text: str) -> str:
        """The text without the known secrets; values after known names are kept."""
        return text if self._any is None else self._any.sub(SHOWN, text)


def _shown(match: re.Match[str]) -> str:
    mark = match["quote"] or ""
    return f"{match['name']}{mark}{SHOWN}{mark}"


def _forms(text: str) -> set[str]:
    whole = {text, text.strip()}
    # A private key is matched by each of its lines, however they are joined.
    lines = [line.strip() for line in text.splitlines() if "-----" not in line]
    whole |= {*lines, "".join(lines)}
    forms = set(whole)
    for each in whole:
        raw = each.encode()
        forms |= {
            quote(each, safe=""),
            quote_plus(each),
            json.dumps(each)[1:-1],
            repr(each)[1:-1],
            raw.hex(),
            base64.b64encode(raw).decode(),
        }
    return {each for each in forms if len(each) >= LEAST}


REDACTOR: Final = Redactor()
"""Of this process: ``read_key_file`` adds every secret that it reads."""
