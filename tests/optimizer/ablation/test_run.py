"""An ablation, from its question to evidence, on a scripted bench."""

from __future__ import annotations

import json
from typing import Any

import pytest

from optimizer.ablation import (
    AblationEvent,
    AblationLimits,
    Arm,
    At,
    ClaimVerdict,
    Ending,
    Evidence,
    Quantity,
    Question,
    run,
)
from probes.errors import InputError, MeasurementError
from probes.max_batch.bounds import Bounds
from probes.measurement import Measurement, Verdict
from tests.optimizer.ablation.scripted import MIB, ScriptedBench, question

NOISY: dict[str, Any] = {"noise": 0.02, "drift": 0.003}


def answer(bench: ScriptedBench, asked: Question, **options: Any) -> Evidence:
    (evidence,) = run([asked], bench, **options)
    return evidence


class TestTheAnswer:
    def test_a_saving_within_the_claim_is_confirmed(self) -> None:
        claim = question(Quantity.ACTIVATION_MEMORY, low=-0.6, high=-0.5)

        evidence = answer(ScriptedBench(saving=0.55), claim)

        assert evidence.verdict is ClaimVerdict.CONFIRMED
        assert evidence.change == pytest.approx(-0.55, abs=0.001)
        assert (evidence.before_batch, evidence.after_batch) == (16, 16)
        assert evidence.before_value == pytest.approx(64 * MIB)

    def test_a_saving_outside_the_claim_is_refuted_and_both_figures_are_told(self) -> None:
        claim = question(Quantity.ACTIVATION_MEMORY, low=-0.6, high=-0.5)

        evidence = answer(ScriptedBench(saving=0.41), claim)

        assert evidence.verdict is ClaimVerdict.REFUTED
        assert "50–60 % less activation memory" in evidence.reason
        assert "41 %" in evidence.reason

    def test_an_interval_across_the_edge_of_the_claim_is_undecided(self) -> None:
        claim = question(Quantity.ACTIVATION_MEMORY, low=-0.6, high=-0.5)

        evidence = answer(ScriptedBench(saving=0.5), claim)

        assert evidence.verdict is ClaimVerdict.UNDECIDED
        assert evidence.ending is Ending.MEASURED

    def test_memory_is_compared_at_a_batch_that_needs_enough_of_it(self) -> None:
        claim = question(Quantity.ACTIVATION_MEMORY, low=-0.6, high=-0.5, batch_size=None)

        evidence = answer(ScriptedBench(saving=0.55, bytes_per_sample=MIB // 4), claim)

        assert evidence.verdict is ClaimVerdict.CONFIRMED
        assert evidence.after_value is not None and evidence.after_value >= 32 * MIB

    def test_memory_without_noise_has_the_interval_of_its_resolution(self) -> None:
        evidence = answer(ScriptedBench(saving=0.5), question(Quantity.ACTIVATION_MEMORY, low=-1))

        assert evidence.low is not None
        assert evidence.high is not None
        assert 0.005 < evidence.high - evidence.low < 0.02
        assert evidence.pairs == 4

    def test_a_claim_of_a_single_figure_holds_for_what_is_near(self) -> None:
        same = question(Quantity.PEAK_MEMORY, low=0.0, high=0.0)

        assert answer(ScriptedBench(), same).verdict is ClaimVerdict.CONFIRMED
        assert answer(ScriptedBench(saving=0.5), same).verdict is ClaimVerdict.REFUTED

    def test_throughput_is_the_inverse_of_the_time(self) -> None:
        evidence = answer(
            ScriptedBench(effect=-0.5), question(Quantity.THROUGHPUT, low=0.9, high=1.1)
        )

        assert evidence.verdict is ClaimVerdict.CONFIRMED
        assert evidence.before_value == pytest.approx(80)

    def test_throughput_counts_tokens_where_the_lever_changes_what_a_sample_is(self) -> None:
        bench = ScriptedBench(tokens={"before": 100.0, "after": 200.0})
        packed = question(
            Quantity.THROUGHPUT, low=0.0, before={"packing": False}, after={"packing": True}
        )

        evidence = answer(bench, packed)

        assert evidence.change == pytest.approx(1.0, abs=0.01)

    def test_evidence_survives_json(self) -> None:
        evidence = answer(ScriptedBench(**NOISY), question(low=-0.1, high=0.1))

        assert Evidence.from_dict(json.loads(json.dumps(evidence.to_dict()))) == evidence

    def test_evidence_says_where_and_with_what_it_was_measured(self) -> None:
        evidence = answer(ScriptedBench(kind="cuda"), question(low=-0.1, high=0.1))

        assert (evidence.device, evidence.fingerprint) == ("cuda", "f" * 16)
        assert (evidence.tonnage, evidence.torch) == ("0.0", "2.0")


class TestTheRuns:
    def test_questions_about_one_change_share_their_probes(self) -> None:
        bench = ScriptedBench(effect=0.25, saving=0.55)
        asked = [
            question(Quantity.STEP_TIME, low=0.2, high=0.3),
            question(Quantity.ACTIVATION_MEMORY, low=-0.6, high=-0.5),
        ]

        found = run(asked, bench)

        assert [e.quantity for e in found] == [Quantity.STEP_TIME, Quantity.ACTIVATION_MEMORY]
        assert {e.verdict for e in found} == {ClaimVerdict.CONFIRMED}
        assert len(bench.probed) == 2 + 2 * 4

    def test_of_memory_few_steps_are_run_and_of_time_many(self) -> None:
        steps = {}
        for quantity in (Quantity.PEAK_MEMORY, Quantity.STEP_TIME):
            bench = ScriptedBench()
            run([question(quantity, low=-0.1, high=0.1)], bench)
            steps[quantity] = bench.plans[-1].max_measure_steps
        assert steps[Quantity.PEAK_MEMORY] < 10 < steps[Quantity.STEP_TIME]

    def test_sides_alternate_in_blocks_that_are_their_own_reverse(self) -> None:
        bench = ScriptedBench(**NOISY)
        answer(bench, question(low=0.2, high=0.3), seed=5)

        paired = [name for name, _ in bench.probed[2:]]
        blocks = [paired[i : i + 4] for i in range(0, len(paired), 4)]
        assert all(block == block[::-1] and block[0] != block[1] for block in blocks)

    def test_the_seed_decides_which_side_begins(self) -> None:
        firsts = set()
        for seed in range(8):
            bench = ScriptedBench()
            answer(bench, question(low=0.2, high=0.3), seed=seed)
            firsts.add(bench.probed[2][0])

        assert firsts == {"before", "after"}

    def test_without_a_stated_batch_one_is_taken_that_the_device_carries(self) -> None:
        bench = ScriptedBench(step_s=0.01, cap_bytes=400 * MIB)

        evidence = answer(bench, question(low=-1, batch_size=None))

        assert evidence.before_batch is not None
        assert 8 < evidence.before_batch <= 75

    def test_a_stated_batch_that_does_not_fit_is_made_smaller(self) -> None:
        bench = ScriptedBench(cap_bytes=140 * MIB)

        assert answer(bench, question(low=-1, batch_size=64)).before_batch == 4

    def test_the_batch_size_itself_may_be_what_changes(self) -> None:
        bench = ScriptedBench()
        batching = question(
            Quantity.THROUGHPUT, low=0.5, before={"batch_size": 1}, after={"batch_size": 8}
        )

        evidence = answer(bench, batching)

        assert (evidence.before_batch, evidence.after_batch) == (1, 8)
        assert evidence.change == pytest.approx(7.0, abs=0.01)

    def test_every_step_is_reported(self) -> None:
        events: list[AblationEvent] = []
        answer(ScriptedBench(), question(low=-0.1, high=0.1), report=events.append)

        kinds = [event.kind for event in events]
        assert kinds[0] == "arms"
        assert kinds[-1] == "answered"
        assert kinds.count("pair") == 4


class TestMaximumBatches:
    def test_the_maxima_are_searched_and_bound_the_change(self) -> None:
        bench = ScriptedBench(saving=0.5, cap_bytes=500 * MIB)
        claim = question(Quantity.MAX_BATCH, low=0.5, at=At.EACH_MAXIMUM)

        evidence = answer(bench, claim)

        assert evidence.verdict is ClaimVerdict.CONFIRMED
        assert evidence.before_batch in range(97, 101)
        assert evidence.low is not None
        assert evidence.high is not None
        assert evidence.low < 1.0 < evidence.high

    def test_throughput_is_compared_at_each_ones_maximum(self) -> None:
        bench = ScriptedBench(saving=0.5, cap_bytes=500 * MIB)
        claim = question(Quantity.THROUGHPUT, low=0.5, at=At.EACH_MAXIMUM)

        evidence = answer(bench, claim)

        assert evidence.after_batch is not None
        assert evidence.before_batch is not None
        assert evidence.after_batch > 1.8 * evidence.before_batch
        assert evidence.change == pytest.approx(1.0, abs=0.1)

    def test_a_maximum_that_memory_does_not_limit_bounds_one_side_only(self) -> None:
        class Small(ScriptedBench):
            bounds = property(lambda self: Bounds(dataset_size=120))

        bench = Small(saving=0.9, cap_bytes=500 * MIB)

        evidence = answer(bench, question(Quantity.MAX_BATCH, low=0.1, at=At.EACH_MAXIMUM))

        assert evidence.after_batch == 120
        assert evidence.high is None
        assert evidence.verdict is ClaimVerdict.CONFIRMED
        assert evidence.notes

    def test_a_side_that_does_not_fit_at_all_is_an_answer(self) -> None:
        bench = ScriptedBench(
            cap_bytes=500 * MIB,
            verdict=lambda arm, b: Verdict.OOM if arm.name == "before" else Verdict.STABLE,
        )

        evidence = answer(bench, question(Quantity.MAX_BATCH, low=0.1, at=At.EACH_MAXIMUM))

        assert evidence.ending is Ending.DOES_NOT_FIT
        assert evidence.change is None


class TestWhatCannotBeMeasured:
    @pytest.mark.parametrize(
        ("verdict", "ending"),
        [
            (Verdict.UNSUPPORTED, Ending.UNSUPPORTED),
            (Verdict.OOM, Ending.DOES_NOT_FIT),
            (Verdict.NON_FINITE, Ending.NON_FINITE),
            (Verdict.CRASH, Ending.FAILED),
            (Verdict.TIMEOUT, Ending.FAILED),
            (Verdict.LEAK, Ending.FAILED),
        ],
    )
    def test_a_side_that_does_not_run_leaves_the_claim_undecided_with_the_reason(
        self, verdict: Verdict, ending: Ending
    ) -> None:
        bench = ScriptedBench(
            verdict=lambda arm, b: verdict if arm.name == "after" else Verdict.STABLE
        )

        evidence = answer(bench, question(low=0.2, high=0.3))

        assert evidence.verdict is ClaimVerdict.UNDECIDED
        assert evidence.ending is ending
        assert str(verdict) in evidence.reason
        assert evidence.change is None

    def test_a_claim_of_another_kind_of_device_runs_nothing(self) -> None:
        bench = ScriptedBench()

        evidence = answer(bench, question(low=0.2, devices=("cuda",)))

        assert evidence.ending is Ending.UNSUPPORTED
        assert bench.probed == []

    @pytest.mark.parametrize(
        ("error", "ending"),
        [
            (InputError("no such option"), Ending.UNSUPPORTED),
            (MeasurementError("no torch"), Ending.FAILED),
        ],
    )
    def test_an_error_is_an_answer_too(self, error: Exception, ending: Ending) -> None:
        class Broken(ScriptedBench):
            def probe(self, *args: Any) -> Measurement:
                raise error

        evidence = answer(Broken(), question(low=0.2))

        assert (evidence.ending, evidence.reason) == (ending, str(error))

    def test_activations_too_small_to_see_are_said_to_be(self) -> None:
        bench = ScriptedBench(bytes_per_sample=1000)

        evidence = answer(bench, question(Quantity.ACTIVATION_MEMORY, low=-0.6, high=-0.5))

        assert evidence.ending is Ending.FAILED
        assert "too little" in evidence.reason

    def test_a_single_probe_that_fails_among_pairs_loses_its_pair_only(self) -> None:
        bench = ScriptedBench()
        bench.verdict = lambda arm, b: Verdict.CRASH if len(bench.probed) == 5 else Verdict.STABLE

        evidence = answer(bench, question(low=-0.1, high=0.1))

        assert evidence.verdict is ClaimVerdict.CONFIRMED
        assert evidence.ending is Ending.MEASURED

    def test_a_side_that_keeps_failing_ends_it(self) -> None:
        bench = ScriptedBench()
        bench.verdict = lambda arm, b: (
            Verdict.CRASH if len(bench.probed) > 4 and arm.name == "after" else Verdict.STABLE
        )

        assert answer(bench, question(low=-0.1, high=0.1)).ending is Ending.FAILED


class TestBudgets:
    def test_pairs_end_with_their_number(self) -> None:
        bench = ScriptedBench(effect=0.2, noise=0.1)
        limits = AblationLimits(max_pairs=6)

        evidence = answer(bench, question(low=0.2, high=0.3), limits=limits)

        assert evidence.pairs == 6
        assert evidence.verdict is ClaimVerdict.UNDECIDED

    def test_a_spent_time_decides_nothing(self) -> None:
        limits = AblationLimits(budget_s=0.0)

        evidence = answer(ScriptedBench(), question(low=-0.1, high=0.1), limits=limits)

        assert evidence.verdict is ClaimVerdict.UNDECIDED
        assert evidence.pairs == 0

    def test_too_few_pairs_bound_nothing(self) -> None:
        limits = AblationLimits(max_pairs=2)

        evidence = answer(ScriptedBench(), question(low=-0.1, high=0.1), limits=limits)

        assert evidence.verdict is ClaimVerdict.UNDECIDED
        assert (evidence.pairs, evidence.low, evidence.high) == (2, None, None)


class TestLosses:
    def test_losses_of_trainings_from_the_same_seed_are_compared(self) -> None:
        def loss(arm: Arm, seed: int) -> float:
            return (2.0 + 0.3 * seed) * (0.9 if arm.name == "after" else 1.0)

        evidence = answer(ScriptedBench(losses=loss), question(Quantity.LOSS, high=0.0))

        assert evidence.verdict is ClaimVerdict.CONFIRMED
        assert evidence.change == pytest.approx(-0.1)
        assert evidence.pairs == 4

    def test_a_loss_that_is_no_number_ends_it(self) -> None:
        bench = ScriptedBench(losses=lambda arm, seed: float("nan"))

        assert answer(bench, question(Quantity.LOSS, high=0.0)).ending is Ending.NON_FINITE

    def test_an_error_of_outputs_is_judged_by_its_size(self) -> None:
        bench = ScriptedBench(losses=lambda arm, seed: 0.02 + 0.001 * seed)
        merge = question(
            Quantity.OUTPUT_ERROR, low=0.01, before={"merge": False}, after={"merge": True}
        )

        evidence = answer(bench, merge)

        assert evidence.verdict is ClaimVerdict.CONFIRMED
        assert evidence.change == pytest.approx(0.0215, abs=0.001)

    def test_an_error_of_outputs_of_another_lever_is_not_measured(self) -> None:
        evidence = answer(ScriptedBench(), question(Quantity.OUTPUT_ERROR, low=0.01))

        assert evidence.ending is Ending.UNSUPPORTED
