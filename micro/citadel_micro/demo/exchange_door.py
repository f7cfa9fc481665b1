"""The demo's way to the operator's door of the simulated exchange: its faults, and its own book."""

from __future__ import annotations

import http.client
import json
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from citadel_micro.demo.exchange_account import NAME
from citadel_proto.errors import PeerUnavailable

_PATIENCE_S: Final = 10.0


class ExchangeDoor:
    """As ``simulator.control`` has it.

    Args:
        url: of the ready line.
        token: likewise.
        market: whose connections and ledger are meant, ``spot`` or ``usdm``.
    """

    def __init__(self, url: str, token: str, market: str = "spot") -> None:
        self._market = market
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port, parts.path
        self._headers = {"X-Sim-Token": token}

    def add_fault(self, rule: str) -> None:
        """Put a fault in force; it counts from here. Raises as ``ledger``."""
        self._ask("POST", "faults", json.dumps({"rule": rule}))

    def cut(self) -> None:
        """Cut every private connection now. Raises as ``ledger``."""
        self._ask("POST", "cut", json.dumps({"market": self._market}))

    def fund(self, symbol: str, rate: str) -> None:
        """Exchange funding of a perpetual now, by the venue's symbol. Raises as ``ledger``."""
        self._ask("POST", "funding", json.dumps({"symbol": symbol, "rate": rate, "now": True}))

    def hits(self) -> list[dict[str, Any]]:
        """Every fault that has come true, in order. Raises as ``ledger``."""
        found: list[dict[str, Any]] = self._ask("GET", "faults")["hits"]
        return found

    def ledger(self) -> dict[str, Any]:
        """The exchange's own book of the account.

        Raises:
            PeerUnavailable: the exchange does not answer, or does not take the question.
        """
        return self._ask("GET", f"ledger?{urlencode({'account': NAME, 'market': self._market})}")

    def _ask(self, verb: str, path: str, body: str | None = None) -> dict[str, Any]:
        link = http.client.HTTPConnection(self._host, self._port, timeout=_PATIENCE_S)
        try:
            link.request(verb, f"{self._path}/{path}", body, self._headers)
            answer = link.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise PeerUnavailable(f"the exchange's operator does not answer: {error}") from error
        finally:
            link.close()
        if answer.status != http.client.OK:
            raise PeerUnavailable(
                f"the exchange's operator says {answer.status} to {path}: {text[:200]!r}"
            )
        found: dict[str, Any] = json.loads(text)
        return found
