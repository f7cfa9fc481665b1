"""Recompute recorded lives of the engine with nothing but the standard library; prints one digest of all commands.

Run by ``pythons.py`` in every Python that there is: PATH of the repository, file of lives.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from dataclasses import fields, is_dataclass
from decimal import Decimal
from pathlib import Path


def plain(value: object) -> object:
    """A value as text that does not depend on the Python: floats by their bits."""
    if is_dataclass(value) and not isinstance(value, type):
        shown = [f"{each.name}={plain(getattr(value, each.name))}" for each in fields(value)]
        return f"{type(value).__name__}({', '.join(shown)})"
    if type(value).__name__ == "Approved":
        return f"Approved({plain(value.order)})"  # type: ignore[attr-defined] # by its name
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, Decimal):
        return f"D{value}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{plain(k)}: {plain(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(str(plain(each)) for each in value) + "]"
    if value is None or isinstance(value, str | int | bytes):
        return repr(value)
    text = str(value) if hasattr(value, "value") else ""  # an enum's member
    if not text:
        raise TypeError(f"{type(value).__name__} has no plain form")
    return text


def main() -> int:
    """Print the digest, and how much it is of."""
    root, lives = Path(sys.argv[1]), Path(sys.argv[2])
    sys.path[:0] = [str(root / each) for each in ("proto", "bridge", "micro", "tests/kit")]

    from ladder_kit import ladder  # noqa: PLC0415 - found through the path above

    from citadel_micro.core.engine.engine import Engine  # noqa: PLC0415
    from citadel_micro.core.marketdata import kernel  # noqa: PLC0415

    digest = hashlib.sha256()
    events = commands = 0
    with ladder():
        for config, instruments, rows in pickle.loads(lives.read_bytes()):  # noqa: S301 - our own
            engine = Engine(config, instruments)
            for now_ns, event in rows:
                events += 1
                for command in engine.handle(event, now_ns):
                    commands += 1
                    digest.update(f"{plain(command)}\n".encode())
    how = "compiled" if kernel.COMPILED else "python"
    print(f"{digest.hexdigest()} {events} {commands} {how} {sys.version.split()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
