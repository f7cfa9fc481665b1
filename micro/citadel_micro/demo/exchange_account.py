"""The account that a live demo trades on: opened for the run at the simulated exchange, with its key.

The key is made here, the exchange is given its public half, and micro the file with the private one,
as at a real exchange. It opens nothing but this run's simulator, and is removed with it.
"""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from citadel_micro.demo.settings import NETWORK, OPENING, LiveAccount
from citadel_micro.shell.keys.make_key import make_key_file
from citadel_micro.simulator.binance_spot.records import account_uid

if TYPE_CHECKING:
    from citadel_micro.demo.market import DemoMarket

NAME: Final = "demo"
"""Of the account, at the operator's door of the exchange."""
_ACCOUNTS: Final = """\
[[account]]
name = {name}
balances = {{ USDT = "{opening}" }}

[[account.keys]]
id = {key_id}
kind = "ed25519"
permissions = ["{permission}"]
public = '''
{public}'''
"""


class ExchangeAccount:
    """One account with one key that may trade and nothing else.

    Args:
        folder: run folder; takes the exchange's file of accounts. The private key is elsewhere: what
            is in a run folder is copied and sent.
        market: that the key may trade on.
    """

    def __init__(self, folder: Path, market: DemoMarket) -> None:
        self._market = market
        self.accounts_file = folder / "exchange-accounts.toml"
        self._private: Path | None = None

    def open(self) -> LiveAccount:
        """Make the key and both files. Raises BadInput when there is no private place for it."""
        self._private = Path(tempfile.mkdtemp(prefix="citadel-demo-")).resolve()
        account = str(account_uid(NAME))
        path = self._private / "key.toml"
        public = make_key_file(path, venue=self._market.venue, account=account, network=NETWORK)
        key_id = secrets.token_hex(32)
        path.write_text(path.read_text().replace('id = ""', f'id = "{key_id}"'))
        self.accounts_file.write_text(
            _ACCOUNTS.format(
                name=json.dumps(NAME),
                opening=OPENING,
                key_id=json.dumps(key_id),
                permission=self._market.permission,
                public=public,
            )
        )
        return LiveAccount(account=account, key_file=path)

    def close(self) -> None:
        """Remove the private key. Harmless when repeated."""
        if self._private is not None:
            shutil.rmtree(self._private, ignore_errors=True)
            self._private = None
