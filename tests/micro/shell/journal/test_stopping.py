"""Stopping in the middle of a journal, and telling a difference so that a person sees it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from engine_kit import SYMBOL, VENUE
from hypothesis import given
from hypothesis import strategies as st
from journal_kit import lived

from citadel_bridge.cli import main
from citadel_micro.shell.journal import records
from citadel_micro.shell.journal.difference import places_of
from citadel_micro.shell.journal.stopping import read_until
from citadel_micro.shell.journal.verify import verify, verify_journal
from citadel_proto.errors import BadInput, DecodeError
from citadel_proto.tape import COMMAND, TapeReader, TapeWriter

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lived(tmp_path_factory.mktemp("lived") / "journal-x.ctape")


def stopped(journal: Path, until: str) -> dict[str, Any]:
    said: list[str] = []
    assert verify_journal(journal, said.append, until=until) == 0
    found: dict[str, Any] = json.loads("\n".join(said))
    return found


def test_it_stops_after_the_event_and_shows_what_was_known(journal: Path) -> None:
    first = stopped(journal, "SignalReceived")
    assert first["event"][0] == "SignalReceived"
    assert "buys" in str(first["event"])
    assert any(name == "PlaceOrder" or "Approved" in name for name, _ in first["commands"])
    (order,) = first["state"]["orders"]
    assert (order["id"], order["filled_lots"], order["phase"]) == ("buys", 0, "active")
    (child,) = order["children"]
    assert child["reserved_lots"] == order["target_lots"]
    assert first["state"]["books"][0]["state"] == "LIVE"

    later = stopped(journal, "SignalReceived:2")
    assert [each["id"] for each in later["state"]["orders"]] == ["rests"]
    (position,) = later["state"]["positions"]
    assert (position["venue"], position["symbol"]) == (VENUE, SYMBOL)
    assert float(position["quantity"]) > 0
    assert stopped(journal, "~rests") == later
    assert stopped(journal, str(later["now_ns"])) == later
    assert stopped(journal, str(later["record"])) == later
    assert stopped(journal, str(later["record"] + 1)) == later  # the first of its commands


@pytest.mark.parametrize("until", ["OrderFilled:900", "~nobody", "999999", "9" * 19])
def test_a_place_that_is_not_there(journal: Path, until: str) -> None:
    with pytest.raises(BadInput, match="no such event"):
        verify_journal(journal, until=until)


@pytest.mark.parametrize(
    "until",
    ["", "~", "0", "-3", "Nothing", "OrderFilled:0", "OrderFilled:x", "2026-11-28T06:00:00"],
)
def test_a_place_that_cannot_be_read(until: str) -> None:
    with pytest.raises(BadInput, match="cannot read the place"):
        read_until(until)


def test_a_time_is_a_place() -> None:
    assert read_until("1970-01-12T13:46:40Z").at_ns == 10**15
    assert read_until(str(10**15)).at_ns == 10**15


def test_the_command_stops(journal: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(journal), "--until", "SignalReceived"]) == 0
    assert json.loads(capsys.readouterr().out)["record"] > 0
    assert main(["replay", str(journal), "--until", "never"]) == 2


def test_a_difference_is_reported_by_its_fields() -> None:
    order = {
        "venue": VENUE,
        "symbol": SYMBOL,
        "client_id": "sc1",
        "side": "buy",
        "price_ticks": 600_000,
        "quantity_lots": 10,
    }
    one, other = (
        records.encode_plain(("PlaceOrder", order | {"price_ticks": ticks, "legs": legs}))
        for ticks, legs in ((600_000, [1, {"a": 1}]), (600_001, [1, {"a": 2}, 3]))
    )
    assert places_of(one, other) == (
        "price_ticks: 600000 -> 600001",
        "legs[1].a: 1 -> 2",
        "legs[2]: nothing -> 3",
    )
    assert places_of(one, one) == ()
    assert places_of(one, records.encode_plain(("CancelOrder", order))) == ()
    many = records.encode_plain(("PlaceOrder", {str(n): n for n in range(30)}))
    assert places_of(many, records.encode_plain(("PlaceOrder", {})))[-1] == "and 10 more"


def test_a_changed_journal_shows_where(
    tmp_path: Path, journal: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = tmp_path / "forged.ctape"
    with TapeReader.open(journal) as reader, TapeWriter.create(forged, reader.header) as writer:
        for record in reader.records():
            frame = record.frame
            if record.direction == COMMAND and b"PublishReport" in frame and b"working" in frame:
                frame = frame.replace(b"working", b"paused!")
            writer.append(record.direction, record.recv_ns, frame)
    assert main(["replay", str(forged), "--verify"]) == 1
    printed = capsys.readouterr().out
    assert "differs:  status: 'paused!' -> 'working'" in printed


@given(data=st.data())
def test_one_changed_byte_is_never_a_wrong_replay(journal: Path, data: st.DataObject) -> None:
    """It is told with its place, or as a header that cannot be read; what agreed was before it."""
    whole = bytearray(journal.read_bytes())
    good = verify(journal)
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    other = journal.with_name("changed.ctape")
    other.write_bytes(whole)
    try:
        found = verify(other)
    except DecodeError as error:
        assert "changed.ctape" in str(error)  # noqa: PT017 - either way is right
        return
    assert found.difference is None
    assert found.commands <= good.commands
    told = [found.damaged, *found.notes]
    offsets = [int(text.partition(" at byte ")[2].split(",")[0]) for text in told if "byte" in text]
    assert len(offsets) == 1
    assert offsets[0] <= at
