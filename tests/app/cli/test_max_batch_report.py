"""What ``tonnage max-batch`` prints in the end."""

from __future__ import annotations

from app.cli.max_batch_report import show
from app.machine.scaling import ScalingAnswer
from probes.max_batch import Bounds, MaxBatchSearch, run_search
from probes.measurement import Purpose, Verdict
from tests.probes.scripted import ScriptedDevice


def test_the_table_of_memory_says_which_batches_failed(capsys) -> None:
    def leaks(batch: int, purpose: Purpose) -> Verdict | None:
        return Verdict.LEAK if purpose is Purpose.CONFIRM and batch > 80 else None

    answer = run_search(MaxBatchSearch(Bounds()), ScriptedDevice(faults=leaks))
    show(answer, {}, 1.0, ScalingAnswer(None), None)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    last_cell = {row[0]: " ".join(row[-2:]) for row in rows if row and row[0].isdigit()}
    assert last_cell["80"] == "900 MiB"
    failed = {str(m.batch_size): m.verdict for m in answer.measurements if not m.passed}
    assert {batch: last_cell.get(batch) for batch in failed} == {
        batch: f"failed ({verdict})" for batch, verdict in failed.items()
    }
