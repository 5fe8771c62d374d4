"""The list of presets, and which of them fit a device."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.cli.finetuning.options import settings_from
from app.cli.output import stdout
from finetuning.settings.presets import PRESETS
from probes.errors import InputError
from probes.formatting import size_text

if TYPE_CHECKING:
    from app.machine.target import Target
    from app.settings import Settings

REFUSED = "refused"
ROWS = 8
"""Rows of the data that presets are tried with. They are longer than any model's window, so each is
cut to the settings' full length."""


def plain() -> list[dict[str, Any]]:
    """Name, purpose and settings of every preset."""
    return [
        {"name": preset.name, "about": preset.about, "sets": dict(preset.sets)}
        for preset in PRESETS.values()
    ]


def measured(
    rows: Sequence[dict[str, Any]],
    model: str,
    assignments: Sequence[str] | None,
    settings: Settings,
    target: Target,
) -> list[dict[str, Any]]:
    """The same rows with ``fits``, ``peak_bytes`` and ``reason`` for one row of full length. Raises
    ``InputError`` where the model takes none of the presets' settings."""
    from app.cli.progress import ProgressDisplay
    from finetuning.measuring import LocalMeasurer, workload
    from finetuning.settings.files import write_settings

    found = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        ProgressDisplay() as progress,
        target.lease(settings, progress.waiting),
    ):
        folder = Path(scratch)
        _write_long_rows(folder)
        for row in rows:
            wanted = settings_from(model, row["name"], None, assignments)
            file = folder / f"{row['name']}.yaml"
            write_settings(wanted, file)
            reference = workload(file, folder, target.facts.device)
            progress.line(f"Trying {row['name']} ...")
            target.prober.describe(reference)
            try:
                asked = {"settings": str(file), "device": target.facts.device}
                target.prober.call("finetuning.models.loading:check_job", asked)
            except InputError as error:
                refused = {"verdict": REFUSED, "peak_bytes": None, "reason": str(error)}
                found.append({**row, "fits": False, **refused})
                continue
            measurer = LocalMeasurer(
                target.prober,
                reference,
                target.facts.device,
                ROWS,
                limit_bytes=target.memory_budget_bytes,
                headroom=settings.headroom,
                on_progress=progress.worker,
            )
            measurement = measurer.brief(wanted, 1)
            found.append(
                {
                    **row,
                    "fits": measurement.passed,
                    "verdict": measurement.verdict.value,
                    "peak_bytes": measurement.peak_bytes,
                    "reason": measurement.reason,
                }
            )
    if all(row["verdict"] == REFUSED for row in found):
        raise InputError(found[0]["reason"])
    return found


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print the presets, with what was measured of them."""
    console = stdout()
    for row in rows:
        console.print(f"[bold]{row['name']}[/bold]  {row['about']}")
        sets = ", ".join(f"{name}={_text(value)}" for name, value in row["sets"].items())
        console.print(f"  {sets}", markup=False)
        if "fits" in row:
            peak = f", peak {size_text(row['peak_bytes'])}" if row["peak_bytes"] else ""
            why = f"{row['verdict']}: {row['reason'].rstrip('.')}"
            console.print(f"  {'fits with one row' if row['fits'] else why}{peak}", markup=False)


def _write_long_rows(folder: Path) -> None:
    line = json.dumps({"prompt": "Count: ", "completion": "one two three four " * 4096})
    for split in ("train", "eval"):
        (folder / f"{split}.jsonl").write_text(f"{line}\n" * ROWS, encoding="utf-8")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}"
