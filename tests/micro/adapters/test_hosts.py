"""Orders and books come from one network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from live_kit import live_file

from citadel_micro.adapters.binance.hosts import HOSTS
from citadel_micro.shell.config.config import load
from citadel_micro.shell.marketdata.spec import venue_spec
from citadel_micro.shell.networks import with_hosts
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def hosts(overrides: Mapping[str, Any]) -> tuple[str | None, ...]:
    section = with_hosts(load(venue_overrides=overrides)).venues["binance-spot"]
    return (
        section.rest_url,
        section.ws_url,
        section.private_rest_url,
        section.ws_api_url,
    )


def test_paper_on_the_mainnet_is_as_it_was() -> None:
    config = load()
    assert with_hosts(config) is config


@pytest.mark.parametrize("network", ["testnet", "demo"])
def test_paper_follows_the_network_as_well(network: str) -> None:
    rest, stream, private, ws_api = hosts({"network": network})
    its = HOSTS["binance-spot"][network]  # type: ignore[index]  # one of them
    assert (rest, stream) == (its.rest_url, its.ws_url)
    assert (private, ws_api) == (None, None)  # no key, no need


def test_live_goes_to_the_network_that_is_configured(tmp_path: Path) -> None:
    section = with_hosts(load(live_file(tmp_path))).venues["binance-spot"]
    its = HOSTS["binance-spot"]["testnet"]
    assert section.private_rest_url == its.private_rest_url
    assert section.ws_api_url == its.ws_api_url
    assert section.rest_url == its.rest_url


def test_live_on_the_mainnet_leaves_public_data_to_the_spec(tmp_path: Path) -> None:
    config = load(live_file(tmp_path), venue_overrides={"network": "mainnet"})
    section = with_hosts(config).venues["binance-spot"]
    assert (section.rest_url, section.ws_url) == (None, None)
    assert section.private_rest_url == HOSTS["binance-spot"]["mainnet"].private_rest_url
    its, spec = HOSTS["binance-spot"]["mainnet"], venue_spec("binance-spot")
    assert (its.rest_url, its.ws_url) == (spec.rest_url, spec.websocket_url)


def test_a_simulator_gives_every_address(tmp_path: Path) -> None:
    given = {
        "rest_url": "http://127.0.0.1:1",
        "ws_url": "ws://127.0.0.1:1/stream",
        "private_rest_url": "http://127.0.0.1:1",
        "ws_api_url": "ws://127.0.0.1:1/ws-api/v3",
    }
    config = load(live_file(tmp_path), venue_overrides=given)
    assert with_hosts(config) is config


@pytest.mark.parametrize("absent", ["rest_url", "ws_api_url"])
def test_half_a_network_is_refused(tmp_path: Path, absent: str) -> None:
    given = {
        "rest_url": "http://127.0.0.1:1",
        "ws_url": "ws://127.0.0.1:1/stream",
        "private_rest_url": "http://127.0.0.1:1",
        "ws_api_url": "ws://127.0.0.1:1/ws-api/v3",
    }
    del given[absent]
    config = load(live_file(tmp_path), venue_overrides=given)
    with pytest.raises(BadInput, match=absent):
        with_hosts(config)


def test_a_simulators_prices_make_no_orders_for_an_exchange(tmp_path: Path) -> None:
    left_over = {"network": "mainnet", "ws_url": "ws://127.0.0.1:1/stream"}
    config = load(live_file(tmp_path), venue_overrides=left_over)
    with pytest.raises(BadInput, match="ws_url of binance-spot is on this machine"):
        with_hosts(config)


def test_an_unknown_network_names_the_addresses_to_give(tmp_path: Path) -> None:
    path = tmp_path / "micro.toml"
    path.write_text("[venues.okx]\nsymbols = ['BTC/USDT']\nnetwork = 'testnet'\n")
    with pytest.raises(BadInput, match="no testnet of okx is known"):
        with_hosts(load(path))


def test_every_host_is_encrypted() -> None:
    for by_network in HOSTS.values():
        for its in by_network.values():
            assert its.rest_url.startswith("https://")
            assert its.private_rest_url.startswith("https://")
            assert its.ws_url.startswith("wss://")
            assert its.ws_api_url.startswith("wss://")


def test_a_testnet_shares_no_host_with_the_mainnet() -> None:
    for by_network in HOSTS.values():
        seen = [set(map(str, vars_of(its))) for its in by_network.values()]
        assert len(set.union(*seen)) == sum(map(len, seen))


def vars_of(its: object) -> list[str]:
    every = (getattr(its, name) for name in its.__slots__)  # type: ignore[attr-defined]
    return [each for each in every if each]
