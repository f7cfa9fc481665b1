"""Wallets of simulated accounts: the master, which owns the account, and its agent, which only trades.

Both are derived from the account's name, and worth nothing: whoever knows the name has the keys.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from citadel_micro.shell.venue.secp256k1 import Secp256k1Key
from citadel_micro.simulator.keys import ApiKey, Kind, Permission

if TYPE_CHECKING:
    from collections.abc import Iterable

    from citadel_micro.simulator.keys import KeyRing

_AGENT = frozenset({Permission.TRADE, Permission.FUTURES})
_MASTER = _AGENT | {Permission.WITHDRAW, Permission.TRANSFER}


@dataclass(frozen=True, slots=True)
class Wallet:
    """An account's keys; the id of each is its address."""

    master: ApiKey
    agent: ApiKey
    watchdog: ApiKey
    """A second agent."""

    @property
    def address(self) -> str:
        """Return the account's address."""
        return self.master.key_id


def wallet_of(name: str) -> Wallet:
    """Return the wallet of an account."""

    def key(what: str, permissions: frozenset[Permission]) -> ApiKey:
        secret = hashlib.sha256(f"citadel sim {name} secp256k1 {what}".encode()).hexdigest()
        return ApiKey(
            key_id=Secp256k1Key(secret).address,
            account=name,
            kind=Kind.SECP256K1,
            secret=secret,
            permissions=permissions,
        )

    return Wallet(key("master", _MASTER), key("agent", _AGENT), key("watchdog", _AGENT))


class Wallets:
    """The wallets of all accounts. Their keys are on the ring: one that is revoked is unknown."""

    def __init__(self, names: Iterable[str], ring: KeyRing) -> None:
        """Make a wallet for every account."""
        self._ring = ring
        self.by_account = {name: wallet_of(name) for name in names}
        self._by_address = {each.address: name for name, each in self.by_account.items()}
        for wallet in self.by_account.values():
            for each in (wallet.master, wallet.agent, wallet.watchdog):
                ring.add(each)

    def account(self, address: object) -> str | None:
        """Return the account that an address owns."""
        return self._by_address.get(str(address).lower())

    def agent(self, address: str) -> ApiKey | None:
        """Return the key of an address, unless it is unknown or revoked."""
        return self._ring.get(address)

    def agents(self, account: str) -> list[ApiKey]:
        """Return an account's agents that are not revoked."""
        wallet = self.by_account[account]
        known = (self._ring.get(each.key_id) for each in (wallet.agent, wallet.watchdog))
        return [each for each in known if each is not None]
