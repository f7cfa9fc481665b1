"""Keys and signatures: the documentation's own examples, and everything that is not quite one."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from citadel_micro.sim.flow_symbols import E8
from citadel_micro.simulator.accounts import (
    DEFAULT_ACCOUNTS,
    load_accounts,
    named_keys,
    parse_account,
)
from citadel_micro.simulator.keys import ApiKey, KeyRing, Kind, Permission, public_pem
from citadel_micro.simulator.private.signed import (
    check_signature,
    find_key,
    read_times,
    session_payload,
    split_signature,
)
from citadel_micro.simulator.query import ApiError
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from pathlib import Path

# Key, secret and signatures of the examples in Binance's spot REST and websocket API documents.
KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
REST = "&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp="
EXAMPLES = [
    (
        f"symbol=LTCBTC{REST}1499827319559",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    ),
    (
        f"symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96{REST}1499827319559",
        "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
    ),
]
NOW_NS = 1_499_827_319_559_000_000


def ring(*keys: ApiKey) -> KeyRing:
    return KeyRing(keys or (ApiKey(key_id=KEY, account="a", secret=SECRET),))


def refused(error: pytest.ExceptionInfo[ApiError]) -> tuple[int, str, int]:
    return error.value.code, error.value.text, error.value.status


@pytest.mark.parametrize(("payload", "signature"), EXAMPLES)
def test_the_documents_examples_are_signed_right(payload: str, signature: str) -> None:
    keys = ring()
    key = find_key(keys, KEY, "127.0.0.1")
    for kept, given in (
        split_signature(f"{payload}&signature={signature}"),
        split_signature(f"signature={signature.upper()}&{payload}"),
    ):
        assert kept == payload
        check_signature(keys, key, kept, given)
    with pytest.raises(ApiError) as error:
        check_signature(keys, key, payload.replace("GTC", "IOC"), signature)
    assert refused(error) == (-1022, "Signature for this request is not valid.", 400)


def test_the_websocket_documents_example_is_signed_right() -> None:
    params = {
        "symbol": "BTCUSDT",
        "side": "SELL",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01000000",
        "price": "52000.00",
        "recvWindow": "100",
        "timestamp": "1645423376532",
        "apiKey": KEY,
        "signature": "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24",
    }
    keys = ring()
    check_signature(keys, find_key(keys, KEY, ""), session_payload(params), params["signature"])


def test_rsa_and_ed25519_signatures_are_base64_and_case_matters() -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
    by_rsa = ApiKey(key_id="rsa", account="a", kind=Kind.RSA, public=public_pem(pem))
    by_ed25519 = named_keys("a")[1]
    keys = ring(by_rsa, by_ed25519)
    payload = EXAMPLES[1][0]
    ed25519 = serialization.load_pem_private_key(by_ed25519.secret.encode(), None)
    signatures = {
        "rsa": private.sign(payload.encode(), padding.PKCS1v15(), hashes.SHA256()),
        by_ed25519.key_id: ed25519.sign(payload.encode()),  # type: ignore[union-attr, call-arg]
    }
    for key_id, raw in signatures.items():
        key = find_key(keys, key_id, "")
        text = base64.b64encode(raw).decode()
        check_signature(keys, key, payload, text)
        for wrong in (text.swapcase(), text[:-4], "not base64!", raw.hex()):
            with pytest.raises(ApiError) as error:
                check_signature(keys, key, payload, wrong)
            assert error.value.code == -1022
    with pytest.raises(ApiError) as error:
        check_signature(keys, by_rsa, payload, None)
    assert error.value.code == -1102


def test_a_key_is_known_by_its_form_its_ring_and_its_address() -> None:
    keys = ring(ApiKey(key_id=KEY, account="a", secret=SECRET, ips=("127.0.0.1",)))
    assert find_key(keys, KEY, "127.0.0.1").account == "a"
    rejected = (-2015, "Invalid API-key, IP, or permissions for action.", 401)
    for bad in (None, "", "with space", "x" * 129):
        with pytest.raises(ApiError) as error:
            find_key(keys, bad, "127.0.0.1")
        assert refused(error) == (-2014, "API-key format invalid.", 401)
    for key_id, address in (("unknown", "127.0.0.1"), (KEY, "127.0.0.2")):
        with pytest.raises(ApiError) as error:
            find_key(keys, key_id, address)
        assert refused(error) == rejected
    assert keys.revoke(KEY)
    assert not keys.revoke(KEY)
    with pytest.raises(ApiError) as error:
        find_key(keys, KEY, "127.0.0.1")
    assert refused(error) == rejected


def test_a_timestamp_may_lead_by_less_than_a_second_and_lag_by_its_window() -> None:
    now = NOW_NS // 1_000_000
    ahead = "Timestamp for this request was 1000ms ahead of the server's time."
    outside = "Timestamp for this request is outside of the recvWindow."
    good = [
        {"timestamp": str(now)},
        {"timestamp": str(now + 999)},
        {"timestamp": str(now - 5000)},
        {"timestamp": str(now - 60_000), "recvWindow": "60000"},
        {"timestamp": str(now * 1000 + 999_999)},  # microseconds
        {"timestamp": str(now * 1000 - 500), "recvWindow": "0.500"},
    ]
    for params in good:
        read_times(params).check(NOW_NS)
    bad = [
        ({"timestamp": str(now + 1000)}, ahead),
        ({"timestamp": str(now * 1000 + 1_000_000)}, ahead),
        ({"timestamp": str(now - 5001)}, outside),
        ({"timestamp": str(now * 1000 - 501), "recvWindow": "0.5"}, outside),
        ({"timestamp": "1"}, outside),
    ]
    for params, text in bad:
        with pytest.raises(ApiError) as error:
            read_times(params).check(NOW_NS)
        assert refused(error) == (-1021, text, 400)


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, -1102),
        ({"timestamp": ""}, -1102),
        ({"timestamp": "now"}, -1102),
        ({"timestamp": "-1"}, -1102),
        ({"timestamp": "1", "recvWindow": "60000.001"}, -1131),
        ({"timestamp": "1", "recvWindow": "600000"}, -1131),
        ({"timestamp": "1", "recvWindow": "5.0001"}, -1100),
        ({"timestamp": "1", "recvWindow": "-5"}, -1100),
        ({"timestamp": "1", "recvWindow": ""}, -1100),
    ],
)
def test_times_that_are_none(params: dict[str, str], code: int) -> None:
    with pytest.raises(ApiError) as error:
        read_times(params)
    assert error.value.code == code


# ---------------------------------------------------------------------- accounts


def test_the_default_account_has_the_same_keys_every_time() -> None:
    (demo,) = DEFAULT_ACCOUNTS
    assert demo.name == "demo"
    assert demo.all_keys == named_keys("demo")
    assert demo.balances["USDT"] == 1_000_000 * E8
    assert [key.kind for key in demo.all_keys] == [Kind.HMAC, Kind.ED25519]
    assert named_keys("other")[0].key_id != demo.all_keys[0].key_id


def test_accounts_on_the_command_line() -> None:
    account = parse_account("maker=USDT:1000,btc:0.00000001")
    assert account.name == "maker"
    assert account.balances == {"USDT": 1000 * E8, "BTC": 1}
    for bad in ("", "=USDT:1", "a=", "a=USDT", "a=USDT:x", "a=USDT:-1", "a=USDT:0.000000001"):
        with pytest.raises(BadInput, match="--account"):
            parse_account(bad)


def test_accounts_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    private = named_keys("x")[1].secret
    path.write_text(
        f"""
