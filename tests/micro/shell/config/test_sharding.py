"""Which pairs one of several micros takes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from citadel_micro.shell.config.config import load
from citadel_micro.shell.config.sharding import is_shard, share_of, takes
from citadel_micro.shell.config.text import to_toml
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

MANY = [f"C{number}/USDT" for number in range(1_000)]
PAIRS = ["BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT"]


def config(shard: str, **changes: object) -> dict[str, object]:
    bridge = {"shard": shard}
    return {"bridge": bridge, "venues": {"binance-spot": {"symbols": PAIRS}}, **changes}


@pytest.mark.parametrize("text", ["", "own", "1/1", "2/3", "12/12"])
def test_what_is_a_share(text: str) -> None:
    assert is_shard(text)


@pytest.mark.parametrize("text", ["0/3", "4/3", "1/0", "1/100", "/", "1/", "all", "1 / 3", "-1/3"])
def test_what_is_none(text: str) -> None:
    assert not is_shard(text)
    with pytest.raises(BadInput, match=r"bridge\.shard"):
        load(overrides={"bridge": {"shard": text}})


def test_each_symbol_falls_to_one_share_and_all_are_used() -> None:
    for shares in (1, 2, 5):
        for symbol in MANY[:50]:
            own = [n for n in range(1, shares + 1) if takes(f"{n}/{shares}", symbol)]
            assert own == [share_of(symbol, shares)]
        counts = Counter(share_of(symbol, shares) for symbol in MANY)
        assert set(counts) == set(range(1, shares + 1))
        assert min(counts.values()) > 1_000 / shares * 0.8


def test_one_share_more_moves_only_what_falls_to_it() -> None:
    for symbol in MANY:
        before, after = share_of(symbol, 4), share_of(symbol, 5)
        assert after in {before, 5}


def test_shares_do_not_change_from_release_to_release() -> None:
    """A run folder holds the orders of its share: after an upgrade they must be the same."""
    assert [share_of(symbol, 3) for symbol in PAIRS] == [2, 1, 1, 1]


def test_a_share_has_its_pairs_a_name_and_a_folder(tmp_path: Path) -> None:
    one, two = (load(overrides=config(f"{n}/2")) for n in (1, 2))
    assert one.venues["binance-spot"].symbols == ["ETH/USDT", "SOL/USDT", "XRP/USDT"]
    assert two.venues["binance-spot"].symbols == ["BTC/USDT"]
    assert (one.instance, two.instance) == ("micro-1", "micro-2")
    assert one.run_dir != two.run_dir
    named = load(overrides=config("2/2", instance="right", run_dir=str(tmp_path)))
    assert (named.instance, named.run_dir) == ("right", tmp_path)


def test_what_is_printed_can_be_read_again(tmp_path: Path) -> None:
    one = load(overrides=config("1/2"))
    file = tmp_path / "printed.toml"
    file.write_text(to_toml(one))
    assert load(file) == one


def test_one_of_several_by_hand_needs_a_name() -> None:
    with pytest.raises(BadInput, match="name of its own"):
        load(overrides=config("own"))
    own = load(overrides=config("own", instance="left"))
    assert own.venues["binance-spot"].symbols == PAIRS


def test_a_share_without_pairs_says_where_they_went() -> None:
    with pytest.raises(BadInput, match=r"BTC/USDT to 2, ETH/USDT to 1"):
        load(overrides=config("3/3"))
