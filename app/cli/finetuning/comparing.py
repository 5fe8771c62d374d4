"""Comparing evaluated runs from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from app.cli.output import print_json, stdout, write_file


def compare_runs(
    runs: Sequence[Path],
    baseline: Path | None,
    seed: int,
    report: Path | None,
    csv: Path | None,
    *,
    json_: bool,
) -> None:
    """Compare, print the sentences, and write the files asked for. Raises ``InputError``."""
    from finetuning.comparison import report as pages
    from finetuning.comparison.compare import compare

    found = compare(*runs, baseline=baseline, seed=seed)
    if report is not None:
        write_file(report, pages.html(found))
    if csv is not None:
        write_file(csv, pages.csv_of_tests(found))
    if json_:
        print_json(json.loads(found.to_json()))
        return
    console = stdout()
    for test in found.tests:
        console.print(test.sentence, markup=False)
    for note in found.notes:
        console.print(f"Note: {note}", markup=False)
    for file in (report, csv):
        if file is not None:
            console.print(f"Written: {file}", markup=False)
