"""The logic of the benchmark on fine-tuning: its cases, its records, and what it claims."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.sft.cases import FAMILIES, Case, fit_cases, make_rows, step_cases, texts
from benchmarks.sft.measure import record
from benchmarks.sft.records import Plain, Training, WorkFile
from benchmarks.sft.report import document, fit_summary, row, step_summary, table
from benchmarks.sft.run import cases_of
from finetuning.run import Outcome
from finetuning.run_folder import RunState
from finetuning.settings.presets import PRESETS

CASE = step_cases("mixed")[0]
TRAINED = Training(
    case=CASE.identity,
    fits=True,
    reason="",
    state="done",
    micro_batch=4,
    accumulation=2,
    predicted_peak_bytes=1000,
    predicted_step_s=2.0,
    peak_bytes=990,
    step_s=2.2,
    steps=100,
)


@pytest.fixture
def work(tmp_path: Path) -> WorkFile:
    return WorkFile(tmp_path / "records.jsonl")


def test_every_preset_is_tried_on_every_architecture() -> None:
    for part in ("step", "equal", "plain"):
        assert {(c.preset, c.family) for c in cases_of(part)} == {
            (name, family) for name in PRESETS for family in FAMILIES
        }
    assert len(fit_cases()) >= 40
    identities = [c.identity for part in ("step", "equal", "fit") for c in cases_of(part)]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("case", [*step_cases("mixed"), *fit_cases()], ids=lambda c: c.identity)
def test_a_case_is_evaluated_and_saved_before_its_end(case: Case) -> None:
    settings = case.settings(Path("model"))
    assert settings.training.max_steps == case.steps
    assert settings.reporting.eval_steps == settings.reporting.save_steps <= case.steps // 2


def test_mixed_rows_differ_in_length_and_equal_ones_do_not(tmp_path: Path) -> None:
    lengths = {
        kind: {len(one["prompt"].split()) for one in texts(kind, 48)} for kind in ("mixed", "equal")
    }
    assert len(lengths["equal"]) == 1
    assert len(lengths["mixed"]) > 20
    made = make_rows(tmp_path, "mixed", CASE.shape)
    assert made.read_text() == make_rows(tmp_path, "mixed", CASE.shape).read_text()


def test_records_outlast_a_kill(work: WorkFile) -> None:
    work.add(TRAINED)
    work.add(Plain(CASE.identity, 2, "It is the largest.", 900))
    with work.path.open("a") as file:
        file.write('{"kind": "training", "case": "st')
    again = WorkFile(work.path)
    assert again.trainings == {CASE.identity: TRAINED}
    assert again.plain[CASE.identity].found == 2


def test_errors_are_signed_training_over_prediction(work: WorkFile) -> None:
    work.add(TRAINED)
    (one,) = table(work, [CASE])
    assert (one.peak_error, one.step_error) == (-0.01, 0.1)
    figures = step_summary([one], planned=1)
    assert figures["goals"] == {"peak": True, "step_time": False, "no_out_of_memory": True}


def test_a_goal_is_not_met_before_every_case_was_measured(work: WorkFile) -> None:
    work.add(TRAINED)
    assert not any(step_summary(table(work, [CASE]), planned=10)["goals"].values())
    assert not fit_summary(table(work, [CASE]))["goals"]["none_failed"]


def test_an_out_of_memory_in_training_is_a_failure_and_a_refusal_is_none(work: WorkFile) -> None:
    oom = replace(TRAINED, state="failed", verdict="oom", reason="The cap was exceeded.")
    refused = replace(TRAINED, fits=False, state="failed", reason="These settings do not fit.")
    rows = [row(CASE, one, None) for one in (TRAINED, oom, refused)]
    assert [one.ends for one in rows] == ["trained", "oom", "lacks memory"]
    assert fit_summary(rows * 20)["failed"] == 20
    assert not fit_summary(rows * 20)["goals"]["none_failed"]
    assert fit_summary([rows[0], rows[2]] * 20)["goals"]["none_failed"]


def test_a_run_that_did_not_fit_is_recorded_as_such() -> None:
    outcome = Outcome(RunState.FAILED, Path("out"), "These settings do not fit this device.")
    found = record(CASE, outcome, {"fits": False, "probes": 3, "batches": None})
    assert (found.fits, found.micro_batch, found.probes) == (False, None, 3)


def test_the_report_names_each_case_and_what_a_plain_loss_finds(work: WorkFile) -> None:
    work.add(TRAINED)
    work.add(Plain(CASE.identity, 2, "", 900))
    data, markdown = document(work)
    assert data["step"]["rows"][0]["plain_micro_batch"] == 2
    assert f"| {CASE.preset} | {CASE.family} | 1024 | 4 × 2 |" in markdown


def test_a_plain_loss_is_the_same_number_from_the_whole_batchs_logits(tmp_path: Path) -> None:
    import torch

    from benchmarks.sft.plain_loss import PlainLoss
    from finetuning.models.small import make_small_model
    from finetuning.settings.files import write_settings
    from tests.finetuning.conftest import rows, write_rows

    words = [f"{one['prompt']}{one['completion']}" for one in rows(20, 0)]
    model = make_small_model(tmp_path / "model", words, layers=1, hidden_size=32, positions=256)
    settings = tmp_path / "finetuning.yaml"
    write_settings(CASE.settings(model), settings)
    write_rows(tmp_path / "data" / "train.jsonl", 20, seed=1)
    workload = PlainLoss(str(tmp_path), settings=str(settings))
    config: dict[str, object] = {}
    trained = workload.model(config).eval()
    batch = next(workload.batches(config, 4))
    with torch.no_grad():
        plain, chunked = (
            workload.loss(trained, batch),
            super(PlainLoss, workload).loss(trained, batch),
        )
    assert torch.allclose(plain, chunked, atol=1e-5)
