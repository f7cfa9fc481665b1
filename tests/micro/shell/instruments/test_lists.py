"""Which list a run gets: fresh, stored, old, or none."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs
from waiting import until

from citadel_micro.adapters.paper.orders import PaperOrders
from citadel_micro.core.model.commands import Note
from citadel_micro.core.model.instrument import Instrument
from citadel_micro.core.model.steps import Steps
from citadel_micro.shell.config.config import load
from citadel_micro.shell.instruments import refresher, run_rules
from citadel_micro.shell.instruments.cache import Cache
from citadel_micro.shell.instruments.load import FRESH_NS, Listing, Lists, load_instruments
from citadel_micro.shell.instruments.markets import age_text, changes
from citadel_micro.shell.instruments.refresher import Refresher
from citadel_micro.shell.instruments.resume_rules import held_rules, remembered, steps_of
from citadel_proto.errors import BadInput, PeerUnavailable, VenueViolation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from citadel_micro.shell.instruments.markets import MarketList

    Listed = Callable[..., MarketList]

HOUR = 3_600_000_000_000
NOW = 1_000_000 * HOUR


class FakeVenue:
    """Answers with ``answer``, a list or an error, and counts."""

    def __init__(self, answer: MarketList | Exception) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self, _venue: str, _rest_url: str, _symbols: Sequence[str]) -> MarketList:
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    """A cache, a venue, and a clock."""

    def __init__(self, folder: Path, answer: MarketList | Exception) -> None:
        self.now = NOW
        self.cache = Cache(folder)
        self.venue = FakeVenue(answer)
        self.lists = Lists(self.cache, fetch=self.venue, now=lambda: self.now)

    def listing(
        self,
        *symbols: str,
        rest_url: str = "",
        refresh: bool = False,
        use_old: bool = True,
        venue: str = "okx",
    ) -> Listing:
        return asyncio.run(
            self.lists.listing(venue, symbols, rest_url=rest_url, refresh=refresh, use_old=use_old)
        )


DOWN = PeerUnavailable("okx: nobody there")


def test_a_fresh_list_asks_nobody(tmp_path: Path, listed: Listed) -> None:
    bench = Bench(tmp_path, listed(NOW))
    first = bench.listing("BTC/USDT")
    assert first.fetched
    bench.now += FRESH_NS - 1
    second = bench.listing("BTC/USDT")
    assert (second.fetched, bench.venue.asked) == (False, 1)
    assert second.markets == first.markets
    bench.now += 1
    assert bench.listing("BTC/USDT").fetched


def test_a_list_from_the_future_is_not_trusted(tmp_path: Path, listed: Listed) -> None:
    bench = Bench(tmp_path, listed(NOW))
    bench.cache.write(listed(NOW + 1))
    assert bench.listing().fetched


def test_a_symbol_that_is_new_is_asked_for(tmp_path: Path, listed: Listed) -> None:
    bench = Bench(tmp_path, listed(NOW))
    bench.cache.write(listed(NOW - 1))
    for symbol in ("NEW/USDT", "OLD/USDT"):  # not listed, or closed when it was fetched
        bench.venue.asked = 0
        assert bench.listing("BTC/USDT", symbol).fetched
        assert bench.venue.asked == 1


def test_asked_to_refresh_and_what_changed(tmp_path: Path, listed: Listed) -> None:
    bench = Bench(tmp_path, listed(NOW, "0.01"))
    bench.cache.write(listed(NOW - 1, "0.1"))
    found = bench.listing(refresh=True)
    assert found.fetched
    assert found.changes["BTC/USDT"] == ["tick 0.1 -> 0.01"]
    assert bench.cache.read("okx", "")[0] == listed(NOW, "0.01")


@pytest.mark.parametrize("error", [DOWN, VenueViolation("okx: nonsense")])
def test_an_old_list_is_better_than_none_and_its_age_is_said(
    tmp_path: Path, listed: Listed, error: Exception
) -> None:
    bench = Bench(tmp_path, error)
    bench.cache.write(listed(NOW - 50 * HOUR))
    found = bench.listing("BTC/USDT")
    assert (found.fetched, found.problem) == (False, str(error))
    assert found.markets.age(bench.now) == "2.1 days"
    with pytest.raises(type(error)):
        bench.listing("BTC/USDT", use_old=False)


def test_without_any_list_it_is_refused_and_how_to_mend_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path, DOWN)
    with pytest.raises(PeerUnavailable, match=r"nobody there.*instruments file") as caught:
        bench.listing("BTC/USDT")
    assert str(tmp_path) in str(caught.value)
    with pytest.raises(PeerUnavailable, match=r"^okx: nobody there$"):  # somebody else will say it
        bench.listing("BTC/USDT", use_old=False)
    bare = Lists(None, fetch=FakeVenue(DOWN))
    with pytest.raises(PeerUnavailable, match=r"^okx: nobody there$"):
        asyncio.run(bare.listing("okx"))


def test_a_damaged_file_is_reported_and_fetched_anew(tmp_path: Path, listed: Listed) -> None:
    bench = Bench(tmp_path, listed(NOW))
    bench.cache.write(listed(NOW))
    bench.cache.path("okx", "").write_text("{")
    assert bench.listing().fetched
    assert bench.cache.read("okx", "")[0] is not None
    bench.venue.answer = DOWN
    bench.cache.path("okx", "").write_text("{")
    with pytest.raises(PeerUnavailable):
        bench.listing()


def test_a_given_address_is_always_asked(tmp_path: Path, listed: Listed) -> None:
    url = "http://127.0.0.1:8180"
    bench = Bench(tmp_path, listed(NOW, source=url))
    assert bench.listing(rest_url=url).fetched
    assert bench.listing(rest_url=url).fetched
    bench.venue.answer = DOWN
    assert not bench.listing(rest_url=url).fetched


def test_a_folder_that_cannot_be_written_is_only_a_warning(tmp_path: Path, listed: Listed) -> None:
    (tmp_path / "file").touch()
    bench = Bench(tmp_path / "file", listed(NOW))
    assert bench.listing("BTC/USDT").fetched


def test_unknown_venues_are_refused_before_anything_is_asked(
    tmp_path: Path, listed: Listed
) -> None:
    bench = Bench(tmp_path, listed(NOW))
    with pytest.raises(BadInput, match="did you mean okx"):
        bench.listing(venue="okex")
    assert bench.venue.asked == 0


def test_a_symbol_that_is_closed_keeps_the_rules_of_the_run_that_is_resumed(
    tmp_path: Path, listed: Listed
) -> None:
    """A trading halt, or the end of one pair, must not keep a restart from holding the stops of others."""
    bench = Bench(tmp_path, listed(NOW, "0.01"))
    before = {("okx", "OLD/USDT"): listed(1, "0.5").markets["BTC/USDT"].rules}
    symbols = ["BTC/USDT", "OLD/USDT"]
    found = asyncio.run(load_instruments("okx", symbols, lists=bench.lists, known=before))
    assert found["okx", "OLD/USDT"].tick == Decimal("0.5")
    assert found["okx", "BTC/USDT"].tick == Decimal("0.01")
    for known in (None, {}, {("bybit", "OLD/USDT"): before["okx", "OLD/USDT"]}):
        with pytest.raises(BadInput, match="OLD/USDT"):
            asyncio.run(load_instruments("okx", symbols, lists=bench.lists, known=known))


def test_loading_for_a_run(tmp_path: Path, listed: Listed) -> None:
    bench = Bench(tmp_path, listed(NOW, "0.01"))
    bench.cache.write(listed(NOW - FRESH_NS, "0.1"))
    found = asyncio.run(load_instruments("okx", ["BTC/USDT"], lists=bench.lists))
    assert found["okx", "BTC/USDT"].tick == Decimal("0.01")
    with pytest.raises(BadInput, match=r"okx has no 'BTC/USD' .*did you mean BTC/USDT"):
        asyncio.run(load_instruments("okx", ["BTC/USD"], lists=bench.lists))
    own = tmp_path / "own.toml"
    own.write_text('[[instrument]]\nvenue = "okx"\nsymbol = "BTC/USDT"\ntick = "0.5"\nlot = "1"\n')
    bench.venue.asked = 0
    found = asyncio.run(load_instruments("okx", ["BTC/USDT"], file=own, lists=bench.lists))
    assert (found["okx", "BTC/USDT"].tick, bench.venue.asked) == (Decimal("0.5"), 0)


@pytest.mark.parametrize(
    ("symbol", "mend"), [("BTC/USD", "did you mean BTC/USDT"), ("ZZZ/QQQ", "as the venue's list")]
)
def test_a_run_with_a_wrong_symbol_is_told_which_setting_and_how_to_mend_it(
    tmp_path: Path,
    listed: Listed,
    monkeypatch: pytest.MonkeyPatch,
    symbol: str,
    mend: str,
) -> None:
    bench = Bench(tmp_path, listed(NOW, "0.01"))
    monkeypatch.setattr(run_rules, "lists_of", lambda _config: bench.lists)
    path = tmp_path / "micro.toml"
    path.write_text(f"mode = 'paper'\n[venues.okx]\nsymbols = ['{symbol}']\n")
    with pytest.raises(BadInput, match="okx has no") as caught:
        asyncio.run(run_rules.load_rules(load(path)))
    assert caught.value.where == "venues.okx.symbols"
    assert "BTC/USDT" in (caught.value.allowed or "")
    assert mend in (caught.value.mend or "")


def test_a_venue_that_is_waited_for_is_said_once_and_again_when_its_answer_is_another(
    tmp_path: Path,
    listed: Listed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = [PeerUnavailable("okx is silent")] * 3 + [PeerUnavailable("okx is away")] * 2

    async def answer(*_args: object, **_settings: object) -> object:
        if answers:
            raise answers.pop(0)
        return {}

    monkeypatch.setattr(run_rules, "lists_of", lambda _config: Bench(tmp_path, listed(NOW)).lists)
    monkeypatch.setattr(run_rules, "load_instruments", answer)
    monkeypatch.setattr(run_rules, "RETRY_S", 0.0)
    path = tmp_path / "micro.toml"
    path.write_text("mode = 'paper'\n[venues.okx]\nsymbols = ['BTC/USDT']\n")
    with capture_logs() as logs:
        asyncio.run(run_rules.load_rules(load(path)))
    assert [line["error"] for line in logs] == ["okx is silent", "okx is away"]


def test_what_changes_between_lists(listed: Listed) -> None:
    old = listed(1)
    assert changes(old, listed(2)) == {}
    btc = old.markets["BTC/USDT"]
    closed = {"BTC/USDT": replace(btc, active=False)}
    assert changes(old, listed(2, markets=closed)) == {
        "BTC/USDT": ["closed for trading"],
        "OLD/USDT": ["no longer usable: not listed"],
    }
    assert changes(old, listed(2, markets=closed, partial=True)) == {
        "BTC/USDT": ["closed for trading"]
    }


def test_ages_in_words() -> None:
    spans = (5_000_000_000, 90_000_000_000, 3 * HOUR, 72 * HOUR, -5)
    assert [age_text(span) for span in spans] == ["5 s", "2 min", "3.0 h", "3.0 days", "0 s"]


# --- while a run goes on


def test_the_keeper_warns_of_each_change_once(tmp_path: Path, listed: Listed) -> None:
    async def main() -> list[tuple[str, str, str]]:
        bench = Bench(tmp_path, listed(NOW, "0.01"))
        used = {("okx", "BTC/USDT"): listed(1, "0.1").markets["BTC/USDT"].rules}
        told: list[tuple[str, str, str]] = []
        keeper = Refresher(
            bench.lists, used, {"okx": ""}, on_change=lambda *what: told.append(what)
        )
        assert await keeper.refresh("okx")
        assert await keeper.refresh("okx")
        bench.venue.answer = DOWN
        assert not await keeper.refresh("okx")
        bench.venue.answer = BadInput("okx has no such symbol")
        assert await keeper.refresh("okx")
        bench.venue.answer = listed(NOW, markets={})
        assert await keeper.refresh("okx")
        assert (keeper.refreshed, keeper.failures) == (3, 1)
        return told

    assert asyncio.run(main()) == [
        ("okx", "BTC/USDT", "tick 0.1 -> 0.01"),
        ("okx", "", "okx has no such symbol"),
        ("okx", "BTC/USDT", "no longer open for trading"),
    ]


def test_the_keeper_asks_again_and_retries(tmp_path: Path, listed: Listed) -> None:
    async def main() -> None:
        bench = Bench(tmp_path, DOWN)
        bench.lists.fresh_ns = 0
        used = {("okx", "BTC/USDT"): listed(1).markets["BTC/USDT"].rules}
        keeper = Refresher(bench.lists, used, {"okx": ""}, retry_s=0.01, least_s=0.01)
        keeper.start()
        async with asyncio.timeout(60):
            while keeper.failures < 2:  # noqa: ASYNC110 - nothing to await
                await asyncio.sleep(0.005)
            bench.venue.answer = listed(NOW)
            while keeper.refreshed < 2:  # noqa: ASYNC110 - nothing to await
                await asyncio.sleep(0.005)
        await keeper.close()
        asked = bench.venue.asked
        await asyncio.sleep(0.05)
        assert bench.venue.asked == asked
        await keeper.close()

    asyncio.run(main())


@pytest.mark.parametrize("code", ["BAD_PRICE", "BAD_QUANTITY", "OTHER", "INSUFFICIENT_FUNDS"])
def test_the_keeper_looks_soon_where_a_price_or_a_quantity_was_refused(
    code: str, tmp_path: Path, listed: Listed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresher, "HURRIED_S", 0.0)

    async def main() -> list[tuple[str, str, Steps]]:
        bench = Bench(tmp_path, listed(NOW, "0.25"))
        used = {("okx", "BTC/USDT"): listed(1, "0.1").markets["BTC/USDT"].rules}
        told: list[tuple[str, str, Steps]] = []
        keeper = Refresher(bench.lists, used, {"okx": ""}, on_steps=lambda *what: told.append(what))
        keeper.start()
        refused = (("client_id", "c"), ("code", code), ("text", "filter failure"))
        keeper.note(Note(level="warning", event="order_rejected", fields=refused))
        if code != "INSUFFICIENT_FUNDS":
            await until(lambda: keeper.refreshed == 1)
        await keeper.close()
        return told

    expected = [] if code == "INSUFFICIENT_FUNDS" else [("okx", "BTC/USDT", Steps(5, 1))]
    assert asyncio.run(main()) == expected


@pytest.mark.parametrize(
    ("ours", "theirs", "steps"),
    [("0.1", "0.1", 1), ("0.1", "0.01", 1), ("0.01", "0.1", 10), ("0.01", "0.025", 5)],
)
def test_steps_are_multiples_of_ours_and_of_the_venues(
    ours: str, theirs: str, steps: int, listed: Listed
) -> None:
    used, fresh = (listed(1, tick).markets["BTC/USDT"].rules for tick in (ours, theirs))
    assert steps_of(used, fresh) == Steps(steps, 1)
    larger = replace(fresh, lot=fresh.lot * 100)
    assert steps_of(used, larger) == Steps(steps, 100)
    key = ("okx", "BTC/USDT")
    (event,) = run_rules.changed_steps({key: used}, {key: larger})
    assert (event.price_ticks, event.quantity_lots) == (steps, 100)
    assert run_rules.changed_steps({key: used}, {key: used}) == []


# --- going on from a run that counted otherwise


def other(rules: Instrument, **changed: object) -> Instrument:
    values = {
        name: getattr(rules, name)
        for name in Instrument.__dataclass_fields__
        if Instrument.__dataclass_fields__[name].init
    }
    return Instrument(**{**values, **changed})


def test_what_is_remembered_keeps_its_units(listed: Listed) -> None:
    key = ("okx", "BTC/USDT")
    old = listed().markets["BTC/USDT"].rules
    new = other(
        old, tick=Decimal("0.01"), lot=Decimal("0.00000003"), min_lots=7, taker_fee=Decimal("0.01")
    )
    free, waiting = held_rules({key: new}, {key: old}, set())
    assert (free[key], waiting) == (new, {})
    held, waiting = held_rules({key: new}, {key: old}, {key})
    assert (held[key].tick, held[key].lot) == (old.tick, old.lot)
    # Minimums and fees are those of today: 7 lots of 3e-8 are 21 of 1e-8.
    assert (held[key].min_lots, held[key].taker_fee) == (21, Decimal("0.01"))
    assert "tick 0.1 -> 0.01" in waiting[key]
    dearer = other(old, taker_fee=Decimal("0.02"), min_lots=9)
    assert held_rules({key: dearer}, {key: old}, {key}) == ({key: dearer}, {})
    assert held_rules({key: new}, {}, {key}) == ({key: new}, {})


def test_what_is_remembered_is_found_in_the_run_folders_state() -> None:
    state: dict[str, object] = {
        "seq": 3,
        "parent/s1": {"signal": {"venue": "okx", "symbol": "BTC/USDT"}},
        "child/x": {"parent": "s1"},
    }
    venues: dict[str, dict[str, object]] = {
        "okx": {"account": {}, "order/x": {"symbol": "ETH/USDT"}, "fill/x/0": {}}
    }
    saved = {venue: PaperOrders().saved_symbols(rows) for venue, rows in venues.items()}
    assert remembered(state, saved) == {("okx", "BTC/USDT"), ("okx", "ETH/USDT")}
    assert remembered({}, {}) == set()
