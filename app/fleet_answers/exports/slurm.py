"""A batch script for Slurm: ``sbatch choose.sh python train.py …``.

The options are those of ``sbatch``: https://slurm.schedmd.com/sbatch.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.fleet_answers.exports.request import ResourceRequest, request_of
from app.settings import Settings


def to_slurm(settings: Settings, answer: Mapping[str, Any]) -> str:
    """Raises ``Conflict`` where nothing was chosen."""
    wanted = request_of(settings, answer)
    directives = [
        f"--job-name={wanted.name}",
        "--nodes=1",
        "--ntasks=1",
        *_devices(wanted),
        f"--time={_time(wanted.time_limit_s)}",
        *([f"--mem={wanted.host_mib}M"] if wanted.host_mib is not None else []),
    ]
    lines = ["#!/bin/bash"]
    lines += [f"#SBATCH {directive}" for directive in directives]
    lines += [f"# {line}" for line in wanted.about]
    lines.append("# The time limit is the upper end of the measured interval, for training alone.")
    if wanted.host_mib is None:
        lines.append("# Memory of the host was not measured: the partition's default applies.")
    lines += ["# Use: sbatch THIS_FILE python train.py --your-options", 'exec srun "$@"']
    return "\n".join(lines) + "\n"


def _devices(wanted: ResourceRequest) -> list[str]:
    if wanted.kind == "cpu":
        return []
    told = wanted.settings.slurm_gres if wanted.settings else None
    return [f"--gres={told or 'gpu'}:{wanted.devices}"]


def _time(seconds: int) -> str:
    """``D-HH:MM:SS``, one of the forms that sbatch takes."""
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return f"{days}-{hours:02d}:{minutes:02d}:{rest:02d}"
