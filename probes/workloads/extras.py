"""Packages that a built-in workload needs and torch does not bring: looked for, imported, named.

Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Extra:
    """An optional part of Tonnage's dependencies (``pip install 'tonnage[name]'``)."""

    workload: str
    name: str
    packages: tuple[str, ...]

    def check_installed(self) -> None:
        """Look for the packages without importing them, which takes seconds.

        Raises ``ModuleNotFoundError`` that says what to install into which interpreter.
        """
        for package in self.packages:
            if not is_installed(package):
                raise self._missing(package)

    def require(self, module: str) -> Any:
        """Import ``module`` of one of the packages; see ``check_installed`` for the error."""
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            raise self._missing(error.name or module) from error

    def sentence(self, package: str) -> str:
        """What is missing where, and what to do about it."""
        return (
            f"The {self.workload} workload needs {package}, which {sys.executable} does not have. "
            f"Install the extra into that interpreter: {sys.executable} -m pip install "
            f"'tonnage[{self.name}]'"
        )

    def _missing(self, package: str) -> ModuleNotFoundError:
        return ModuleNotFoundError(self.sentence(package), name=package)


def is_installed(package: str) -> bool:
    """Whether a top-level package could be imported. It is not."""
    return importlib.util.find_spec(package) is not None
