"""What micro is told in a demo: ports of its own, wide limits, and on which exchange it trades."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from citadel_micro.demo.market import LEVERAGE
from citadel_micro.demo.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from citadel_micro.demo.market import DemoMarket

NETWORK: Final = "testnet"
"""Of the key that a run makes: where nothing has worth, no first run is capped."""
OPENING: Final = 20_000_000
"""USDT that a run begins with, and nothing else."""

_MICRO: Final = """\
# Made by `citadel demo`; `citadel micro --config` takes it as it is.
{mode}
instance = "demo"
run_dir = "{run_dir}"

[bridge]
macros = ["tcp://127.0.0.1:{ports.signals}"]
command_lines = ["tcp://127.0.0.1:{ports.command_line}"]
market = "tcp://127.0.0.1:{ports.market}"
macro_required = true

[venues.{venue}]
symbols = {symbols}
{addresses}
{orders}

[http]
port = {ports.http}

[risk]
max_order_quantity = {{ "{rejected}" = 1, "*" = 1000000000 }}
max_position_quantity = {{ "*" = 1000000000 }}
max_open_orders = 100
# The story needs an order of many times what the book shows, and its fees.
depth_participation_bps = 50000000
max_order_notional = 10000000
max_position_notional = 10000000
max_gross_exposure = 20000000
max_net_exposure = 20000000
max_venue_exposure = {{ "*" = 20000000 }}
max_daily_loss = 500000
max_rolling_loss = 500000
max_drawdown = 500000
lease_required = true
"""
_PAPER: Final = """\

[paper]
seed = {seed}
balances = {{ USDT = {opening} }}"""
_LIVE: Final = """\
network = "{network}"
key_file = "{key_file}"
{addresses}"""
_SPOT: Final = """\
rest_url = "{rest}"
ws_url = "{ws}\""""
_SPOT_PRIVATE: Final = """\
private_rest_url = "{rest}"
ws_api_url = "{ws}/ws-api/v3\""""
_FUTURES: Final = """\
rest_url = "{rest}"
ws_url = "{ws}/public/stream"
leverage = {leverage}
margin_mode = "isolated\""""
_FUTURES_PRIVATE: Final = """\
private_rest_url = "{rest}"
private_ws_url = "{ws}"
ws_api_url = "{ws_api}\""""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Loopback ports of one run, all free when it starts."""

    signals: int = field(default_factory=free_port)
    command_line: int = field(default_factory=free_port)
    market: int = field(default_factory=free_port)
    http: int = field(default_factory=free_port)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAccount:
    """Whose orders these are, by the exchange's id of the account and the file of its key."""

    account: str
    key_file: Path


def micro_settings(
    addresses: Mapping[str, str],
    ports: Ports,
    *,
    run_dir: Path,
    market: DemoMarket,
    seed: int,
    live: LiveAccount | None,
) -> str:
    """The configuration file of micro.

    Args:
        addresses: of the market, as the simulator's ready line has them.
        ports: of the run.
        run_dir: of micro.
        market: what is traded.
        seed: of the paper venue.
        live: the account that is traded on; None: on paper.
    """
    public = _FUTURES if market.futures else _SPOT
    private = _FUTURES_PRIVATE if market.futures else _SPOT_PRIVATE
    if live is None:
        mode = 'mode = "paper"'
        orders = _PAPER.format(seed=seed, opening=OPENING)
    else:
        mode = f'mode = "live"\nlive_account = "{live.account}"'
        orders = _LIVE.format(
            network=NETWORK, key_file=live.key_file, addresses=private.format(**addresses)
        )
    return _MICRO.format(
        mode=mode,
        run_dir=run_dir,
        ports=ports,
        venue=market.venue,
        symbols=json.dumps(list(market.pairs)),
        addresses=public.format(leverage=LEVERAGE, **addresses),
        orders=orders,
        rejected=market.rejected,
    )
