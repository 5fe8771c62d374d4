"""What the store keeps of a fine-tuning, from its beginning to its evaluation."""

from __future__ import annotations

import subprocess
import sys

import pytest
from sqlalchemy import update

from app.database.models.finetuning import FineTuningRow
from app.errors import NotFound
from app.finetunings import reading, service
from app.finetunings.recorder import Recorder
from probes.errors import MeasurementError
from tests.app.factories import SETTINGS, evaluation_row, finetuning

FIT = {
    "fits": True,
    "batches": {"micro_batch": 4, "accumulation": 4, "effective": 16},
    "peak_bytes": 3 * 2**30,  # above 32 bits on purpose
    "limit_bytes": 8 * 2**30,
    "step_s": {"mean": 0.5, "low": 0.4, "high": 0.6},
    "sentences": ["Each optimizer step takes 4 rows × 4 micro-batches = 16."],
    "settings": {**SETTINGS, "strategy": "qlora"},
}


def steps(database, run) -> list[int]:
    return [event.step for event in reading.events(database, run.id)]


def items(database, run, **wanted) -> list[str]:
    return [row.item for row in reading.rows(database, run.id, "snake", **wanted)]


def test_begin_keeps_what_is_listed(database):
    run = reading.get(database, finetuning(database).id)
    assert run.id.startswith("ftn_")
    assert (run.state, run.model, run.preset) == ("preparing", "models/small", "quick_lora")
    assert (run.strategy, run.device, run.output) == ("lora", "cpu", "/runs/a")
    assert run.settings == SETTINGS


def test_the_same_folder_and_settings_are_the_same_run_resumed(database):
    first = finetuning(database)
    service.add_event(database, first.id, {"step": 5, "loss": 1.0})
    assert finetuning(database).id == first.id
    assert steps(database, first) == [5]


def test_another_folder_other_settings_and_an_empty_folder_are_other_runs(database):
    ids = [
        finetuning(database).id,
        finetuning(database, output="/runs/b").id,
        finetuning(database, settings={**SETTINGS, "strategy": "full"}).id,
        finetuning(database, fresh=True).id,
    ]
    assert len(set(ids)) == 4
    assert finetuning(database).id == ids[-1]  # the newest in that folder is resumed


def test_states_are_entered_with_facts(database):
    run = finetuning(database)
    service.enter(database, run.id, "fitting", probes=3)
    service.enter(database, run.id, "stopped", "Ctrl-C.", step=7)
    run = reading.get(database, run.id)
    assert (run.state, run.reason, run.facts) == ("stopped", "Ctrl-C.", {"probes": 3, "step": 7})
    assert run.finished_at is not None
    assert run.owner_pid is None
    service.enter(database, run.id, "training")
    assert reading.get(database, run.id).finished_at is None
    with pytest.raises(ValueError, match="sleeping"):
        service.enter(database, run.id, "sleeping")


def test_a_fit_says_what_is_predicted_and_what_trains(database):
    run = finetuning(database)
    service.fitted(database, run.id, FIT)
    run = reading.get(database, run.id)
    assert (run.micro_batch, run.accumulation, run.strategy) == (4, 4, "qlora")
    assert (run.predicted_peak_bytes, run.predicted_step_s) == (3 * 2**30, 0.5)
    assert run.limit_bytes == 8 * 2**30
    assert run.fit == FIT


def test_a_prediction_is_graded_when_the_run_ends(database):
    run = finetuning(database)
    service.fitted(database, run.id, FIT)
    facts = {"peak_bytes": 2 * 2**30, "step_s": 1.0, "step": 20, "steps": 20, "eval_loss": 1.5}
    service.finish(database, run.id, "done", facts)
    run = reading.get(database, run.id)
    assert (run.measured_peak_bytes, run.measured_step_s) == (2 * 2**30, 1.0)
    assert (run.peak_error, run.step_error) == (0.5, -0.5)  # too high, too low
    assert (run.state, run.step, run.steps, run.eval_loss) == ("done", 20, 20, 1.5)


def test_the_highest_peak_of_all_attempts_counts_until_it_is_fitted_again(database):
    run = finetuning(database)
    service.fitted(database, run.id, FIT)
    service.finish(database, run.id, "stopped", {"peak_bytes": 3 * 2**30, "step": 3})
    service.finish(database, run.id, "done", {"peak_bytes": 2**30, "step": 9})
    assert reading.get(database, run.id).measured_peak_bytes == 3 * 2**30
    assert reading.get(database, run.id).peak_error == 0.0
    service.fitted(database, run.id, FIT)
    assert reading.get(database, run.id).measured_peak_bytes is None


def test_two_logs_of_one_step_are_one_event_and_a_repeated_one_changes_nothing(database):
    run = finetuning(database)
    for _ in range(2):
        service.add_event(database, run.id, {"step": 10, "of": 40, "loss": 2.5, "grad_norm": 0.1})
        service.add_event(database, run.id, {"step": 10, "eval_loss": 2.0, "peak_bytes": 2**33})
    (event,) = reading.events(database, run.id)
    assert (event.loss, event.eval_loss, event.peak_bytes) == (2.5, 2.0, 2**33)
    assert event.document == {"grad_norm": 0.1}
    run = reading.get(database, run.id)
    assert (run.step, run.steps, run.eval_loss) == (10, 40, 2.0)


def test_a_loss_that_is_no_number_is_kept_beside(database):
    run = finetuning(database)
    service.add_event(database, run.id, {"step": 1, "loss": float("nan")})
    (event,) = reading.events(database, run.id)
    assert event.loss is None
    assert event.document["loss"] != event.document["loss"]


