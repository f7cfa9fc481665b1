"""A secret shows nothing, whatever is done to it."""

from __future__ import annotations

import copy
import json
import pickle
import traceback
from typing import TYPE_CHECKING

import msgspec
import pytest
from key_kit import KEY_ID, KEY_SECRET

from citadel_micro.shell.keys.api_key import ApiKey
from citadel_micro.shell.keys.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = ApiKey(
    venue="binance-spot",
    account="1",
    network="testnet",
    kind="hmac",
    id=Secret(KEY_ID),
    secret=Secret(KEY_SECRET),
    passphrase=Secret(""),
    file="k.toml",
)


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        lambda it: f"{it}",
        lambda it: f"{it!s:>90} {it!r} {it:s}",
        lambda it: "%s %r" % (it, it),  # noqa: UP031 - the old way shows it no more
        lambda it: json.dumps(it, default=str),
        lambda it: msgspec.json.encode(it, enc_hook=str).decode(),
        lambda it: pickle.dumps(it).decode("latin-1"),
        lambda it: repr(pickle.loads(pickle.dumps(it))),  # noqa: S301 - made one line before
        lambda it: repr(vars(it)) if hasattr(it, "__dict__") else "",
        lambda it: repr([it]),
        lambda it: repr(copy.deepcopy(it)),
    ],
)
@pytest.mark.parametrize("what", [Secret(KEY_SECRET), KEY.secret])
def test_no_way_of_showing_shows_it(show: Callable[[object], str], what: object) -> None:
    assert KEY_SECRET not in show(what)


def test_a_key_shows_neither_its_id_nor_its_secret() -> None:
    for text in (repr(KEY), str(KEY), f"{KEY}", pickle.dumps(KEY).decode("latin-1")):
        assert KEY_ID not in text
        assert KEY_SECRET not in text
        assert "binance-spot" in text


def test_revealing_is_the_way_to_the_text() -> None:
    assert Secret(KEY_SECRET).reveal() == KEY_SECRET
    assert copy.copy(KEY).secret.reveal() == KEY_SECRET


def test_equality_is_of_texts_and_there_is_no_hash() -> None:
    assert Secret("abc") == Secret("abc")
    assert Secret("abc") != Secret("abd")
    assert Secret("abc") != "abc"
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret("abc"))


def _fail(secret: Secret) -> None:
    raise ValueError(secret, KEY)


def test_a_traceback_with_a_secret_in_its_error_shows_stars() -> None:
    try:
        _fail(Secret(KEY_SECRET))
    except ValueError as error:
        text = "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    assert KEY_SECRET not in text
    assert "***" in text
