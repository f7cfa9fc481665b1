"""What a futures account has set beside leverage and margin: modes that clients may refuse."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class AccountSettings:
    """Hedge mode and multi-assets mode. Neither is simulated: in hedge mode every order is refused."""

    hedged: bool = False
    multi_assets: bool = False


@dataclass(slots=True)
class Settings:
    """The settings of all accounts."""

    _accounts: dict[str, AccountSettings] = field(default_factory=dict)

    def of(self, account: str) -> AccountSettings:
        """Return an account's settings, to be read and changed."""
        return self._accounts.setdefault(account, AccountSettings())
