"""Our process on a node of the test's cluster, with a device of its own and scripted jobs."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from app.fleet.nodes import Description
from app.fleet.on_ray.agent import Agent
from app.tuning.owner import this_place, this_process
from tests.app.jobs.conftest import ROOT, offers
from tests.app.jobs.executor_library import command as telling
from tests.app.jobs.scripted import FOLDER


class ScriptedAgent(Agent):
    """Says at once what it offers: a device of this node alone."""

    async def describe(self) -> dict[str, Any]:
        found = offers("cpu", host=f"node-{os.environ['RAY_RAYLET_PID']}")
        return Description(
            this_process(), this_place(), {"tonnage": version("tonnage")}, found
        ).to_dict()


def telling_agent(folder: Path) -> type[Agent]:
    """Its jobs tell what they were started with, in the folder."""
    return type("TellingAgent", (ScriptedAgent,), {"command": telling(folder)})


class JobAgent(ScriptedAgent):
    """Its jobs do what their request says, in a folder of the node."""

    folder: Path

    def __init__(self) -> None:
        super().__init__()
        own = self.folder / f"node-{os.environ['RAY_RAYLET_PID']}"
        own.mkdir(exist_ok=True)
        self.command = [sys.executable, "-c", SCRIPTED.format(root=ROOT, name=FOLDER, folder=own)]


SCRIPTED = """\
import os, sys
sys.path.insert(0, "{root}")
os.environ["{name}"] = "{folder}"
from app.jobs.process import main
from tests.app.jobs.scripted import run
sys.exit(main(sys.argv[1:], run))
"""


def scripted_agent(folder: Path) -> type[Agent]:
    """Its jobs make their marks below the folder."""
    return type("FolderAgent", (JobAgent,), {"folder": folder})
