"""The documentation points at what is there."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def pages(repository: Path) -> list[Path]:
    return sorted([*repository.glob("*.md"), *repository.glob("docs/**/*.md")])


def test_every_link_leads_somewhere(repository: Path) -> None:
    checked = 0
    for page in pages(repository):
        for target in _LINK.findall(page.read_text()):
            if target.startswith(("http://", "https://", "#")):
                continue
            checked += 1
            path = page.parent / target.partition("#")[0]
            assert path.exists(), f"{page.relative_to(repository)}: {target}"
    assert checked > 20


def test_every_page_is_in_the_index(repository: Path) -> None:
    docs = repository / "docs"
    index = (docs / "README.md").read_text()
    linked = {(docs / target).resolve() for target in _LINK.findall(index)}
    missing = [
        str(page.relative_to(docs))
        for page in docs.glob("*/*.md")
        if page.resolve() not in linked and page.parent.name != "adr"
    ]
    assert missing == []


@pytest.mark.parametrize("page", ["README.md", "docs/tutorial/paper-trading-in-ten-minutes.md"])
def test_the_commands_that_are_shown_exist(repository: Path, page: str) -> None:
    text = (repository / page).read_text()
    reference = (repository / "docs/reference/commands.md").read_text()
    known = set(re.findall(r"^## `citadel ([a-z-]+)`", reference, re.MULTILINE))
    shown = set(re.findall(r"^\s*citadel ([a-z-]+)", text, re.MULTILINE))
    assert shown <= known
    targets = set(re.findall(r"^make ([a-z]+)", text, re.MULTILINE))
    assert targets
    makefile = (repository / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for target in targets)


_PATH = re.compile(r"`([\w<>./]+(?:/|\.(?:py|pyx|toml)))`")


def test_the_architecture_names_files_that_exist(repository: Path) -> None:
    """Paths are from the root, or from micro's package; ``<venue>`` stands for some venue's."""
    roots = (repository, repository / "micro" / "citadel_micro")
    named = set(_PATH.findall((repository / "ARCHITECTURE.md").read_text()))
    missing = [
        path
        for path in sorted(named)
        if not any(next(root.glob(path.replace("<venue>", "*")), None) for root in roots)
    ]
    assert missing == []
    assert len(named) > 50
