"""Builds the compiled book kernel where a C compiler is, and goes on without it where none is.

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
NAME = "_kernel"


class KernelBuildHook(BuildHookInterface[Any]):
    """See the module."""

    _scratch: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the kernel, and tell the wheel of it."""
        wanted = os.environ.get("CITADEL_KERNEL") or "auto"
        if self.target_name != "wheel" or wanted == "python":
            return
        package = Path(self.root) / PACKAGE
        target = package if version == "editable" else Path(tempfile.mkdtemp())
        for old in target.glob(f"{NAME}.*.so"):
            old.unlink()
        try:
            built = _build(package / f"{NAME}.pyx", target)
        except Exception as error:  # whatever a compiler or its absence may raise
            if wanted == "compiled":
                raise
            self.app.display_warning(f"no compiled kernel, Python's will be used: {error}")
            return
        build_data["infer_tag"] = True
        build_data["pure_python"] = False
        if target != package:
            build_data["force_include"][str(built)] = f"citadel_micro/core/marketdata/{built.name}"
            self._scratch = target

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Clear up what went into the wheel."""
        if self._scratch is not None:
            shutil.rmtree(self._scratch)


def _build(source: Path, target: Path) -> Path:
    """Compile the kernel in a folder of its own, and put the library into another."""
    from Cython.Build import cythonize  # noqa: PLC0415 - here its absence can be told
    from setuptools import Distribution, Extension  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        copied = shutil.copy(source, folder)
        modules = cythonize([Extension(NAME, [copied])], build_dir=folder, quiet=True)
        command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
        command.build_lib = command.build_temp = folder
        command.ensure_finalized()
        command.run()
        (library,) = Path(folder).glob(f"{NAME}.*.so")
        return Path(shutil.copy(library, target))
