"""What the images install is listed file by file, by hash, and is all that they need."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from typing import TYPE_CHECKING, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from pathlib import Path

IMAGES: Final = {"micro": ("micro",), "macro": ("macro", "ml")}
PLACE: Final = {
    "python_version": "3.12",
    "python_full_version": "3.12.0",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}
PIN: Final = re.compile(
    r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+-]+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n"
)


def pins(repository: Path, name: str) -> dict[str, str]:
    """Versions of a locked file by name; every line of it is a pin with its hashes."""
    text = (repository / "deploy" / "locked" / f"{name}.txt").read_text()
    found = list(PIN.finditer(text))
    assert "".join(each.group(0) for each in found) == text
    return {canonicalize_name(each.group(1)): each.group(2) for each in found}


def of_image(repository: Path, image: str) -> dict[str, str]:
    return {n: v for part in IMAGES[image] for n, v in pins(repository, part).items()}


def needed(wanted: list[str], pinned: dict[str, str]) -> set[str]:
    """Everything that these need, as the installed packages say; what is installed in no place is left out."""
    seen: set[tuple[str, str]] = set()
    names: set[str] = set()
    queue = [(Requirement(text), "") for text in wanted]
    while queue:
        each, of = queue.pop()
        if each.marker and not each.marker.evaluate({**PLACE, "extra": of}):
            continue
        name = canonicalize_name(each.name)
        names.add(name)
        assert name in pinned, f"{name} is not locked: run 'make lock'"
        assert each.specifier.contains(pinned[name], prereleases=True), (
            f"{each}: {pinned[name]} is locked"
        )
        for extra in ("", *each.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                try:
                    queue += [(Requirement(text), extra) for text in requires(name) or ()]
                except PackageNotFoundError:  # not for this Python or system
                    continue
    return names


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_is_given_all_that_it_needs_and_nothing_else(repository: Path, image: str) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in IMAGES[image]:
        wanted += project["optional-dependencies"][extra]
    pinned = of_image(repository, image)
    assert needed(wanted, pinned) == pinned.keys()
    assert ("freqtrade" in pinned) == (image == "macro")


@pytest.mark.parametrize("name", ["micro", "macro", "ml", "build"])
def test_the_versions_are_those_that_are_tested(repository: Path, name: str) -> None:
    lines = (repository / "constraints.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines if not line.startswith("#"))
    tested = {canonicalize_name(package): version for package, version in tested.items()}
    assert {n: tested.get(n) for n in pins(repository, name)} == pins(repository, name)


@pytest.mark.parametrize("image", IMAGES)
def test_the_bill_of_materials_is_what_is_locked(
    repository: Path, tmp_path: Path, image: str
) -> None:
    subprocess.run([sys.executable, repository / ".ci" / "sbom", tmp_path], check=True)
    bill = json.loads((tmp_path / f"sbom-{image}.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    base, *packages = bill["components"]
    assert base["hashes"][0]["content"] in (repository / "docker-compose.yml").read_text()
    found = {canonicalize_name(each["name"]): each["version"] for each in packages}
    assert found == of_image(repository, image)
    assert all(each["purl"].endswith(f"@{each['version']}") for each in packages)
    names = [each["bom-ref"] for each in bill["components"]]
    assert len(set(names)) == len(names)
