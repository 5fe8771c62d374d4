"""Which Python interpreter trains. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from probes.errors import InputError


def resolve_python(asked: str | None) -> str:
    """The interpreter that trains: what was asked for, else the active virtual environment if it
    has torch, else our own. Raises ``InputError`` when there is no such interpreter.
    """
    if asked:
        found = shutil.which(str(Path(asked).expanduser()))
        if found is None:
            raise InputError(f"--python {asked}: there is no such interpreter.")
        return str(Path(found).absolute())  # not resolved: a link into a venv means the venv
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        prefix = os.environ.get(variable)
        if not prefix or Path(prefix).resolve() == Path(sys.prefix).resolve():
            continue
        candidate = str(Path(prefix, "bin", "python"))
        if os.access(candidate, os.X_OK) and has_torch(candidate):
            return candidate
    return sys.executable


def has_torch(python: str) -> bool:
    """Whether this interpreter can import torch, as far as can be told without doing so."""
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    try:
        ran = subprocess.run([python, "-c", look], timeout=30, capture_output=True, check=False)
        return ran.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
