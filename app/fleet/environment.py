"""What ``tonnage fleet join`` tells the processes of a node, and the environment of a job there.

The engine hands its own settings down to every process it starts. Some change what is measured
(``OMP_NUM_THREADS=1``), and none is the job's business: a job gets what the host had before.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

FOLDER_VARIABLE = "TONNAGE_FLEET_FOLDER"
"""Where the node was started: where ``tonnage.toml`` is looked for."""
BEFORE_VARIABLE = "TONNAGE_FLEET_BEFORE"
"""What the host had of the variables that the engine sets, as JSON."""
SECRET_VARIABLE = "TONNAGE_GANG_SECRET"
"""What the parent of a gang and the process on a node know; see ``app.fleet.rank_host``."""
ADJUSTMENT = Path("/proc/self/oom_score_adj")
"""How readily the kernel kills this process when memory is short."""

SET_BY_ENGINE = ("OMP_NUM_THREADS", "PYTHONBREAKPOINT", "PYTHONUNBUFFERED", "LD_PRELOAD")
PREFIX = "RAY_"
OWN = (FOLDER_VARIABLE, BEFORE_VARIABLE)


def remembered(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that tell a node's processes what the host had, and where it was started."""
    kept = {name: value for name, value in environment.items() if _is_set_by_engine(name)}
    return {BEFORE_VARIABLE: json.dumps(kept), FOLDER_VARIABLE: str(Path.cwd())}


def cleaned(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a job on a node: that of the host, without what the engine set."""
    found = {
        name: value
        for name, value in environment.items()
        if not _is_set_by_engine(name) and name not in OWN
    }
    before: dict[str, str] = json.loads(environment.get(BEFORE_VARIABLE, "{}"))
    return found | before


def settle_in() -> None:
    """In the engine's process on a node: go to the node's folder, and be no likelier a victim of
    the kernel than other programs are (Ray asks for 1000). Children inherit both."""
    if folder := os.environ.get(FOLDER_VARIABLE):
        with contextlib.suppress(OSError):
            os.chdir(folder)
    with contextlib.suppress(OSError):
        ADJUSTMENT.write_text("0")


def _is_set_by_engine(name: str) -> bool:
    return name in SET_BY_ENGINE or name.startswith(PREFIX)
