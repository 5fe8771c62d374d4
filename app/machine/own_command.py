"""What this process is to others: who waits for a device is told by whom it is used."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence

from app.ids import form_of

KINDS = {
    "st": "study",
    "ast": "assistant",
    "abl": "ablation",
    "ftn": "fine-tuning",
    "evl": "evaluation",
}
"""What a job of the service is called, by the prefix of its id."""
_RUNNER = re.compile(form_of("run"))


def own_command(arguments: Sequence[str] | None = None) -> str:
    """The command of the user; of a process that a runner started (``app.jobs.process``), which is
    no command that anybody typed, the job that it runs. ``arguments`` are given in tests."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) > 1 and _RUNNER.search(arguments[1]):
        job_id = arguments[0]
        kind = KINDS.get(job_id.partition("_")[0], "job")
        return f"{kind} {job_id} of the service"
    return shlex.join(["tonnage", *arguments])
