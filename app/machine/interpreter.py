"""What an interpreter has installed, asked of the interpreter itself."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import dataclass
from typing import Any

from probes.errors import MeasurementError

ASK = """
import json, platform, sys
from importlib import metadata
packages = {}
for each in metadata.distributions():
    name = each.metadata["Name"] if each.metadata else None
    if name:
        packages.setdefault(name, each.version)
print(json.dumps({
    "python": platform.python_version(),
    "packages": packages,
    "system": platform.system(),
    "release": platform.release(),
    "machine": platform.machine(),
}))
"""
"""Runs in the user's interpreter: Python 3.8 or newer, standard library only."""
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class InterpreterFacts:
    """An interpreter, its packages and its system."""

    executable: str
    python: str
    """Like ``3.11.7``."""
    packages: dict[str, str]
    """Versions by name, as the packages write them."""
    system: str
    """Like ``Linux``."""
    release: str
    machine: str
    """Like ``x86_64``."""


def interpreter_facts(executable: str) -> InterpreterFacts:
    """Ask an interpreter. It is started in an empty folder, so that it imports no file of the
    working directory. Raises ``MeasurementError`` where it does not answer."""
    try:
        with tempfile.TemporaryDirectory(prefix="tonnage-") as folder:
            ran = subprocess.run(
                [executable, "-c", ASK],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
        found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
        return InterpreterFacts(executable, **found)
    except subprocess.TimeoutExpired:
        raise MeasurementError(
            f"{executable} did not answer within {TIMEOUT_S:.0f} s. Try it by hand: {executable} "
            "--version"
        ) from None
    except (OSError, ValueError, IndexError, TypeError):
        words = ran.stderr.strip().splitlines()[-1:] if "ran" in locals() else []
        why = f": {words[0]}" if words else ""
        raise MeasurementError(
            f"{executable} cannot be used as a Python interpreter{why}"
        ) from None
