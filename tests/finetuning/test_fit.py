"""Fitting settings to a device, with a scripted device: memory is a formula."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from finetuning.fit import Fit, fit
from finetuning.settings.model import FineTuningSettings
from finetuning.settings.presets import preset
from probes.job import BRACKET_PLAN
from probes.max_batch import Ask, MaxBatchSearch, run_search
from probes.max_batch.bounds import Bounds
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement, Purpose, StepTime, Verdict

MIB = 2**20


@dataclass
class ScriptedMeasurer:
    """A model of 100 MiB: base weights, optimizer state, and activations per row and token."""

    limit_mib: float
    asked: list[tuple[dict[str, Any], int]] = field(default_factory=list)

    def find(self, settings: FineTuningSettings) -> MaxBatch:
        effective = settings.training.effective_batch_size
        search = MaxBatchSearch(Bounds(effective_batch_size=effective))
        return run_search(search, lambda ask: self.measure(settings, ask))

    def confirm(self, settings: FineTuningSettings, micro_batch: int) -> Measurement:
        return self.measure(settings, Ask(micro_batch, Purpose.CONFIRM))

    def brief(self, settings: FineTuningSettings, micro_batch: int) -> Measurement:
        return self.measure(settings, Ask(micro_batch, Purpose.BRACKET))

    def measure(self, settings: FineTuningSettings, ask: Ask) -> Measurement:
        self.asked.append((settings.to_plain(), ask.batch_size))
        peak_mib = self.peak_mib(settings, ask.batch_size)
        fits = peak_mib <= self.limit_mib
        slower = 1.3 if settings.training.gradient_checkpointing else 1.0
        step_s = 0.1 * slower * settings.training.effective_batch_size
        return Measurement(
            workload="sft",
            config={},
            batch_size=ask.batch_size,
            device="cpu",
            purpose=ask.purpose,
            verdict=Verdict.STABLE if fits else Verdict.OOM,
            reason="" if fits else "Out of memory.",
            limit_bytes=int(self.limit_mib * MIB),
            cap_bytes=int(self.limit_mib * MIB),
            peak_bytes=int(min(peak_mib, self.limit_mib) * MIB),
            static_bytes=int(100 * MIB),
            step_time=StepTime(
                step_s, step_s, step_s * 0.99, step_s * 1.01, step_s, step_s, 9, 2, True, 0.0
            )
            if fits
            else None,
            steps=BRACKET_PLAN.warmup_steps,
        )

    @staticmethod
    def peak_mib(settings: FineTuningSettings, rows: int) -> float:
        weights = 30.0 if settings.strategy == "qlora" else 100.0
        states = 100.0 if settings.strategy == "full" else 10.0
        if settings.training.optimizer == "adamw_8bit":
            states /= 4
        per_token = 0.02 if settings.training.gradient_checkpointing else 0.2
        return weights + 2 * states + rows * settings.training.max_length * per_token


def settings(name: str = "production_lora", **changes: Any) -> FineTuningSettings:
    return preset(name).settings("m", changes)


def test_a_roomy_device_takes_the_whole_effective_batch_at_once() -> None:
    found = fit(settings(), ScriptedMeasurer(10_000))
    assert found.batches is not None
    assert (found.batches.micro_batch, found.batches.accumulation) == (16, 1)
    assert found.changed == ()


def test_a_smaller_device_keeps_the_rows_per_step_by_accumulation() -> None:
    found = fit(settings(), ScriptedMeasurer(600))
    assert found.batches is not None
    assert found.batches.micro_batch < 16
    assert found.batches.effective >= 16
    assert found.batches.effective - 16 < found.batches.accumulation
    assert found.changed == ()


def test_what_is_fitted_passed_a_confirmation() -> None:
    measurer = ScriptedMeasurer(600)
    found = fit(settings(), measurer)
    assert found.batches is not None
    assert measurer.peak_mib(found.settings, found.batches.micro_batch) <= 600
    assert found.peak_bytes is not None and found.peak_bytes <= 600 * MIB


def test_checkpointing_is_the_first_lever_and_its_cost_in_time_is_measured() -> None:
    found = fit(settings(), ScriptedMeasurer(200))
    assert found.changed == ("gradient_checkpointing",)
    assert found.settings.training.gradient_checkpointing
    assert found.time_ratio == pytest.approx(1.3)
    assert any("1.30" in sentence for sentence in found.sentences)


def test_levers_are_pulled_one_after_the_other_in_the_stated_order() -> None:
    found = fit(settings("full_small"), ScriptedMeasurer(100))
    assert found.changed == ("gradient_checkpointing", "8-bit optimizer", "qlora")
    assert [one.changed for one in found.attempts] == [
        (),
        ("gradient_checkpointing",),
        ("gradient_checkpointing", "8-bit optimizer"),
        ("gradient_checkpointing", "8-bit optimizer", "qlora"),
    ]


def test_where_nothing_fits_every_attempt_keeps_its_reason() -> None:
    found = fit(settings(), ScriptedMeasurer(20))
    assert found.batches is None
    assert len(found.attempts) == 4
    assert all(one.reason for one in found.attempts)
    assert "qlora" in found.sentences[0]


@pytest.mark.parametrize("batch_size", ["auto", 4])
def test_what_fails_for_another_reason_than_memory_pulls_no_lever(batch_size: str | int) -> None:
    class Broken(ScriptedMeasurer):
        def measure(self, settings: FineTuningSettings, ask: Ask) -> Measurement:
            run = super().measure(settings, ask)
            reason = "ValueError: labels are missing"
            return replace(run, verdict=Verdict.CRASH, reason=reason, step_time=None)

    measurer = Broken(10_000)
    found = fit(settings(**{"training.batch_size": batch_size}), measurer)
    assert found.batches is None and len(found.attempts) == 1
    assert len(measurer.asked) <= 2
    assert "labels are missing" in " ".join(found.sentences)
    assert not any("smaller model" in sentence for sentence in found.sentences)
    assert Fit.from_dict(found.to_dict()) == found


def test_settings_that_must_not_change_are_only_fitted_by_the_micro_batch() -> None:
    found = fit(settings(), ScriptedMeasurer(200), may_change=False)
    assert found.batches is None
    assert len(found.attempts) == 1


def test_a_batch_size_that_was_asked_for_is_confirmed_and_not_searched() -> None:
    measurer = ScriptedMeasurer(10_000)
    found = fit(settings(**{"training.batch_size": 4}), measurer)
    assert found.batches is not None
    assert (found.batches.micro_batch, found.batches.accumulation) == (4, 4)
    assert [batch for _, batch in measurer.asked] == [4]


def test_the_answer_survives_its_file() -> None:
    for limit in (20, 200, 10_000):
        found = fit(settings(), ScriptedMeasurer(limit))
        assert Fit.from_dict(found.to_dict()) == found
