from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.config.config import MicroConfig, load
from citadel_micro.shell.config.reference import page
from citadel_micro.shell.config.text import to_toml
from citadel_proto.errors import BadInput


def write(folder: Path, text: str) -> Path:
    path = folder / "micro.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_need_no_file() -> None:
    config = load()
    assert config.mode == "paper"
    assert config.venues["binance-spot"].symbols == ["BTC/USDT", "ETH/USDT"]
    assert config.limits().max_order_notional == paper_defaults().max_order_notional


def test_command_line_over_environment_over_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[http]\nport = 1\n[paper]\nseed = 1\n[log]\nlevel = 'error'\n")
    environment = {"CITADEL_HTTP__PORT": "2", "CITADEL_PAPER__SEED": "2"}
    config = load(path, environment=environment, overrides={"http": {"port": 3}})
    assert (config.http.port, config.paper.seed, config.log.level) == (3, 2, "error")


def test_shell_friendly_names_and_lists() -> None:
    config = load(
        environment={
            "CITADEL_VENUES__BINANCE_SPOT__SYMBOLS": "SOL/USDT, ETH/USDT",
            "CITADEL_PAPER__BALANCES__USDT": "12.50",
            "CITADEL_BRIDGE__MACROS": '["tcp://127.0.0.1:1"]',
            "CITADEL_RUN_DIR": "elsewhere",
            "CITADEL_SHARED": "of another program",
            "HOME": "x",
        }
    )
    assert config.venues["binance-spot"].symbols == ["SOL/USDT", "ETH/USDT"]
    assert config.paper.balances == {"USDT": Decimal("12.50")}
    assert config.bridge.macros == ["tcp://127.0.0.1:1"]
    assert config.run_dir == Path("elsewhere")


def test_environment_joins_the_venue_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "[venues.binance-spot]\nsymbols = ['A/B']\n")
    environment = {"CITADEL_VENUES__BINANCE_SPOT__WS_URL": "ws://127.0.0.1:9"}
    venue = load(path, environment=environment).venues["binance-spot"]
    assert (venue.symbols, venue.ws_url) == (["A/B"], "ws://127.0.0.1:9")


def test_options_for_the_venue_reach_the_one_that_is_configured(tmp_path: Path) -> None:
    path = write(tmp_path, "[venues.binance-usdm]\nsymbols = ['A/B:B']\n")
    config = load(path, venue_overrides={"rest_url": "http://127.0.0.1:9/"})
    assert config.venues["binance-usdm"].rest_url == "http://127.0.0.1:9"
    assert load(venue_overrides={"symbols": "X/Y"}).venues["binance-spot"].symbols == ["X/Y"]


