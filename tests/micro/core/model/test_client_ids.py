"""Client order ids in the forms of venues: always the same, never one for two orders, and back."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citadel_micro.core.model.client_ids import CLIENT_ID_LENGTH, ClientIdForm, ClientIds
from citadel_proto.base36 import base36
from citadel_proto.errors import BadInput

MARK = "abc123"
FORMS: tuple[ClientIdForm, ...] = get_args(ClientIdForm)
ACCEPTED = {
    "ours": r"[A-Za-z0-9_-]{1,36}",
    "letters": r"[A-Za-z0-9]{1,32}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "hex": r"0x[0-9a-f]{32}",
}
RUNS = st.text("abcXYZz019", min_size=1, max_size=12)
COUNTS = st.integers(1, 36**4)


def our_id(run: str, parent: int, child: int) -> str:
    return f"sc{MARK}{run}-{base36(parent)}-{base36(child)}"


GOLDEN = {
    "ours": "scabc123run1-2s-1",
    "letters": "scabc123run1Z2sZ1",
    "uuid": "8d8d8d4b-138f-86f6-9ac3-d84da06a5f30",
    "hex": "0x8d8d8d4b138f26f69ac3d84da06a5f30",
}
OURS = st.builds(our_id, RUNS, COUNTS, st.integers(1, 36**2))


@pytest.mark.parametrize("form", FORMS)
@given(ours=st.lists(OURS, min_size=1, max_size=50, unique=True))
def test_the_venue_accepts_them_and_no_two_are_one(form: ClientIdForm, ours: list[str]) -> None:
    names = ClientIds(form, MARK)
    theirs = [names.theirs(each) for each in ours]
    for each in theirs:
        assert re.fullmatch(ACCEPTED[form], each)
    assert len(set(theirs)) == len(ours)
    assert theirs == [ClientIds(form, MARK).theirs(each) for each in ours], "after a restart too"


@given(ours=OURS)
def test_letters_lead_back_to_ours(ours: str) -> None:
    names = ClientIds("letters", MARK)
    assert names.ours(names.theirs(ours)) == ours


@pytest.mark.parametrize("form", ["uuid", "hex"])
@given(ours=OURS)
def test_a_digest_leads_to_a_name_of_our_mark_and_that_back_to_it(
    form: ClientIdForm, ours: str
) -> None:
    """An order that nobody remembers is known as ours, and can be cancelled under that name."""
    names = ClientIds(form, MARK)
    theirs = names.theirs(ours)
    stand_in = names.ours(theirs)
    assert stand_in.startswith(f"sc{MARK}")
    assert len(stand_in) <= CLIENT_ID_LENGTH
    assert names.theirs(stand_in) == theirs


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "foreign",
    [
        "x-TKT5PX2F",
        "web_1",
        "",
        "550e8400-e29b-41d4-a716-446655440000",
        "0x" + 32 * "0",
        "scZZ",
        "somebodyZ1",
    ],
)
def test_an_id_of_others_stays_as_it_is(form: ClientIdForm, foreign: str) -> None:
    assert ClientIds(form, MARK).ours(foreign) == foreign


@pytest.mark.parametrize("form", ["uuid", "hex"])
def test_another_marks_digest_is_foreign(form: ClientIdForm) -> None:
    theirs = ClientIds(form, MARK).theirs(our_id("run", 1, 1))
    assert ClientIds(form, "zzz999").ours(theirs) == theirs
    assert ClientIds(form).ours(theirs) == theirs


def test_the_forms_never_change() -> None:
    """An order that is open while micro is replaced by a later version is still found."""
    ours = "scabc123run1-2s-1"
    assert {form: ClientIds(form, MARK).theirs(ours) for form in FORMS} == GOLDEN


def test_an_id_that_is_too_long_for_a_venue_is_refused() -> None:
    ours = our_id(12 * "r", 36**6, 36**3)
    assert len(ours) <= CLIENT_ID_LENGTH
    with pytest.raises(BadInput, match="more than 32"):
        ClientIds("letters", MARK).theirs(ours)
