"""A configuration of micro for an existing configuration of Freqtrade, and what to change in the latter."""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import ccxt

from citadel_macro import freqtrade_files
from citadel_macro.key_guard import credentials_in
from citadel_macro.venues import FREQTRADE_NAMES, venue_of
from citadel_proto.errors import BadInput

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SPARE: Final = Decimal("1.25")
"""Limits leave a quarter above what Freqtrade can ask for: prices move between its loops."""
DAY_LOSS: Final = Decimal("0.03")
DRAWDOWN: Final = Decimal("0.08")
"""Of the capital: a proposal, to be thought about."""
UNLIMITED: Final = "unlimited"
PLENTY: Final = 10**12
"""Of every currency of a shadow, and its limits: a coin of a millionth of a cent included."""
_MONEY_LIMITS: Final = (
    *("max_order_notional", "max_position_notional", "max_gross_exposure", "max_net_exposure"),
    *("max_daily_loss", "max_rolling_loss", "max_drawdown"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What ``citadel init`` writes and says."""

    toml: str
    advice: tuple[str, ...]


def propose(
    paths: Sequence[Path], capital: Decimal | None = None, *, shadow: bool = False
) -> Proposal:
    """Read Freqtrade's configuration files and propose micro's.

    Args:
        paths: as given to ``freqtrade --config``, later ones over earlier ones.
        capital: what the account may use, in the stake currency; None: from the configuration.
        shadow: for a micro that only shadows Freqtrade: its limits are not about money.

    Raises:
        BadInput: a file cannot be read, or lacks what micro has to know.
    """
    config = freqtrade_files.read([str(path) for path in paths])
    where = ", ".join(str(path) for path in paths)
    exchange = config.get("exchange", {})
    if not isinstance(exchange, dict) or not exchange.get("name"):
        raise BadInput("exchange.name is missing", where=where, mend="name the exchange")
    _require_known(str(exchange["name"]), where)
    pairs = [str(pair) for pair in _listed_in(exchange, "pair_whitelist", where)]
    plain = [pair for pair in pairs if "/" in pair and not any(c in pair for c in "*.^$()[]")]
    if not plain:
        raise BadInput(
            "exchange.pair_whitelist names no pair",
            where=where,
            mend="list the pairs that are traded: micro follows their books from its start on",
        )
    currency = str(config.get("stake_currency", "USDT"))
    if shadow:
        toml = _shadow(Path(paths[0]).name, venue_of(config), plain, currency)
        return Proposal(toml=toml, advice=tuple(_about_pairs(config, pairs, plain)))
    stake, many, money = _sizes(config, capital, where)
    leverage = _leverage(config)
    order = _round(stake * leverage * SPARE)
    position = _round(stake * leverage * SPARE * _adds(config))
    gross = _round(money * leverage * SPARE)
    symbols = _listed(plain)
    toml = f"""# Proposed by `citadel init` from {Path(paths[0]).name}. Every setting: docs/reference/configuration.md
mode = "paper"   # live money: docs/howto/go-live.md
run_dir = "runs/micro"

[venues.{venue_of(config)}]
symbols = [{symbols}]

[paper]
# What the account on paper begins with: Freqtrade takes this for its wallet.
balances = {{ "{currency}" = "{_text(_opening(config, stake * many, money))}" }}

[risk]
# Freqtrade stakes up to {_text(stake)} {currency} a trade, {many} at once, of {_text(money)} {currency}.
reporting_currency = "{currency}"
max_order_notional = "{order}"
max_position_notional = "{position}"
max_gross_exposure = "{gross}"
max_net_exposure = "{gross}"
max_venue_exposure = {{ "*" = "{gross}" }}
# What you can stand to lose is yours to say; these are {DAY_LOSS:.0%} and {DRAWDOWN:.0%} of the capital.
max_daily_loss = "{_round(money * DAY_LOSS)}"
max_rolling_loss = "{_round(money * DAY_LOSS)}"
max_drawdown = "{_round(money * DRAWDOWN)}"
# What only a strategy or a market gone mad reaches. Exits pass always: row 16 of docs/reference/risk-checks.md.
max_messages_per_second = 20
max_identical_orders = 5
max_venue_rejects = 20
max_unfilled_messages = 2000
max_repeated_entries = 30
flash_move_bps = 1000
"""
    return Proposal(toml=toml, advice=tuple(_advice(config, pairs, plain)))


def _shadow(source: str, venue: str, pairs: list[str], currency: str) -> str:
    """Configuration of a shadow: each order stands for itself, so that nothing may add up to a refusal.

    What micro fills and what Freqtrade fills drift apart, order by order; a sell can exceed what micro has
    bought. So the paper account holds more of everything than any order needs, and the limits that
    count money are out of reach. Those that look at the market (book, collar, spread, depth) stay as they
    are: an order that they refuse would be refused with real money too, and is counted apart.
    """
    names = dict.fromkeys([currency, *(each for pair in pairs for each in _currencies(pair))])
    balances = ", ".join(f'"{name}" = "{PLENTY}"' for name in names)
    limits = "\n".join(f'{name} = "{PLENTY}"' for name in _MONEY_LIMITS)
    return f"""# Proposed by `citadel init --shadow` from {source}. Every setting: docs/reference/configuration.md
# It works on paper what Freqtrade trades by itself; its account and its profit mean nothing.
mode = "paper"   # it refuses to shadow in any other
run_dir = "runs/shadow"

[venues.{venue}]
symbols = [{_listed(pairs)}]

[paper]
# More than any order needs, of all that is traded: a sell may exceed what micro itself has bought.
balances = {{ {balances} }}

[risk]
# Out of reach. What looks at the market (collar, spread, depth, age of the book) stays at its defaults.
reporting_currency = "{currency}"
{limits}
max_venue_exposure = {{ "*" = "{PLENTY}" }}
max_order_quantity = {{ "*" = "{PLENTY}" }}
max_position_quantity = {{ "*" = "{PLENTY}" }}
max_open_orders = 1000
"""


def _currencies(pair: str) -> tuple[str, str]:
    base, _, rest = pair.partition("/")
    return base, rest.partition(":")[0]


def _listed(pairs: list[str]) -> str:
    return ", ".join(f'"{pair}"' for pair in pairs)


def _sizes(
    config: Mapping[str, Any], capital: Decimal | None, where: str
) -> tuple[Decimal, int, Decimal]:
    """Stake of a trade, trades at once, and the capital, all in the stake currency."""
    asked = config.get("max_open_trades", 1)
    if not isinstance(asked, int | float):
        raise BadInput(
            f"max_open_trades is {asked!r}", where=where, allowed="a number; -1: no limit"
        )
    many = -1 if math.isinf(asked) else int(asked)
    if many < 1:  # -1: as many as there are pairs
        many = max(1, len(config.get("exchange", {}).get("pair_whitelist", ())))
    stake = config.get("stake_amount")
    wallet = capital
    if wallet is None:
        for name in ("available_capital", "dry_run_wallet"):
            value = config.get(name)
            if isinstance(value, dict):
                value = value.get(config.get("stake_currency"))
            if isinstance(value, int | float) and value > 0:
                wallet = Decimal(str(value))
                break
    if isinstance(stake, int | float):
        each = Decimal(str(stake))
        return each, many, wallet if wallet is not None else each * many
    if stake != UNLIMITED:
        raise BadInput(
            f"stake_amount is {stake!r}", where=where, allowed=f"a number, or {UNLIMITED!r}"
        )
    if wallet is None:
        raise BadInput(
            "stake_amount is 'unlimited' and no capital is known",
            where=where,
            mend="say it with --capital, or set available_capital in Freqtrade's configuration",
        )
    ratio = Decimal(str(config.get("tradable_balance_ratio", 0.99)))
    return wallet * ratio / many, many, wallet


def _require_known(name: str, where: str) -> None:
    known = [*ccxt.exchanges, *FREQTRADE_NAMES]
    if name.lower() not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        raise BadInput(
            f"exchange.name is {name!r}, which Freqtrade does not know",
            where=where,
            mend=f"did you mean {near[0]}?" if near else "see `freqtrade list-exchanges`",
        )


def _listed_in(section: Mapping[str, Any], name: str, where: str) -> list[Any]:
    found = section.get(name, [])
    if not isinstance(found, list):
        raise BadInput(f"exchange.{name} is {found!r}", where=where, allowed='a list: ["BTC/USDT"]')
    return found


def _opening(config: Mapping[str, Any], staked: Decimal, money: Decimal) -> Decimal:
    """What a paper account needs: an unlimited stake is shared out of it, fixed ones need fees beside them."""
    if isinstance(config.get("stake_amount"), int | float):
        return max(money, Decimal(_round(staked * SPARE)))
    return money


def _leverage(config: Mapping[str, Any]) -> Decimal:
    """A strategy may choose any; a configuration that trades futures is given room for five."""
    return Decimal(5) if str(config.get("trading_mode", "spot")) == "futures" else Decimal(1)


def _adds(config: Mapping[str, Any]) -> int:
    """How often a position may be as large as its first order."""
    return 4 if config.get("position_adjustment_enable") else 1


def _advice(config: Mapping[str, Any], pairs: list[str], plain: list[str]) -> list[str]:
    said = []
    if config.get("dry_run", True):
        said.append('set "dry_run": false: its orders then go to micro, which trades on paper')
    keys = credentials_in(config.get("exchange", {}))
    if keys:
        said.append(
            f"remove {', '.join(keys)}: macro refuses to start with keys; only micro holds them"
        )
    said += _about_pairs(config, pairs, plain)
    stop = config.get("order_types", {}).get("stoploss_on_exchange")
    if not stop:
        said.append(
            'set "stoploss_on_exchange": true in order_types: micro then holds the stop, and triggers it in '
            "milliseconds, also while Freqtrade is busy or down"
        )
    return said


def _about_pairs(config: Mapping[str, Any], pairs: list[str], plain: list[str]) -> list[str]:
    said = []
    if len(plain) < len(pairs):
        left = ", ".join(sorted(set(pairs) - set(plain)))
        said.append(f"{left} in pair_whitelist are patterns: list the pairs that are meant")
    methods = [str(each.get("method")) for each in config.get("pairlists", ())]
    if any(method != "StaticPairList" for method in methods[:1]):
        said.append(
            f"its pairs come from {methods[0]}: name in micro's on_demand all that it may choose, as "
            '["*/USDT"] (live at binance-spot and kraken-spot; elsewhere list them in symbols): others are rejected'
        )
    return said


def _round(value: Decimal) -> str:
    """Up to two digits that a person would write: 1,234 becomes 1300."""
    if value <= 0:
        return "0"
    return f"{value.quantize(Decimal(1).scaleb(value.adjusted() - 1), ROUND_CEILING):f}"


def _text(value: Decimal) -> str:
    return f"{value.quantize(Decimal('0.01')).normalize():f}"
