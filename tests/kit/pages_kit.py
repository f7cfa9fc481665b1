"""The commands that the pages show."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
SHELL: Final = {"", "console", "bash", "sh", "shell"}
"""Languages of blocks that hold commands, or what these print."""
GENERATED: Final = {"commands.md"}


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(language, content) of every block of code: fenced ones, and those that are indented."""
    parts = re.split(r"^ *```(\w*).*\n((?:.*\n)*?) *```$", text, flags=re.MULTILINE)
    for prose, language, content in zip(
        parts[::3], [*parts[1::3], ""], [*parts[2::3], ""], strict=True
    ):
        indented = [line for line in prose.splitlines() if line.startswith("    ")]
        yield "", "\n".join(indented)
        yield language, content


def commands(text: str, program: str) -> Iterator[list[str]]:
    """Arguments of every call of a program in a page's blocks."""
    for language, content in blocks(text):
        if language not in SHELL:
            continue
        for line in content.replace("\\\n", " ").splitlines():
            found = re.match(rf"\s*(?:\$ )?(?:[A-Z_]+=\S+ )*{program} (.*)", line)
            if found:
                # Up to a comment, a pipe, the next command.
                yield shlex.split(re.split(r"\s+[#|&]|;|\s>", found[1])[0])


def documented() -> list[Path]:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(page for page in pages if page.name not in GENERATED)
