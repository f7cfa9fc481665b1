"""How many symbols are taken is the machine's business, and it says why not more."""

from __future__ import annotations

import pytest

from citadel_micro.shell.config.config import VenueSection
from citadel_micro.shell.ops.machine import BOOK_BYTES, OWN_BYTES, Machine
from citadel_proto.errors import BadInput


def test_a_thousand_symbols_are_taken_here() -> None:
    names = [f"C{number}/USDT" for number in range(1_000)]
    assert len(VenueSection(symbols=names).symbols) == 1_000
    Machine.here().check(1_000, 10)


def test_too_many_are_refused_with_what_they_need_and_what_there_is() -> None:
    machine = Machine(memory=OWN_BYTES + 500 * BOOK_BYTES, files=1_024)
    machine.check(500, 50)
    with pytest.raises(BadInput, match="501 symbols need about 501 MB of memory, and 500 MB") as e:
        machine.check(501, 50)
    assert "up to 500 symbols" in str(e.value)


def test_connections_are_counted_against_open_files() -> None:
    machine = Machine(memory=None, files=100)
    machine.check(3_600, 36)
    with pytest.raises(BadInput, match="need 37 connections, and this process may have 100 files"):
        machine.check(3_700, 37)


def test_nobody_is_refused_where_nobody_says_what_there_is() -> None:
    Machine(memory=None, files=None).check(100_000, 10_000)
