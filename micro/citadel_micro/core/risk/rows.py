"""Rows of a verdict without figures, created once: an approval on the hot path creates none of them."""

from __future__ import annotations

from citadel_micro.core.risk.codes import CODES
from citadel_micro.core.risk.types import CheckResult
from citadel_proto.reason_codes import RiskCode


def _note(number: int, code: RiskCode, text: str) -> CheckResult:
    return CheckResult(number, code, ok=True, value=None, limit=None, text=text)


CLEAR = {code: _note(number, code, "") for number, code in CODES}
SKIPPED = {code: _note(number, code, "a verified reduction skips this") for number, code in CODES}
CLEAR_STATE = (
    CLEAR[RiskCode.KILLED],
    CLEAR[RiskCode.HALTED],
    CLEAR[RiskCode.REDUCE_ONLY],
)
NOT_CONFIGURED = _note(8, RiskCode.REF_DIVERGENCE, "no reference configured")
DERIVATIVE = _note(14, RiskCode.FREE_BALANCE, "judged for spot only")
NOT_MARGINED = tuple(
    _note(14, code, "judged for margined derivatives only")
    for code in (RiskCode.LEVERAGE, RiskCode.LIQUIDATION_DISTANCE)
)
NO_PRICE = _note(8, RiskCode.PRICE_COLLAR, "judged at every child order")
