"""``mode = "live"``: what has to be there before an order may leave, and what never is."""

from __future__ import annotations

import tomllib
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from key_kit import KEY_ID, KEY_SECRET, write_key
from live_kit import LIMITS, live_file

from citadel_bridge.cli import main
from citadel_micro.core.model.risk_limits import paper_defaults
from citadel_micro.shell.config.config import load
from citadel_micro.shell.config.live_checks import REQUIRED
from citadel_micro.shell.config.text import to_toml
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def refusal(path: Path | None, **options: Mapping[str, Any]) -> BadInput:
    with pytest.raises(BadInput) as caught:
        load(path, **options)
    shown = "".join(traceback.format_exception(caught.value))
    assert KEY_ID not in shown
    assert KEY_SECRET not in shown
    return caught.value


def test_a_whole_live_configuration_is_read(tmp_path: Path) -> None:
    config = load(live_file(tmp_path))
    assert (config.mode, config.live_account) == ("live", "354937868")
    venue = config.venues["binance-spot"]
    assert venue.network == "testnet"
    assert venue.key_file == tmp_path / "keys" / "binance.toml"


def test_paper_remains_the_default() -> None:
    assert load().mode == "paper"
    assert load().limits() == paper_defaults(lease_required=False)


def test_live_requires_a_connected_micro(tmp_path: Path) -> None:
    assert load(live_file(tmp_path)).limits().lease_required
    silent = LIMITS + "lease_required = false\n"
    assert not load(live_file(tmp_path, limits=silent)).limits().lease_required


def test_what_is_printed_reads_back_as_the_same(tmp_path: Path) -> None:
    config = load(live_file(tmp_path))
    again = tmp_path / "again.toml"
    again.write_text(to_toml(config))
    assert load(again) == config
    assert tomllib.loads(to_toml(config))["risk"]["lease_required"] is True


def test_live_is_entered_twice(tmp_path: Path) -> None:
    path = live_file(tmp_path)
    path.write_text(path.read_text().replace("live_account = '354937868'\n", ""))
    error = refusal(path)
    assert "a second time" in error.what
    assert load(path, overrides={"live_account": "354937868"}).mode == "live"


def test_an_account_that_is_a_number(tmp_path: Path) -> None:
    path = live_file(tmp_path)
    path.write_text(path.read_text().replace("'354937868'", "354937868"))
    assert load(path).live_account == "354937868"


@pytest.mark.parametrize("name", ["mode", "live_account"])
def test_a_variable_turns_nothing_live_file(tmp_path: Path, name: str) -> None:
    path = live_file(tmp_path)
    value = {"mode": "live", "live_account": "354937868"}[name]
    error = refusal(path, environment={f"CITADEL_{name.upper()}": value})
    assert "comes from a variable" in error.what
    # The command line has the last word, and a variable may always turn it off.
    given = load(path, environment={f"CITADEL_{name.upper()}": value}, overrides={name: value})
    assert given.mode == "live"
    assert load(path, environment={"CITADEL_MODE": "paper"}).mode == "paper"


@pytest.mark.parametrize("name", REQUIRED)
def test_each_limit_without_a_safe_figure_is_required(tmp_path: Path, name: str) -> None:
    fewer = "\n".join(line for line in LIMITS.splitlines() if not line.startswith(name))
    error = refusal(live_file(tmp_path, limits=fewer))
    assert error.what.endswith(f": {name}")


def test_every_limit_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    assert all(name in refusal(live_file(tmp_path, limits="")).what for name in REQUIRED)


def test_it_needs_a_key(tmp_path: Path) -> None:
    path = live_file(tmp_path)
    path.write_text(path.read_text().replace("key_file", "# key_file"))
    assert "needs a key" in refusal(path).what


@pytest.mark.parametrize(
    ("venue", "says"),
    [
        ("private_rest_url = 'http://api.example.com'", "private_rest_url"),
        ("private_rest_url = 'https://user:pass@api.example.com'", "private_rest_url"),
        ("private_rest_url = 'https://api.example.com/?apiKey=1'", "private_rest_url"),
        ("private_rest_url = 'http://127.0.0.1.example.com'", "private_rest_url"),
        ("private_rest_url = 'http://localhost@example.com'", "private_rest_url"),
        ("ws_api_url = 'ws://api.example.com'", "ws_api_url"),
        ("ws_api_url = 'https://api.example.com'", "ws_api_url"),
        ("rest_url = 'http://api.example.com'", "rest_url is not encrypted"),
        ("ws_url = 'ws://stream.example.com'", "ws_url is not encrypted"),
        ("network = 'real'", "network"),
    ],
)
def test_addresses_are_encrypted_or_of_this_machine(tmp_path: Path, venue: str, says: str) -> None:
    path = live_file(tmp_path, venue=venue)
    if venue.startswith("network"):
        path.write_text(path.read_text().replace("network = 'testnet'\n", ""))
    assert says in refusal(path).what


