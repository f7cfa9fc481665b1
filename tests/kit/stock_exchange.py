"""A running ``citadel sim``: its ready line, and its operator's interface."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the ready line of ``citadel sim`` says, and its operator's interface."""

    ready: dict[str, Any]

    def operate(self, verb: str, path: str, **body: Any) -> Any:  # noqa: ANN401 - JSON
        """Ask the operator's interface."""
        control = self.ready["control"]
        return ask(
            verb,
            f"{control['url']}/{path}",
            {"X-Sim-Token": control["token"]},
            body or None,
        )

    def ledger(self, account: str) -> dict[str, Any]:
        """Every balance, movement and fill of an account, as exact text."""
        found: dict[str, Any] = self.operate("GET", f"ledger?account={account}")
        return found

    def order(self, account: str, symbol: str, side: str, quantity: str, **more: str) -> Any:  # noqa: ANN401 - JSON
        """Trade at the market by hand, with the account's own key: on spot, or ``path`` on futures."""
        key, secret = self.key(account)
        market = "usdm" if "path" in more else "spot"
        rest = self.ready["usdm"]["rest"] if market == "usdm" else self.ready["rest"]
        path = more.pop("path", "/api/v3/order")
        query = urllib.parse.urlencode(
            {
                "symbol": symbol,
                "side": side,
                "type": "MARKET",
                "quantity": quantity,
                "newOrderRespType": "FULL" if market == "spot" else "RESULT",
                "timestamp": time.time_ns() // 1_000_000,
                **more,
            }
        )
        signed = hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
        answer = ask("POST", f"{rest}{path}?{query}&signature={signed}", {"X-MBX-APIKEY": key})
        assert "executedQty" in answer, answer
        return answer

    def touch(self, symbol: str) -> tuple[float, float]:
        """Best bid and ask."""
        body = ask("GET", f"{self.ready['rest']}/api/v3/ticker/bookTicker?symbol={symbol}", {})
        return float(body["bidPrice"]), float(body["askPrice"])

    def key(self, account: str, kind: str = "hmac") -> tuple[str, str]:
        """Id and secret of a key of an account."""
        found = next(each for each in self.ready["accounts"][account] if each["kind"] == kind)
        return found["key"], found["secret"]


def ask(verb: str, url: str, headers: dict[str, str], body: Any = None) -> Any:  # noqa: ANN401 - JSON
    """Ask over HTTP; an error's answer is an answer."""
    request = urllib.request.Request(  # noqa: S310 - loopback
        url,
        method=verb,
        headers=headers | {"Content-Type": "application/json"},
        data=None if body is None else json.dumps(body).encode(),
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - loopback
            return json.load(answer)
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        # Some answer what they have not foreseen in plain text.
        return json.loads(text) if text.startswith(("{", "[")) else {"error": text}
