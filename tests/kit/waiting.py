"""Waiting for what has no event of its own."""

from __future__ import annotations

import asyncio
import inspect
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


async def until_it_holds(check: Callable[[], object], seconds: float = 60.0) -> None:
    """Poll until what it asserts is true: of two books, one hears of a thing after the other."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            check()
        except AssertionError:
            await asyncio.sleep(0.02)
        else:
            return
    check()


async def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Poll until something holds, or what it awaits does; the test fails when it does not come."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds:g} s")
        await asyncio.sleep(0.005)