def test_loopback_needs_no_encryption(tmp_path: Path) -> None:
    venue = "private_rest_url = 'http://127.0.0.1:9/'\nws_api_url = 'ws://[::1]:9/ws-api/v3'"
    section = load(live_file(tmp_path, venue=venue)).venues["binance-spot"]
    assert section.private_rest_url == "http://127.0.0.1:9"


def test_a_key_in_the_run_folder_is_refused(tmp_path: Path) -> None:
    path = live_file(tmp_path)
    key = write_key(tmp_path / "run" / "keys")
    path.write_text(path.read_text().replace(str(tmp_path / "keys" / "binance.toml"), str(key)))
    assert "run folder" in refusal(path).what


def test_the_watchdog_has_a_key_of_its_own(tmp_path: Path) -> None:
    same = f"watchdog_key_file = '{tmp_path}/keys/../keys/binance.toml'"
    assert "the key that micro trades with" in refusal(live_file(tmp_path, venue=same)).what


def test_live_something_must_be_there_to_cancel_when_micro_falls_silent(tmp_path: Path) -> None:
    here = "private_rest_url = 'http://127.0.0.1:9/'\nws_api_url = 'ws://127.0.0.1:9'"
    path = live_file(tmp_path)
    assert load(path).limits().dms_venues == ("binance-spot",)
    path.write_text(path.read_text() + "dms_venues = []\n")
    assert load(path).limits().dms_venues == ()
    # A simulator on this machine is no venue where anything of worth rests; under a mainnet's name it
    # may be the way to one.
    path = live_file(tmp_path, venue=here)
    assert load(path).limits().dms_venues == ()
    path.write_text(path.read_text().replace("'testnet'", "'mainnet'"))
    assert load(path).limits().dms_venues == ("binance-spot",)


def test_a_mainnet_waits_for_the_disk(tmp_path: Path) -> None:
    path = live_file(tmp_path, limits=LIMITS + "[journal]\nfsync = false\n")
    assert load(path).journal.fsync is False  # a testnet's money is of no worth
    path.write_text(path.read_text().replace("'testnet'", "'mainnet'"))
    assert "fsync" in refusal(path).what


# --- keys that are not where keys belong ---


@pytest.mark.parametrize(
    "name",
    ["CITADEL_API_KEY", "CITADEL_SECRET", "CITADEL_VENUES__BINANCE_SPOT__API_SECRET"],
)
def test_no_key_in_a_variable(name: str) -> None:
    error = refusal(None, environment={name: KEY_SECRET})
    assert name in error.what
    assert "key_file" in str(error.allowed)


@pytest.mark.parametrize("name", ["apikey", "api_key", "secret", "private_key", "passphrase"])
def test_no_key_in_the_configuration(tmp_path: Path, name: str) -> None:
    path = tmp_path / "micro.toml"
    path.write_text(f"[venues.binance-spot]\n{name} = '{KEY_SECRET}'\n")
    error = refusal(path)
    assert f"venues.binance-spot.{name} looks like a secret" in error.what
    assert str(error.where).endswith("micro.toml:2")


def test_a_key_in_the_place_of_its_path_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "micro.toml"
    path.write_text(f"[venues.binance-spot]\nkey_file = '{KEY_SECRET}'\n")
    assert "venues.binance-spot.key_file" in refusal(path).what


def test_no_option_takes_a_key(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--api-key", KEY_SECRET], [f"--secret={KEY_SECRET}"], [KEY_SECRET]):
        assert main(["micro", *arguments]) == 2
        assert KEY_SECRET not in "".join(capfd.readouterr())


def test_bad_input_ends_with_2_and_says_how_to_mend_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = live_file(tmp_path, limits="")
    assert main(["micro", "--config", str(path)]) == 2
    shown = capfd.readouterr().err
    assert "max_daily_loss" in shown
    assert "fix:" in shown


def test_one_account_is_not_shared_by_several_micros(tmp_path: Path) -> None:
    path = live_file(tmp_path)
    error = refusal(path, overrides={"bridge": {"shard": "1/1"}})
    assert "one account traded by several micros" in error.what
    own = load(path, overrides={"bridge": {"shard": "own"}, "instance": "left"})
    assert own.bridge.shard == "own"
