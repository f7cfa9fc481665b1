"""The table of what micro publishes: every message and every command in it, once."""

from __future__ import annotations

from typing import get_args, get_type_hints

import pytest

from citadel_micro.core.model.command_buffer import Command
from citadel_micro.core.model.commands import Publication
from citadel_micro.core.model.events import TradeTick
from citadel_micro.shell.bridge import published
from citadel_micro.shell.bridge.published import ENCODE, PUBLISHED
from citadel_proto import topics
from citadel_proto.messages import MarketChannel, SignalChannel


def test_every_message_of_the_market_channel_is_in_the_table() -> None:
    assert list(PUBLISHED) == list(dict.fromkeys(PUBLISHED))
    assert set(PUBLISHED) == set(get_args(MarketChannel))


def test_every_command_that_publishes_makes_exactly_one_message() -> None:
    made_from = [each.made_from for each in PUBLISHED.values()]
    assert sorted(kind.__name__ for kind in made_from) == sorted(
        [*(kind.__name__ for kind in get_args(Publication)), TradeTick.__name__]
    )
    assert set(get_args(Publication)) <= set(get_args(Command))
    assert set(ENCODE) == set(made_from)


def test_no_command_is_called_a_publication_and_left_out_of_them() -> None:
    named = {kind for kind in get_args(Command) if kind.__name__.startswith("Publish")}
    assert named == set(get_args(Publication))


@pytest.mark.parametrize("kind", list(PUBLISHED), ids=lambda kind: kind.__name__)
def test_each_line_makes_the_message_that_it_stands_under(kind: type[MarketChannel]) -> None:
    from_table = get_type_hints(PUBLISHED[kind].encode, vars(published) | _LAZY)["return"]
    assert kind in {from_table, *get_args(from_table)}


_LAZY = {"Sequence": tuple}
"""Names that the table's annotations use and that are there for type checkers only."""


@pytest.mark.parametrize("kind", topics.MESSAGES.values(), ids=lambda kind: kind.__name__)
def test_a_message_names_fields_of_its_own_in_its_topic(
    kind: type[SignalChannel | MarketChannel],
) -> None:
    word, *names = kind.TOPIC
    assert word
    assert set(names) - {"reply_to"} <= set(kind.__struct_fields__)
