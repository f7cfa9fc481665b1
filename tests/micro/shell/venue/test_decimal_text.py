"""Ticks and lots as text."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.shell.venue.addresses import private_url
from citadel_micro.shell.venue.decimal_text import DecimalText
from citadel_proto.errors import BadInput


@given(
    digits=st.integers(1, 10**6),
    exponent=st.integers(-12, 3),
    count=st.integers(0, 10**12),
)
def test_it_is_the_exact_number_without_an_exponent(digits: int, exponent: int, count: int) -> None:
    step = Decimal(digits).scaleb(exponent)
    text = DecimalText(step).text(count)
    assert Decimal(text) == step * count
    assert "e" not in text.lower()


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example",
        "wss://h:443/ws",
        "http://127.0.0.1:8",
        "ws://[::1]:9",
        "http://localhost:1",
    ],
)
def test_encrypted_addresses_and_this_machine_are_taken(url: str) -> None:
    assert private_url(url + "/", "venues.x") == url


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1", "ws://example.com", "http://127.0.0.1.example.com", "https://u:p@host"],
)
def test_others_are_refused(url: str) -> None:
    with pytest.raises(BadInput, match=r"venues\.x"):
        private_url(url, "venues.x")
