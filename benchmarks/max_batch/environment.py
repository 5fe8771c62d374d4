"""The peers' own environment: made once, from PyPI, with pinned versions."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.max_batch.cases import ROOT

REQUIREMENTS = Path(__file__).with_name("peers.txt")
DEFAULT_FOLDER = ROOT / "benchmarks" / ".peers"
PACKAGES = ("torch", "lightning", "accelerate", "transformers", "torch-geometric")


class NoPeersError(Exception):
    """The environment could not be made; the message says why and what to do."""


def peers_python(folder: Path = DEFAULT_FOLDER) -> str:
    """The interpreter of the peers' environment, which is made or brought up to date first.

    Raises ``NoPeersError``.
    """
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return str(python)
    print(f"installing the peers into {folder} (torch is the large one) ...", flush=True)
    if not python.exists():
        _run([sys.executable, "-m", "venv", str(folder)], "The venv module cannot make one")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run([*install, "--requirement", str(REQUIREMENTS)], "pip could not install the peers")
    stamp.write_text(wanted)
    return str(python)


def versions(python: str) -> dict[str, str]:
    """The peers' versions in that interpreter."""
    code = (
        "import importlib.metadata as m, json;"
        f"print(json.dumps({{p: m.version(p) for p in {PACKAGES!r}}}))"
    )
    ran = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(ran.stdout)
    return found


def _run(command: list[str], problem: str) -> None:
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NoPeersError(f"{problem}: {error}") from None
    if ran.returncode != 0:
        said = (ran.stderr or ran.stdout).strip()[-1500:]
        raise NoPeersError(
            f"{problem}:\n{said}\nGive an environment that has them with --peers-venv FOLDER, or "
            "leave the peers out with --methods tonnage."
        )