def test_events_after_a_checkpoint_are_replaced_on_resuming(database):
    run = finetuning(database)
    service.add_events(database, run.id, [{"step": n, "loss": 1.0} for n in range(1, 6)])
    service.drop_events_after(database, run.id, 3)
    assert steps(database, run) == [1, 2, 3]
    assert reading.get(database, run.id).step == 3
    service.add_event(database, run.id, {"step": 4, "loss": 0.5})
    assert [e.loss for e in reading.events(database, run.id, after=3)] == [0.5]
    assert [e.step for e in reading.events(database, run.id, after=1, limit=2)] == [2, 3]


def test_an_item_is_stored_once(database):
    run = finetuning(database)
    games = [evaluation_row(n) for n in range(450)]  # more than one statement takes
    assert service.add_rows(database, run.id, "snake", games) == 450
    service.add_rows(database, run.id, "snake", [evaluation_row(7, score=3.0)])
    stored = reading.rows(database, run.id, "snake")
    assert len(stored) == 450
    assert {row.item: row.values for row in stored}["game-7"] == {"score": 3.0}
    assert (stored[0].item_group, stored[0].source, stored[0].details) == (
        "game-0",
        "bfs",
        {"seed": 0},
    )


def test_a_finished_evaluation_replaces_the_rows_of_its_task(database):
    run = finetuning(database)
    service.add_rows(database, run.id, "snake", [evaluation_row(n) for n in range(4)])
    service.add_rows(database, run.id, "language", [evaluation_row(0)])
    service.add_rows(database, run.id, "snake", [evaluation_row(9)], {"n": 1})
    assert items(database, run) == ["game-9"]
    assert len(reading.rows(database, run.id, "language")) == 1
    assert reading.get(database, run.id).evaluations == {"snake": {"n": 1}}


def test_the_baseline_has_rows_of_its_own(database):
    run = finetuning(database)
    service.add_rows(database, run.id, "snake", [evaluation_row(1)], {"n": 1})
    service.add_rows(database, run.id, "snake", [evaluation_row(2)], {"n": 1}, baseline=True)
    assert items(database, run) == ["game-1"]
    assert items(database, run, baseline=True) == ["game-2"]
    assert set(reading.get(database, run.id).evaluations) == {"snake", "baseline:snake"}


def test_rows_of_a_task_that_was_not_evaluated_are_not_found(database):
    run = finetuning(database)
    with pytest.raises(NotFound, match="'chess'"):
        reading.rows(database, run.id, "chess")
    with pytest.raises(NotFound, match="ftn_no"):
        reading.get(database, "ftn_no")
    with pytest.raises(NotFound, match="ftn_no"):
        service.enter(database, "ftn_no", "done")


def test_a_page_is_filtered(database):
    lora = finetuning(database)
    full = finetuning(database, settings={**SETTINGS, "strategy": "full", "preset": None})
    service.finish(database, full.id, "done")

    def found(**wanted) -> list[str]:
        return [run.id for run in reading.page(database, limit=10, **wanted)]

    assert found() == [full.id, lora.id]
    assert found(state="done") == [full.id]
    assert found(preset="quick_lora") == [lora.id]
    assert found(strategy="full", device="cpu", model="models/small") == [full.id]
    assert found(before=full.id) == [lora.id]


def test_a_run_whose_process_was_killed_is_interrupted_and_can_be_resumed(database):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run, other = finetuning(database), finetuning(database, output="/runs/b")
    with database.write() as session:
        dead = update(FineTuningRow).where(FineTuningRow.id == run.id)
        session.execute(dead.values(owner_pid=gone.pid, owner_started_s=1.0))
    assert reading.get(database, run.id).state == "interrupted"
    assert [each.id for each in reading.page(database, state="interrupted", limit=9)] == [run.id]
    assert reading.get(database, other.id).state == "preparing"
    assert finetuning(database).id == run.id
    service.enter(database, run.id, "training")
    assert reading.get(database, run.id).state == "training"


def test_a_recorder_stores_the_events_of_a_run(database):
    run = finetuning(database)
    record = Recorder(database, run.id)
    for event in (
        {"phase": "prepared", "rows": {"train": 8}},
        {"phase": "fitting"},
        {"phase": "probed", "batch_size": 8},
        {"phase": "fitted", **FIT},
        {"phase": "training"},
        {"phase": "import"},
        {"phase": "train", "step": 2, "loss": 1.0},
        {"phase": "train", "step": 4, "loss": 0.5},
    ):
        record(event)
    found = reading.get(database, run.id)
    assert (found.state, found.data, found.micro_batch) == ("training", {"rows": {"train": 8}}, 4)
    assert steps(database, run) == [2, 4]
    record.resumed_from(2)
    record.finish("done", {"step": 4})
    assert steps(database, run) == [2]
    assert reading.get(database, run.id).state == "done"


def test_what_could_not_be_stored_is_stored_when_the_run_ends(database, monkeypatch):
    run = finetuning(database)
    record = Recorder(database, run.id)

    def fails(*_: object) -> None:
        raise MeasurementError("The database is locked.")

    with monkeypatch.context() as away:
        away.setattr(service, "add_events", fails)
        record({"phase": "train", "step": 1, "loss": 1.0})
    assert record.missed
    record.finish("done", {"step": 1}, events=[{"step": 1, "loss": 1.0}], fit=FIT)
    assert steps(database, run) == [1]
    assert reading.get(database, run.id).micro_batch == 4
