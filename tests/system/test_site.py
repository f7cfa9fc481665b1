"""The documentation is a site that is built without a warning, and every command in it is one that exists."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest
import typer
from pages_kit import commands, documented
from typer.main import get_command

from citadel_bridge import cli

ROOT: Final = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    assert "WARNING" not in built.stderr
    return folder


@pytest.mark.campaign
def test_every_page_is_there_and_shows_no_markup(site: Path) -> None:
    pages = [page for page in (ROOT / "docs").rglob("*.md") if page.name != "README.md"]
    assert len(pages) > 30
    for page in pages:
        text = (site / page.relative_to(ROOT / "docs")).with_suffix(".html").read_text()
        (article,) = re.findall(r"<article.*?</article>", text, re.DOTALL)
        plain = re.sub(r"<pre.*?</pre>|<code.*?</code>", "", article, flags=re.DOTALL)
        for markup in ("```", "| ---", "](", "**"):
            assert markup not in plain, f"{page.name}: {markup}"
    # From the root of the repository, with links that lead to pages here.
    assert "../explanation/how-books-stay-true.html" in (
        site / "project/architecture.html"
    ).read_text(encoding="utf-8")


@pytest.mark.campaign
def test_nothing_is_loaded_from_elsewhere_when_it_is_read(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(https?://[^\"]+)\"", page.read_text()
        )
        assert loaded == [], page.name


def refusal(root: Any, arguments: list[str]) -> str | None:  # noqa: ANN401 - click's own types
    """Why the command line does not take these arguments; nothing of them is run."""
    command, context = root, typer.Context(root, info_name="citadel")
    rest = list(arguments)
    while hasattr(command, "commands") and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in command.commands:
            return f"no command {name!r}"
        command = command.commands[name]
        context = typer.Context(command, info_name=name, parent=context)
        context.ignore_unknown_options = command.context_settings.get(
            "ignore_unknown_options", False
        )
        context.allow_extra_args = command.context_settings.get("allow_extra_args", False)
    if "--help" in rest:
        return None
    try:
        values, extra, _ = command.make_parser(context).parse_args(rest)
    except typer.TyperException as error:
        return str(error)
    if extra and not context.allow_extra_args and not hasattr(command, "commands"):
        return f"unexpected {extra}"
    needed = [each.name for each in command.params if each.required and not values.get(each.name)]
    return f"missing {needed}" if needed else None


def test_every_command_in_every_page_is_one_that_is_taken() -> None:
    root = get_command(cli.build())
    wrong, count = [], 0
    for page in documented():
        for arguments in commands(page.read_text(encoding="utf-8"), "citadel"):
            count += 1
            why = refusal(root, arguments)
            if why is not None:
                wrong.append(f"{page.name}: citadel {shlex.join(arguments)}: {why}")
    assert wrong == []
    assert count > 100


def test_every_target_of_make_in_every_page_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {
        arguments[0]
        for page in documented()
        for arguments in commands(page.read_text(encoding="utf-8"), "make")
    }
    assert shown - targets == set()
    assert "demo" in shown


@pytest.mark.parametrize(
    "line",
    [
        "citadel nonesuch",
        "citadel micro --nonesuch",
        "citadel signal buy",
        "citadel keys make a b c",
    ],
)
def test_what_is_not_taken_is_found(line: str) -> None:
    (arguments,) = commands(f"```\n{line}\n```\n", "citadel")
    assert refusal(get_command(cli.build()), arguments) is not None