[[account]]
name = "maker"
balances = {{USDT = "5", BTC = 1}}
maker = "0.0002"
taker = 0.0004
fee_asset = "bnb"
[[account.keys]]
id = "watch"
secret = "s"
permissions = []
ips = ["127.0.0.1"]
[[account.keys]]
id = "trade"
kind = "ed25519"
secret = '''{private}'''
permissions = ["trade", "withdraw"]
[[account]]
name = "taker"
"""
    )
    maker, taker = load_accounts(path)
    assert maker.balances == {"USDT": 5 * E8, "BTC": E8}
    assert (maker.fees.maker_e8, maker.fees.taker_e8, maker.fees.asset) == (20_000, 40_000, "bnb")
    watch, trade = maker.all_keys
    assert not watch.may(Permission.TRADE)
    assert watch.ips == ("127.0.0.1",)
    assert trade.may(Permission.TRADE)
    assert trade.may(Permission.WITHDRAW)
    KeyRing(maker.all_keys)
    assert taker.all_keys == named_keys("taker")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "has no accounts"),
        ("account = 1", "has no accounts"),
        ("x = 1", "has no accounts"),
        ("not toml", "is not TOML"),
        ("[[account]]", "no name"),
        ('[[account]]\nname = "a"\nplan = 1', "does not know plan"),
        ('[[account]]\nname = "a"\nbalances = 5', "balances are no table"),
        ('[[account]]\nname = "a"\nbalances = {USDT = "-1"}', "balance of USDT is -1"),
        ('[[account]]\nname = "a"\nmaker = "nan"', "maker is nan"),
        ('[[account]]\nname = "a"\nfee_asset = "gold"', "fee_asset is 'gold'"),
        ('[[account]]\nname = "a"\n[[account.keys]]', "a key has no id"),
        ('[[account]]\nname = "a"\n[[account.keys]]\nid = "k"', "an HMAC key has no secret"),
        (
            '[[account]]\nname = "a"\n[[account.keys]]\nid = "k"\nkind = "pgp"',
            "kind is 'pgp'",
        ),
        (
            '[[account]]\nname = "a"\n[[account.keys]]\nid = "k"\nkind = "rsa"',
            "neither public nor secret",
        ),
        (
            '[[account]]\nname = "a"\n[[account.keys]]\nid = "k"\nkind = "rsa"\nsecret = "x"',
            "private key cannot be read",
        ),
        (
            '[[account]]\nname = "a"\n[[account.keys]]\nid = "k"\nsecret = "s"\npermissions = ["x"]',
            "permissions are",
        ),
        (
            '[[account]]\nname = "a"\n[[account.keys]]\nid = "k"\nsecret = "s"\nips = "all"',
            "ips are 'all'",
        ),
    ],
)
def test_bad_account_files_are_named(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "accounts.toml"
    path.write_text(text)
    with pytest.raises(BadInput, match=what):
        load_accounts(path)


def test_keys_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        load_accounts(tmp_path / "absent.toml")
    keys = ring()
    with pytest.raises(BadInput, match="two keys"):
        keys.add(ApiKey(key_id=KEY, account="b", secret="x"))
    ed25519 = named_keys("a")[1].public
    for kind, public, what in (
        (Kind.RSA, ed25519, "not rsa"),
        (Kind.ED25519, "nonsense", "cannot be read"),
    ):
        with pytest.raises(BadInput, match=what):
            keys.add(ApiKey(key_id="other", account="b", kind=kind, public=public))
