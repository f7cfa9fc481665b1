"""The wheels: what is in them, where they may be installed, and that both kernels come out of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest
import yaml
from packaging.tags import sys_tags
from packaging.utils import parse_wheel_filename

from citadel_micro.core.marketdata import kernel

PACKAGES: Final = ("citadel_proto", "citadel_bridge", "citadel_macro", "citadel_micro")
NEWEST_GLIBC: Final = (2, 28)
"""What every Linux that is still maintained has."""


pytestmark = pytest.mark.timeout(340)  # it compiles


def python(*arguments: str, **environment: str) -> str:
    """Runs it, and gives what it printed; it must succeed."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def built(repository: Path, folder: Path, twin: str) -> Path:
    python(
        *("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(repository)),
        CITADEL_KERNEL=twin,
        CFLAGS="-O0",  # what is compiled is looked at, not timed: half a minute less beside others
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def compiled(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel with the compiled kernel."""
    if not kernel.COMPILED:
        pytest.skip("no compiled kernel here")
    return built(repository, tmp_path_factory.mktemp("compiled"), "compiled")


@pytest.fixture(scope="module")
def pure(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel without it."""
    return built(repository, tmp_path_factory.mktemp("pure"), "python")


@pytest.fixture(scope="module")
def expected(repository: Path) -> set[str]:
    """Every file that belongs into a wheel: those that git knows."""
    listed = subprocess.run(
        ["/usr/bin/env", "git", "-C", str(repository), "ls-files", "-z"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so there is no list of the project's own files")
    names = set()
    for path in (Path(name) for name in listed.stdout.split("\0") if (repository / name).is_file()):
        if path.parts[:2] == ("macro", "user_data"):
            names.add(f"citadel_macro/{path.relative_to('macro')}")
        elif len(path.parts) > 1 and path.parts[1] in PACKAGES:
            names.add(str(path.relative_to(path.parts[0])))
    return names


def held(wheel: Path, expected: set[str]) -> set[str]:
    """Names in a wheel, which has all that it should and nothing else of ours."""
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert expected - inside == set()
    assert {name.split("/")[0] for name in inside if "dist-info" not in name} == set(PACKAGES)
    assert not [name for name in inside if name.endswith((".sqlite", ".log", ".pyc"))]
    return inside


def asked(wheel: Path, folder: Path, question: str) -> str:
    """What code says that runs with the wheel's content, and not with this checkout."""
    zipfile.ZipFile(wheel).extractall(folder)
    shown = python(
        "-c",
        f"import citadel_micro; assert citadel_micro.__file__.startswith({str(folder)!r})\n"
        f"{question}",
        PYTHONPATH=str(folder),
    )
    return shown.strip()


@pytest.mark.campaign
def test_the_wheel_of_this_platform_is_one_that_an_index_takes(
    compiled: Path, expected: set[str], tmp_path: Path
) -> None:
    libraries = [name for name in held(compiled, expected) if name.endswith(".so")]
    assert sorted(name.split(".")[0] for name in libraries) == [
        "citadel_micro/core/marketdata/_book",
        "citadel_micro/core/marketdata/_deltas",
        "citadel_micro/core/marketdata/_forms",
        "citadel_micro/core/marketdata/_levels",
    ]
    if sys.platform == "linux":
        bin_folder = str(Path(sys.executable).parent)
        python(
            *("-m", "auditwheel", "repair", "--wheel-dir", str(tmp_path), str(compiled)),
            PATH=f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        )
        (compiled,) = tmp_path.glob("*.whl")
        # An index refuses plain linux_x86_64: nothing says which machines have the libraries.
        (glibc,) = set(re.findall(r"manylinux_(\d+)_(\d+)_", compiled.name))
        assert tuple(map(int, glibc)) <= NEWEST_GLIBC
    *_, tags = parse_wheel_filename(compiled.name)
    assert tags & set(sys_tags())
    question = "from citadel_micro.core.marketdata import kernel; print(kernel.COMPILED)"
    assert asked(compiled, tmp_path / "content", question) == "True"


@pytest.mark.campaign
def test_the_wheel_without_the_kernel_suits_every_platform(
    pure: Path, expected: set[str], tmp_path: Path
) -> None:
    assert pure.name.endswith("-py3-none-any.whl")
    assert not [name for name in held(pure, expected) if name.endswith((".so", ".pyd"))]
    # Its books pass the tests that both twins have to pass.
    asked(
        pure,
        tmp_path,
        "from citadel_micro.core.marketdata import kernel; assert not kernel.COMPILED",
    )
    repository = Path(__file__).parents[2]
    python(
        *("-m", "pytest", "-q", "-o", f"cache_dir={tmp_path / 'cache'}"),
        *("-c", str(repository / "pyproject.toml"), "--rootdir", str(repository)),
        str(repository / "tests/micro/core/marketdata/test_book.py"),
        PYTHONPATH=str(tmp_path),
        CITADEL_REQUIRE_KERNEL="",
    )


@pytest.mark.campaign
def test_it_goes_into_an_environment_of_freqtrade_without_changing_it(pure: Path) -> None:
    # Nothing is looked up: every requirement of both extras must be met by what is here already.
    shown = python(
        *("-m", "pip", "install", "--dry-run", "--no-index", "--disable-pip-version-check"),
        f"stoic-citadel[macro,micro] @ {pure.as_uri()}",
    )
    (would,) = re.findall(r"^Would install (.+)$", shown, re.MULTILINE)
    assert re.fullmatch(r"stoic-citadel-\S+", would)


def test_the_workflow_builds_for_the_pythons_that_the_project_supports(repository: Path) -> None:
    text = (repository / ".github/workflows/wheels.yml").read_text()
    jobs = yaml.safe_load(text)["jobs"]
    assert set(jobs) == {"compiled", "pure"}
    assert {name.split("-")[0] for name in jobs["compiled"]["strategy"]["matrix"]["os"]} == {
        "ubuntu",
        "macos",
    }
    project = (repository / "pyproject.toml").read_text()
    classified = set(re.findall(r"Python :: 3\.(\d+)\"", project))
    (listed,) = re.findall(r'^build = "(.+)"$', project, re.MULTILINE)
    assert set(re.findall(r"cp3(\d+)-", listed)) == classified
