"""Secrets are taken out of texts by value, and by the name before them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from key_kit import KEY_ID, KEY_SECRET, PASSPHRASE, pem

from citadel_micro.shell.keys.redaction import LEAST, Redactor
from citadel_micro.shell.keys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def redactor() -> Redactor:
    made = Redactor()
    made.add(Secret(KEY_ID), Secret(KEY_SECRET), Secret(PASSPHRASE), Secret(""))
    return made


@pytest.mark.parametrize("planted", [KEY_ID, KEY_SECRET, PASSPHRASE])
@pytest.mark.parametrize(
    "form",
    [
        str,
        repr,
        json.dumps,
        lambda text: quote(text, safe=""),
        lambda text: urlencode({"x": text}),
        lambda text: f"glued{text}glued",
        lambda text: text.encode().hex(),
        lambda text: base64.b64encode(text.encode()).decode(),
    ],
)
def test_by_value_in_every_form(
    redactor: Redactor, planted: str, form: Callable[[str], str]
) -> None:
    shown = redactor.values(f"before {form(planted)} after")
    assert form(planted).strip("'\"") not in shown
    assert shown.startswith("before ")
    assert shown.endswith(" after")


def test_a_private_key_by_each_of_its_lines() -> None:
    redactor, text = Redactor(), pem("rsa")
    redactor.add(Secret(text))
    lines = [line for line in text.splitlines() if "-----" not in line]
    for form in (text, repr(text), json.dumps({"k": text}), "".join(lines), *lines):
        shown = redactor.text(f"x {form} y")
        assert not any(line in shown for line in lines)


def test_a_private_key_that_nobody_loaded_goes_as_well() -> None:
    text = pem()
    assert Redactor().text(f"a {text.strip()} b") == "a *** b"
    assert Redactor().text(f"a {text[:60]}") == "a ***"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "https://h/api/v3/order?symbol=BTCUSDT&timestamp=1&signature=abcdef123",
            "https://h/api/v3/order?symbol=BTCUSDT&timestamp=1&signature=***",
        ),
        ("GET /x?apiKey=abc&listenKey=def&a=1", "GET /x?apiKey=***&listenKey=***&a=1"),
        ("{'X-MBX-APIKEY': 'abc', 'b': 1}", "{'X-MBX-APIKEY': '***', 'b': 1}"),
        (
            '{"params":{"apiKey":"abc","signature":"d\\"ef"}}',
            '{"params":{"apiKey":"***","signature":"***"}}',
        ),
        ("OK-ACCESS-PASSPHRASE: hunter2", "OK-ACCESS-PASSPHRASE: ***"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("wss://h/ws?token=abc", "wss://h/ws?token=***"),
        ("a signature was wrong", "a signature was wrong"),
        ("tokens=3", "tokens=3"),
        ("design=3", "design=3"),
    ],
)
def test_by_name(text: str, shown: str) -> None:
    assert Redactor().text(text) == shown


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=30), st.text(max_size=30))
def test_whatever_stands_around_it(before: str, after: str) -> None:
    redactor = Redactor()
    redactor.add(Secret(KEY_SECRET))
    assert KEY_SECRET not in redactor.text(before + KEY_SECRET + after)


def test_short_texts_are_no_secrets() -> None:
    redactor = Redactor()
    redactor.add(Secret("x" * (LEAST - 1)))
    assert redactor.values("x" * 20) == "x" * 20


def test_a_secret_within_another_hides_neither() -> None:
    redactor = Redactor()
    redactor.add(Secret("abcdefgh"), Secret("abcdefghijkl"))
    assert redactor.values("abcdefghijkl") == "***"
