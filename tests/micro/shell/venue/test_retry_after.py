"""How long a venue asks to wait, in whatever form: a pause in any case."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from citadel_micro.adapters.binance import error_codes as binance
from citadel_micro.adapters.bybit import codes as bybit
from citadel_micro.adapters.hyperliquid import codes as hyperliquid
from citadel_micro.adapters.kraken import codes as kraken
from citadel_micro.adapters.okx import codes as okx
from citadel_micro.shell.venue.outcomes import Answered, Fate

if TYPE_CHECKING:
    from types import ModuleType

PAGE = b"<html>Too many requests</html>"
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize("codes", [binance, bybit, hyperliquid, kraken, okx])
@pytest.mark.parametrize(
    ("told", "seconds"),
    [("7", 7.0), ("0.5", 0.5), (DATE, 0.0), ("-1", 0.0), ("nan", 0.0), ("1e9", 0.0), (None, 0.0)],
)
def test_too_many_requests_is_a_pause(codes: ModuleType, told: str | None, seconds: float) -> None:
    headers = {} if told is None else {"retry-after": told}
    refused = codes.refusal(Answered(status=429, body=PAGE, headers=headers))
    assert refused is not None
    assert refused.fate is Fate.WAIT
    # OKX names no time: its windows are of two seconds.
    assert refused.retry_after_s == (okx.WINDOW_S if codes is okx else seconds)


def test_a_limit_of_bybit_whose_header_is_a_date_is_a_pause() -> None:
    body = b'{"retCode":10006,"retMsg":"Too many visits!"}'
    refused = bybit.refusal(Answered(status=200, body=body, headers={"retry-after": DATE}))
    assert refused is not None
    assert (refused.fate, refused.retry_after_s) == (Fate.WAIT, 0.0)
