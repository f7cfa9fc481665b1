"""Builds the compiled readers of frames, keeper of books and writer of journals where a C compiler is, and goes on without it where none is.

Everything works without it, in Python; it is several times quicker with it. An editable install
gets it beside its source, a wheel gets it inside. With ``CITADEL_KERNEL=python`` it is left out,
with ``CITADEL_KERNEL=compiled`` the installation fails where it cannot be built.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = Path("micro/citadel_micro/core/marketdata")
NAMES = ("_levels", "_book", "_forms", "_deltas")


class KernelBuildHook(BuildHookInterface[Any]):
    """See the module."""

    _scratch: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the modules, and tell the wheel of them."""
        wanted = os.environ.get("CITADEL_KERNEL") or "auto"
        if self.target_name != "wheel" or wanted == "python":
            return
        package = Path(self.root) / PACKAGE
        target = package if version == "editable" else Path(tempfile.mkdtemp())
        for old in target.glob("_*.so"):  # also one that is not built any more
            old.unlink()
        try:
            built = _build(package, target)
        except Exception as error:  # whatever a compiler or its absence may raise
            if wanted == "compiled":
                raise
            self.app.display_warning(f"no compiled kernel, Python's will be used: {error}")
            return
        build_data["infer_tag"] = True
        build_data["pure_python"] = False
        if target != package:
            for library in built:
                inside = f"citadel_micro/core/marketdata/{library.name}"
                build_data["force_include"][str(library)] = inside
            self._scratch = target

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Clear up what went into the wheel."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch)


def _build(package: Path, target: Path) -> list[Path]:
    """Compile the modules of a package's folder in one of its own, and put the libraries into another."""
    from Cython.Build import cythonize  # noqa: PLC0415 - here its absence can be told
    from setuptools import Distribution, Extension  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        # One module takes declarations from the other under its full name, so they lie in packages.
        place = Path(folder, *PACKAGE.parts[1:])
        place.mkdir(parents=True)
        for above in (place, *place.parents[: len(PACKAGE.parts) - 2]):
            (above / "__init__.py").touch()
        for source in package.glob("_*.p[yx][xdi]"):
            shutil.copy(source, place)
        full = ".".join(PACKAGE.parts[1:])
        wanted = [Extension(f"{full}.{name}", [str(place / f"{name}.pyx")]) for name in NAMES]
        modules = cythonize(wanted, build_dir=folder, include_path=[folder], quiet=True)
        command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
        command.build_lib = command.build_temp = str(Path(folder, "built"))
        command.ensure_finalized()
        command.run()
        found = [next(Path(command.build_lib).rglob(f"{name}.*.so")) for name in NAMES]
        return [Path(shutil.copy(library, target)) for library in found]
