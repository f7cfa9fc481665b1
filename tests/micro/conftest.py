"""What all tests of micro stand on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fetching_here import FetchHere
from plain_oracle import doubting
from warm_markets import share

import citadel_micro.adapters  # noqa: F401 - tells the shell which venues there are
from citadel_micro.shell.instruments import run_rules

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session", autouse=True)
def _plain_orders_pass_every_check() -> Iterator[None]:
    """Whatever a test lets an engine do, an order that passes as plain passes the checks themselves."""
    with doubting():
        yield


share()


@pytest.fixture(autouse=True)
def _lists_are_read_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole micros of the live tests need lists of venues, and none of them is about children."""
    if request.path.name.startswith("test_live_"):
        monkeypatch.setattr(run_rules, "ChildFetch", FetchHere)
