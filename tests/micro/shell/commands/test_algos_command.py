"""``citadel algos``: every algorithm is listed, with what each of its parameters means."""

from __future__ import annotations

import json

import pytest

from citadel_bridge.exit_codes import Exit
from citadel_micro.core.algos import ALGORITHMS
from citadel_micro.shell.commands.algos import about, algos, unit
from citadel_proto.errors import BadInput


def test_it_lists_them_all_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert algos() is Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines[: len(ALGORITHMS)]] == list(ALGORITHMS)
    for kind in ALGORITHMS.values():
        assert 20 < len(about(kind)) < 200


def test_one_of_them_with_units_ranges_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    algos("twap")
    text = capsys.readouterr().out
    for param in ALGORITHMS["twap"].params:
        assert param.name in text
        assert param.text in text
    assert "milliseconds (a whole number from 1000 to" in text


def test_as_json_it_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    algos("stop", as_json=True)
    (row,) = json.loads(capsys.readouterr().out).values()
    assert row["kind"] == "stop"
    cross = next(each for each in row["params"] if each["name"] == "max_cross_bps")
    assert (cross["unit"], cross["default"]) == ("basis points", 50.0)


def test_every_time_distance_and_share_has_its_unit_in_its_name() -> None:
    for kind in ALGORITHMS.values():
        for param in kind.params:
            if any(word in param.text for word in ("Working time", "Worst price", "from the mid")):
                assert unit(param), (kind.name, param.name)


def test_an_unknown_one_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput, match="twap"):
        algos("twop")