@pytest.mark.parametrize(
    ("text", "where", "suggestion"),
    [
        ("rundir = 'x'\n", ":1", "run_dir"),
        ("[http]\nhost = '127.0.0.1'\nprot = 1\n", ":3", "http.port"),
        ("[venues.binance-spot]\nsymbol = ['A/B']\n", ":2", "venues.binance-spot.symbols"),
        ("[risk]\nmax_order_notionl = 1\n", ":2", "risk.max_order_notional"),
        ("[papr]\nseed = 1\n", ":1", "paper"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest(
    tmp_path: Path, text: str, where: str, suggestion: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadInput) as caught:
        load(path)
    assert caught.value.where == f"{path}{where}"
    assert caught.value.mend == f"did you mean {suggestion}?"


def test_an_unknown_variable_is_refused_too() -> None:
    with pytest.raises(BadInput, match=r"did you mean http\?") as caught:
        load(environment={"CITADEL_HTPP__PORT": "1"})
    assert caught.value.where == "environment variable CITADEL_HTPP__PORT"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[http]\nport = 70000\n", "http.port is 70000"),
        ("[http]\nport = 'x'\n", "http.port is 'x'"),
        ("mode = 'real'\n", "mode is 'real'"),
        ("instance = 'No Spaces'\n", "instance is 'No Spaces'"),
        ("[paper]\nfaults = 'gremlins'\n", "paper.faults is 'gremlins'"),
        ("[paper.balances]\nUSDT = -1\n", "paper.balances"),
        ("[paper.balances]\nUSDT = 'NaN'\n", "paper.balances"),
        ("[venues.binance-spot]\nsymbols = []\n", "venues.binance-spot.symbols"),
        ("[venues.binance-spot]\nws_url = 'http://x'\n", "venues.binance-spot.ws_url"),
        ("[bridge]\nmarket = '127.0.0.1:5'\n", "bridge.market is '127.0.0.1:5'"),
        ("[risk]\nlease_soft_ms = 9000\nlease_hard_ms = 1\n", "lease_hard_ns"),
        ("[risk]\nmax_order_notional = -5\n", "max_order_notional is -5"),
        ("[algorithms.chase_limit]\nmax_chase_bps = -1\n", "max_chase_bps is -1"),
        ("[algorithms.chase_limit]\nmax_chase_bsp = 1\n", "no parameter 'max_chase_bsp'"),
        ("[algorithms.chase]\nmax_chase_bps = 1\n", "no algorithm 'chase'"),
    ],
)
def test_a_bad_value_says_what_where_and_what_is_allowed(
    tmp_path: Path, text: str, what: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(BadInput) as caught:
        load(path)
    assert what in caught.value.what
    assert caught.value.where is not None
    assert caught.value.where.startswith(str(path))
    assert caught.value.allowed


def test_parameters_of_algorithms_come_from_variables_too() -> None:
    environment = {
        "CITADEL_ALGORITHMS__CHASE_LIMIT__MAX_CHASE_BPS": "12.5",
        "CITADEL_ALGORITHMS__CHASE_LIMIT__IMPROVE_TICKS": "2",
        "CITADEL_ALGORITHMS__CHASE_LIMIT__ON_CAP": "cancel",
        "CITADEL_ALGORITHMS__CHASE_LIMIT__POST_ONLY": "true",
    }
    found = load(environment=environment).algorithms["chase_limit"]
    assert found == {
        "max_chase_bps": 12.5,
        "improve_ticks": 2,
        "on_cap": "cancel",
        "post_only": True,
    }


def test_every_setting_is_in_the_reference_with_its_meaning() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    for row in rows:
        assert row.rstrip("| ").count("|") == 4, f"no meaning: {row}"


def test_everything_that_is_wrong_is_reported_at_once(tmp_path: Path) -> None:
    path = write(tmp_path, "[http]\nport = -1\nprot = 1\n[log]\nlevel = 'loud'\n")
    with pytest.raises(BadInput) as caught:
        load(path)
    assert "3 settings" in str(caught.value)
    for word in ("http.port", "http.prot", "log.level"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"a = \n", "not valid TOML"), (b"\xff\xfe", "not UTF-8"), (None, "cannot be read")],
)
def test_a_file_that_is_none(tmp_path: Path, content: bytes | None, what: str) -> None:
    path = tmp_path / "x.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInput, match=what):
        load(path)


def test_a_lane_is_off_unless_a_path_of_the_whole_machine_is_named(tmp_path: Path) -> None:
    assert load().bridge.lane is None
    path = write(tmp_path, "[bridge]\nlane = 'run/lane'\n")
    with pytest.raises(BadInput, match="an absolute path") as refused:
        load(path)
    assert "lane" in (refused.value.where or "")
    found = load(environment={"CITADEL_BRIDGE__LANE": "/run/citadel/lane"})
    assert found.bridge.lane == Path("/run/citadel/lane")


def test_plaintext_off_the_machine_is_refused(tmp_path: Path) -> None:
    for changes in ({"market": "tcp://0.0.0.0:5556"}, {"macros": ["tcp://10.0.0.1:5555"]}):
        with pytest.raises(BadInput, match="citadel keys make"):
            load(overrides={"bridge": changes})
        keys: dict[str, Any] = {**changes, "keys": str(tmp_path)}
        assert load(overrides={"bridge": keys}).bridge.keys == tmp_path


def test_http_off_the_machine_needs_permission() -> None:
    with pytest.raises(BadInput, match="allow_remote"):
        load(overrides={"http": {"host": "0.0.0.0"}})  # noqa: S104 - the point of the test
    load(overrides={"http": {"host": "0.0.0.0", "allow_remote": True}})  # noqa: S104


def test_risk_durations_are_in_milliseconds() -> None:
    limits = load(overrides={"risk": {"stale_ms": 250}}).limits()
    assert limits.stale_ns == 250_000_000


def test_what_is_printed_reads_back_equal(tmp_path: Path) -> None:
    config = load(
        overrides={
            "algorithms": {"chase_limit": {"max_chase_bps": 12.5, "post_only": True}},
            "paper": {"balances": {"USDT": "0.1", "BTC": "3"}},
            "risk": {"max_order_quantity": {"BTC/USDT": "2"}},
        }
    )
    text = to_toml(config)
    assert tomllib.loads(text)["run_dir"] == "runs/micro"
    assert load(write(tmp_path, text)) == config


def test_a_configuration_does_not_change() -> None:
    config = load()
    with pytest.raises(ValueError, match="frozen"):
        config.mode = "paper"  # type: ignore[misc]
    assert isinstance(config, MicroConfig)
