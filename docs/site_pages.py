"""What makes a site of the pages, which are written to be read in the repository: hooks of mkdocs.yml.

Pages of the repository's root become pages of the site; links to what is no page (sources, files)
become plain text; what belongs to a numbered item is indented as Python-Markdown wants it; and the
navigation is the index of the documentation.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
ROOT_PAGES: Final = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
"""Page of the root -> where the site has it."""
_LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_ITEM: Final = re.compile(r"^\d+\. ")
_FENCED: Final = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_SECTION: Final = re.compile(r"^\*\*(.+)\*\*$")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Makes the navigation from the index of the documentation, so that there is one."""
    config.nav = navigation((ROOT / "docs/README.md").read_text(encoding="utf-8"))
    return config


def navigation(index: str) -> list[dict[str, Any]]:
    """Sections of the index with their pages, each under the text of its link."""
    found: list[dict[str, Any]] = [{"Start": "README.md"}]
    pages: list[dict[str, Any]] = []
    for line in index.splitlines():
        if section := _SECTION.match(line):
            pages = []
            found.append({section[1]: pages})
        for _, text, target in _LINK.findall(line):
            there = ROOT_PAGES.get(target.removeprefix("../"), target)
            if there == "adr/README.md":
                records = sorted((ROOT / "docs/adr").glob("0*.md"))
                pages.append({text: [there, *(f"adr/{record.name}" for record in records)]})
            elif there.endswith(".md"):
                pages.append({text[:1].upper() + text[1:]: there})
    rest = [there for there in ROOT_PAGES.values() if there != ROOT_PAGES["ARCHITECTURE.md"]]
    return [*found, {"Project": rest}]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages of the root."""
    for name, there in ROOT_PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, there, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Changes one page's text for the site."""
    place = page.file.src_uri
    origin = next((name for name, there in ROOT_PAGES.items() if there == place), f"docs/{place}")
    return indented(relinked(markdown, origin, place))


def relinked(markdown: str, origin: str, place: str) -> str:
    """Text whose links lead to pages of the site only.

    Args:
        markdown: the text.
        origin: where the page is in the repository.
        place: where it is in the site.
    """

    def change(found: re.Match[str]) -> str:
        mark, text, target = found.groups()
        if target.startswith(("http://", "https://", "mailto:", "#")):
            return found.group()
        path, hash_, anchor = target.partition("#")
        full = posixpath.normpath(posixpath.join(posixpath.dirname(origin), path))
        there = ROOT_PAGES.get(full, full.removeprefix("docs/"))
        is_page = full in ROOT_PAGES or (full.startswith("docs/") and full.endswith(".md"))
        if not is_page:
            return text if text.startswith("`") else f"{text} (`{full}`)"
        return f"{mark}[{text}]({posixpath.relpath(there, posixpath.dirname(place) or '.')}{hash_}{anchor})"

    return "".join(
        part if part.lstrip().startswith("```") else _LINK.sub(change, part)
        for part in _FENCED.split(markdown)
    )


def indented(markdown: str) -> str:
    """Text whose numbered items keep what is indented below them by three."""
    lines, inside = [], False
    for line in markdown.split("\n"):
        if _ITEM.match(line):
            inside = True
        elif line and not line.startswith("   "):
            inside = False
        lines.append(f" {line}" if inside and line.startswith("   ") else line)
    return "\n".join(lines)
