"""The real thing once: a registered model is fitted and trained by a job's process on the CPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.finetuning_jobs import service as jobs
from app.finetunings import reading
from app.finetunings.request import FineTuningPost
from app.jobs import process, queue, repository, runner_repository
from app.jobs.detect import finetuning_offer
from app.settings import load_settings
from app.tuning.owner import this_place, this_process
from finetuning.models.small import make_small_model
from tests.app.conftest import KINDS
from tests.app.jobs.conftest import offers, run_claimed
from tests.finetuning.conftest import rows, write_rows
from tests.warm import WarmEnvironment

CHANGES = {
    "training.max_length": 96,
    "training.batch_size": 4,
    "training.effective_batch_size": 8,
    "training.max_steps": 2,
    "reporting.logging_steps": 1,
}


@pytest.fixture
def configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_trainer: WarmEnvironment
) -> Path:
    """A folder with a small model, rows, and a ``tonnage.toml`` that registers them."""
    texts = [row["prompt"] + row["completion"] for row in rows(50, 0)]
    make_small_model(tmp_path / "model", texts, layers=1, hidden_size=32, positions=256)
    write_rows(tmp_path / "rows.jsonl", 40, seed=5)
    (tmp_path / "tonnage.toml").write_text(
        'data_dir = "data"\n'
        "[probe]\naccept_disturbed = true\nrepeats_when_disturbed = 0\n"
        f'confirm_steps = 4\nmeasure_budget_s = 0.5\nlease_dir = "{tmp_path / "leases"}"\n'
        '[finetuning]\nmodels = { small = "model" }\ndata = { numbers = "rows.jsonl" }\n'
    )
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("VIRTUAL_ENV", str(warm_trainer.folder))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", KINDS[-1:])
def test_a_registered_model_is_trained(database, configured):
    """On PostgreSQL where there is one; ``test_running.py`` shows the same job on both."""
    settings = load_settings()
    asked = FineTuningPost(
        model="small", data=["numbers"], preset="quick_lora", settings=CHANGES, name="first"
    )
    job_id = jobs.submit(database, settings, asked).id
    offered = replace(offers("cpu"), finetuning=finetuning_offer(settings))
    with database.write() as session:
        runner_repository.add(session, "run_1", this_process(), this_place(), offered)
        runner = runner_repository.locked(session, "run_1")
        assert queue.claim(session, runner) is not None
    status = run_claimed(settings, database, job_id)
    row = reading.get(database, job_id)
    assert (status, row.state, row.reason) == (process.EXIT_DONE, "done", "")
    assert (row.step, row.micro_batch, row.accumulation) == (2, 4, 2)
    assert row.measured_peak_bytes > 0
    assert (configured / "data" / "finetunings" / "first" / "model").is_dir()
    assert len(reading.events(database, job_id)) >= 2
    with database.read() as session:
        kinds = [event.kind for event in repository.events(session, job_id, 0, 99)]
    assert {"phase", "note", "progress"} <= set(kinds)
    assert kinds[-1] == "finished"
