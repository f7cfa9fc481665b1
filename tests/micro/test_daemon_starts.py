"""Starts of micro: what cannot be had, keys, other adapters, what the engine is configured with."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fake_venue import FakeVenues
from stack_kit import Stack, run, stack
from waiting import until

from citadel_bridge.auth import KeyStore
from citadel_micro.core.model.abilities import VenueAbilities
from citadel_micro.core.model.config import EngineConfig
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.daemon import Micro
from citadel_micro.shell.config.config import MicroConfig, load
from citadel_micro.shell.engine_config import engine_config_of
from citadel_proto.errors import BadInput, PeerUnavailable

if TYPE_CHECKING:
    from pathlib import Path


# --- starts that cannot be


def test_ports_folders_symbols_and_venues_that_are_not_to_be_had(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        micro = await s.up()
        other = tmp_path / "other"
        port = int(micro.http_url.rpartition(":")[2])
        venue = s.config().venues["binance-spot"].model_dump()
        cases: list[tuple[MicroConfig, type[Exception], str]] = [
            (s.config(), PeerUnavailable, "run folder .* is in use by micro"),
            (s.config(run_dir=other, http={"port": port}), PeerUnavailable, "in use"),
            (
                s.config(run_dir=other, bridge={"market": micro.market_address}),
                PeerUnavailable,
                "in use",
            ),
            (
                s.config(
                    run_dir=other, venues={"binance-spot": {**venue, "symbols": ["BTC/USDX"]}}
                ),
                BadInput,
                "BTC/USDT",
            ),
            (
                s.config(
                    run_dir=other,
                    venues={"binance-spot": {**venue, "rest_url": "http://127.0.0.1:9"}},
                ),
                PeerUnavailable,
                "127.0.0.1:9",
            ),
            (
                s.config(run_dir=other).model_copy(
                    update={"venues": {"binanc-spot": s.config().venues["binance-spot"]}}
                ),
                BadInput,
                "binance-spot",
            ),
        ]
        for config, kind, text in cases:
            failed = Micro(config)
            try:
                with pytest.raises(kind, match=text):
                    await failed.start()
            finally:
                await failed.close()
        # None of them left a journal, a lock or a port behind.
        assert list(other.glob("journal-*")) == []
        s.micros.append(micro_again := Micro(s.config(run_dir=other)))
        await micro_again.start()

    run(tmp_path, body)


# --- keys


def test_with_keys_both_ways(tmp_path: Path) -> None:
    async def main() -> None:
        store = KeyStore(tmp_path / "keys")
        store.make()
        async with stack(tmp_path, store) as s:
            await s.up(s.config(bridge={"keys": str(tmp_path / "keys")}))
            signal = s.peer.signal()
            s.peer.send(signal)
            assert (await s.peer.ended(signal.signal_id)).status == "filled"

    asyncio.run(main())


def test_a_run_with_another_order_adapter(tmp_path: Path) -> None:
    async def body(s: Stack) -> None:
        orders = FakeVenues(VenueAbilities(amends="in_place", messages_per_second=7))
        micro = await s.up(orders=orders)
        told = micro.engine.config.venues["binance-spot"]
        assert (told.amend_native, told.shows_own_orders) == (True, True)
        assert told.messages_per_second == 7
        signal = s.peer.signal()
        s.peer.send(signal)
        report = await s.peer.ended(signal.signal_id)
        assert (report.status, report.filled) == ("filled", "0.01000")
        far = s.far(micro)
        s.peer.send(far)
        await until(lambda: (r := s.peer.report(far.signal_id)) and r.status == "working")
        assert await micro.stop("test") is True
        assert orders.made[0].resting == {}
        await micro.close()

        again = await s.up(orders=orders)
        assert [venue.filled for venue in orders.made] == [1, 1]  # by what the first has saved
        assert again.adapters["binance-spot"] is orders.made[1]

    run(tmp_path, body)


def test_the_engine_is_informed_how_often_to_reconcile_and_whose_the_account_is() -> None:
    def told(**overrides: object) -> EngineConfig:
        return engine_config_of(
            load(overrides=overrides),
            "run",
            {"binance-spot": VenueAbilities(tells_trades=True, backend_timeout_ns=7)},
            {"binance-spot": "abc123"},
            paper_defaults(),
        )

    usual = told()
    plain = EngineConfig(run_id="run", instance="micro", venues={}, limits=paper_defaults())
    for name in ("compare_ns", "reconcile_retry_ns", "audit_ns"):
        assert getattr(usual, name) == getattr(plain, name)
    venue = usual.venues["binance-spot"]
    assert (venue.tells_trades, venue.backend_timeout_ns) == (True, 7)
    assert not venue.shared_account

    other = told(
        reconcile={"interval_s": 0, "retry_s": 0.5, "audit_s": 5},
        venues={"binance-spot": {"shared_account": True}},
    )
    assert (other.compare_ns, other.reconcile_retry_ns, other.audit_ns) == (
        0,
        500_000_000,
        5_000_000_000,
    )
    assert other.venues["binance-spot"].shared_account


def test_a_run_whose_order_ids_would_be_too_long_for_a_venue_is_refused() -> None:
    abilities = {"binance-spot": VenueAbilities(client_id_form="letters")}
    marks = {"binance-spot": "abc123"}
    engine_config_of(load(overrides={}), "run", abilities, marks, paper_defaults())
    with pytest.raises(BadInput, match="more than 32 letters"):
        engine_config_of(load(overrides={}), "r" * 14, abilities, marks, paper_defaults())
