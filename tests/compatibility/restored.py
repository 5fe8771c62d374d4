"""The restored database in use: as it is, and moved to this machine."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.compatibility.released import CAP_OF_FINISHED, COMMAND, TUNE, environment
from tests.compatibility.restore import FINGERPRINT, FOLDER, HERE, replace_everywhere, restore


@dataclass(frozen=True)
class Moved:
    """A user's folder with the workload, and a database that holds on this machine."""

    folder: Path
    fingerprint: str
    command: list[str]
    environment: dict[str, str]

    @property
    def pristine(self) -> Path:
        """The database as no command has seen it yet, to be copied."""
        return self.folder / "pristine.db"

    @classmethod
    def make(cls, folder: Path, command: list[str] = COMMAND, **more: str) -> Moved:
        """Measured, as it seems, on this machine's CPU, with the workload in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "train.py", folder)
        variables = {**environment(folder / "home"), **more}
        new = cls(folder.resolve(), "", command, variables)
        devices = json.loads(new.run("devices", "--json").stdout)["devices"]
        fingerprint = devices[-1]["fingerprint"]
        restore(new.pristine)
        replace_everywhere(new.pristine, {FOLDER: str(new.folder), FINGERPRINT: fingerprint})
        (folder / "home" / "data").mkdir(parents=True, exist_ok=True)
        shutil.copy(new.pristine, folder / "home" / "data" / "tonnage.db")
        return cls(new.folder, fingerprint, command, variables)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``tonnage`` to its end."""
        more = CAP_OF_FINISHED if arguments == TUNE else {}
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env={**self.environment, **more},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )

    def answer(self, *arguments: str) -> dict[str, Any]:
        """Exit status and the document on stdout, as it would be where it was measured."""
        ran = self.run(*arguments)
        text = ran.stdout.replace(str(self.folder), FOLDER)
        if self.fingerprint:
            text = text.replace(self.fingerprint, FINGERPRINT)
        try:
            document = json.loads(text) if text else None
        except ValueError:
            document = None
        return {"status": ran.returncode, "document": document}
