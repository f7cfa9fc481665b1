"""A list fetched by another process, with real ccxt against a local server."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
import pytest
from markets_kit import Exchange

from citadel_micro.core.model.steps import Steps
from citadel_micro.shell.config.config import MicroConfig
from citadel_micro.shell.instruments import child as children
from citadel_micro.shell.instruments.cache import Cache
from citadel_micro.shell.instruments.child import ChildFetch, Order, answer, result_of
from citadel_micro.shell.instruments.run_rules import lists_of, load_rules, refresher_of
from citadel_micro.shell.instruments.sources import RULES
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from pathlib import Path

    from citadel_micro.core.model.commands import Note
    from citadel_micro.core.model.events import StepsChanged


def test_a_child_fetches_stores_and_answers_with_what_is_wanted(tmp_path: Path) -> None:
    async def main() -> None:
        async with Exchange() as exchange:
            fetch = ChildFetch(tmp_path, timeout_s=60)
            found = await fetch("okx", exchange.url, ["BTC/USDT", "BTC/USDT:USDT"])
            assert list(found.markets) == ["BTC/USDT", "BTC/USDT:USDT"]
            assert found.partial
            assert found.markets["BTC/USDT:USDT"].rules.contract_size == Decimal("0.01")
            stored, _ = Cache(tmp_path).read("okx", exchange.url)
            assert stored is not None
            assert len(stored.markets) == 7
            assert stored.fetched_ns == found.fetched_ns
            with pytest.raises(BadInput, match="did you mean BTC/USDT") as caught:
                await fetch("okx", exchange.url, ["BTC/USDC"])
            assert caught.value.where == "symbol"
            exchange.status = 500
            with pytest.raises(PeerUnavailable, match="500"):
                await fetch("okx", exchange.url, [])

    asyncio.run(main())


def test_every_failure_comes_back_as_what_it_was() -> None:
    def order(venue: str, *symbols: str) -> Order:
        return Order(venue=venue, rest_url="http://127.0.0.1:9", symbols=list(symbols), folder="")

    for venue, kind in (("okex", BadInput), ("okx", PeerUnavailable)):
        sent = msgspec.json.encode(asyncio.run(answer(order(venue))))
        with pytest.raises(kind):
            result_of(msgspec.json.decode(sent, type=children.Answer))
    garbled = children.Answer(failure=children.Failure(fault="VenueViolation", what="x"))
    with pytest.raises(VenueViolation, match="x"):
        result_of(garbled)


def test_a_child_that_takes_too_long_or_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PeerUnavailable, match=r"within 0\.01 s"):
        asyncio.run(ChildFetch(tmp_path, timeout_s=0.01)("okx", "http://127.0.0.1:9", []))
    monkeypatch.setattr(RULES.get(), "program", "citadel_micro.no_such_module")
    with pytest.raises(PeerUnavailable, match=r"ended 1: .*no_such_module"):
        asyncio.run(ChildFetch(None, timeout_s=60)("okx", "http://127.0.0.1:9", []))


@pytest.mark.campaign
def test_a_runs_keeper_notices_a_new_tick_and_stores_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with Exchange() as exchange:
            config = MicroConfig(
                run_dir=tmp_path,
                venues={"binance-spot": {"symbols": ["BTC/USDT"], "rest_url": exchange.url}},
            )
            used = await load_rules(config)
            assert used["binance-spot", "BTC/USDT"].tick == Decimal("0.01")
            lists = lists_of(config)
            assert 0 < lists.age_s("binance-spot", exchange.url) < 60
            assert lists.age_s("okx", "") == 0
            keeper = refresher_of(config, used, lambda _steps: None, lambda _note: None)
            assert await keeper.refresh("binance-spot")
            filters = exchange.answers["/api/v3/exchangeInfo"]["symbols"][0]["filters"]
            filters[0]["tickSize"] = "0.05"
            assert await keeper.refresh("binance-spot")
            assert keeper.warned == {
                ("binance-spot", "BTC/USDT"): "tick 0.01 -> 0.05",
            }
            stored, _ = Cache(tmp_path / "instruments").read("binance-spot", exchange.url)
            assert stored is not None
            assert stored.markets["BTC/USDT"].rules.tick == Decimal("0.05")

    asyncio.run(main())


def test_rules_of_a_file_are_not_asked_for(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[[instrument]]\nvenue = "okx"\nsymbol = "BTC/USDT"\ntick = "0.5"\nlot = "1"\n')
    venue = {"symbols": ["BTC/USDT"], "rest_url": "http://127.0.0.1:9", "instruments_file": own}
    config = MicroConfig(run_dir=tmp_path, venues={"okx": venue})

    async def main() -> None:
        used = await load_rules(config)
        assert used["okx", "BTC/USDT"].tick == Decimal("0.5")
        keeper = refresher_of(config, used, lambda _steps: None, lambda _note: None)
        keeper.start()
        await keeper.close()
        assert (keeper.refreshed, keeper.failures) == (0, 0)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("what", "level"),
    [
        ("no longer open for trading", "error"),
        ("maker_fee 0 -> 1; tick 0.1 -> 0.01", "error"),
        ("maker_fee 0.001 -> 0.002", "warning"),
    ],
)
def test_people_and_the_engine_are_told_of_a_change_once(
    what: str, level: str, tmp_path: Path
) -> None:
    config = MicroConfig(run_dir=tmp_path, venues={"okx": {"symbols": ["BTC/USDT"]}})
    posted: list[StepsChanged] = []
    notes: list[Note] = []

    async def main() -> None:
        keeper = refresher_of(config, {}, posted.append, notes.append)
        for _ in range(2):
            keeper._say("okx", "BTC/USDT", what)
            keeper._on_steps("okx", "BTC/USDT", Steps(10, 1))

    asyncio.run(main())
    (note,) = notes
    assert (note.level, dict(note.fields)["symbol"]) == (level, "BTC/USDT")
    assert what in str(dict(note.fields)["text"])
    (event,) = posted
    assert (event.price_ticks, event.quantity_lots) == (10, 1)
