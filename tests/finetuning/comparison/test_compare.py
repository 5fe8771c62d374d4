"""Run folders in, a comparison out."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import numpy as np
import pytest

from finetuning.comparison.compare import compare
from finetuning.comparison.result import Comparison, ContrastKind, Finding
from finetuning.evaluation.figures import summary, write_json
from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import write_rows
from finetuning.tasks.snake import SnakeTask
from probes.errors import InputError
from tests.finetuning.comparison.made import PERPLEXITY, SCORE, WIN, rows, write_run

RNG = np.random.default_rng(9)
GAME = RNG.gamma(6, 3, 24)
NOISE = RNG.normal(0, 1, 24)
FEW = 499


def snake(score, **options):
    return {"snake": ((SCORE,), rows("snake", {"score": score}, **options))}


def language(nll, **options):
    columns = {"nll": nll, "tokens": np.full(len(nll), 20)}
    return {"language": ((PERPLEXITY,), rows("language", columns, **options))}


def run(folder, gain=0.0, **options):
    return write_run(folder, snake(GAME + gain + (NOISE if gain else 0)), **options)


def only(comparison):
    assert len(comparison.tests) == 1
    return comparison.tests[0]


def test_two_copies_of_one_model_are_equal(tmp_path):
    first = write_run(tmp_path / "a", {**snake(GAME), **language(NOISE + 2)})
    shutil.copytree(first, tmp_path / "b")
    comparison = compare(first, tmp_path / "b")
    assert [test.finding for test in comparison.tests] == [Finding.EQUAL] * 2
    assert {test.p_value for test in comparison.tests} == {1.0}
    assert {test.difference for test in comparison.tests} == {0.0}


def test_a_folder_beside_itself_is_equal(tmp_path):
    folder = run(tmp_path / "a")
    comparison = compare(folder, folder)
    assert only(comparison).finding is Finding.EQUAL
    assert [one.name for one in comparison.runs] == ["a", "a (2)"]


def test_a_higher_score_is_better_and_a_higher_perplexity_is_worse(tmp_path):
    a = write_run(tmp_path / "a", {**snake(GAME), **language(np.full(24, 2.0))})
    b = write_run(tmp_path / "b", {**snake(GAME + 5 + NOISE), **language(2.5 + NOISE / 10)})
    findings = {test.metric: test.finding for test in compare(a, b).tests}
    assert findings == {"score": Finding.BETTER, "perplexity": Finding.WORSE}
    turned = {test.metric: test.finding for test in compare(b, a).tests}
    assert turned == {"score": Finding.WORSE, "perplexity": Finding.BETTER}


def test_a_difference_is_the_model_minus_the_baseline_with_its_interval(tmp_path):
    test = only(compare(run(tmp_path / "a"), run(tmp_path / "b", gain=5)))
    assert test.difference == pytest.approx(5 + NOISE.mean())
    assert test.low < test.difference < test.high
    assert test.high - test.low < 2
    assert (test.baseline, test.model, test.groups) == ("a", "b", 24)
    assert test.effect_low < test.effect_size < test.effect_high


def test_several_runs_are_tested_pair_by_pair_or_against_the_baseline(tmp_path):
    folders = [run(tmp_path / name, gain) for name, gain in (("a", 0), ("b", 1), ("c", 2))]
    every = compare(*folders, resamples=FEW)
    assert [(t.baseline, t.model) for t in every.tests] == [("a", "b"), ("a", "c"), ("b", "c")]
    for baseline in ("b", folders[1]):
        against = compare(*folders, baseline=baseline, resamples=FEW)
        assert [(t.baseline, t.model) for t in against.tests] == [("b", "a"), ("b", "c")]
        assert against.baseline == "b"


def test_a_baseline_that_is_not_among_the_runs_joins_them(tmp_path):
    folders = [run(tmp_path / name, gain) for name, gain in (("base", 0), ("b", 1))]
    comparison = compare(folders[1], baseline=folders[0], resamples=FEW)
    assert [one.name for one in comparison.runs] == ["base", "b"]


def test_holm_corrects_over_all_tests_of_the_report(tmp_path):
    a = write_run(tmp_path / "a", {**snake(GAME), **language(NOISE / 9 + 2)})
    b = write_run(tmp_path / "b", {**snake(GAME + 5 + NOISE), **language(NOISE[::-1] / 9 + 2)})
    comparison = compare(a, b)
    assert comparison.tests_corrected == 2
    smallest, largest = sorted(comparison.tests, key=lambda test: test.p_value)
    assert smallest.p_adjusted == pytest.approx(2 * smallest.p_value)
    assert largest.p_adjusted == pytest.approx(max(largest.p_value, smallest.p_adjusted))


def test_a_p_that_does_not_survive_the_correction_is_no_finding(tmp_path):
    rng = np.random.default_rng(2)
    metrics = [replace(SCORE, name=f"score-{n}", column=f"c{n}") for n in range(12)]
    base = {f"c{n}": rng.normal(size=24) for n in range(12)}
    other = {name: values + rng.normal(size=24) for name, values in base.items()}
    noise = rng.normal(size=24)
    other["c0"] = base["c0"] + (noise - noise.mean()) / noise.std(ddof=1) + 0.47
    folders = [
        write_run(tmp_path / name, {"snake": (metrics, rows("snake", columns))})
        for name, columns in (("a", base), ("b", other))
    ]
    test = compare(*folders).tests[0]
    assert test.p_value < 0.05 < test.p_adjusted
    assert test.finding is Finding.NO_DIFFERENCE


def test_where_no_difference_is_found_it_is_said_what_could_have_been(tmp_path):
    a = run(tmp_path / "a", noun="game")
    b = write_run(tmp_path / "b", snake(GAME + NOISE - NOISE.mean() + 0.05), noun="game")
    test = only(compare(a, b))
    assert test.finding is Finding.NO_DIFFERENCE
    assert 0.3 < test.detectable < 1.2
    assert "24 games" in test.sentence


@pytest.mark.parametrize("games, told", [(5, False), (6, True)])
def test_fewer_than_six_groups_cannot_tell(tmp_path, games, told):
    a = write_run(tmp_path / "a", snake(np.arange(games)))
    b = write_run(tmp_path / "b", snake(np.arange(games) + 9.0 + np.arange(games) % 2))
    test = only(compare(a, b))
    assert (test.finding is Finding.BETTER) is told
    assert (test.finding is Finding.CANNOT_TELL) is not told
    assert ("at least 6" in test.reason) is not told
    assert test.difference == pytest.approx(9 + (np.arange(games) % 2).mean())


def test_groups_are_counted_and_not_items(tmp_path):
    a = write_run(tmp_path / "a", snake(GAME, per_group=6))
    b = write_run(tmp_path / "b", snake(GAME + 50, per_group=6))
    test = only(compare(a, b))
    assert (test.items, test.groups, test.finding) == (24, 4, Finding.CANNOT_TELL)


def test_six_groups_cannot_tell_among_many_tests(tmp_path):
    metrics = [replace(SCORE, name=f"score-{n}", column=f"c{n}") for n in range(4)]
    folders = [
        write_run(
            tmp_path / name,
            {"snake": (metrics, rows("snake", {f"c{n}": values for n in range(4)}))},
        )
        for name, values in (("a", np.arange(6.0)), ("b", np.arange(6.0) + 9))
    ]
    tests = compare(*folders).tests
    assert {test.finding for test in tests} == {Finding.CANNOT_TELL}
    assert "at least 8 are needed" in tests[0].reason


def test_unpaired_and_broken_items_are_left_out_with_a_note(tmp_path):
    a = write_run(tmp_path / "a", snake(GAME))
    b = write_run(tmp_path / "b", snake([*(GAME[2:-1] + 4 + NOISE[3:]), math.nan], first=2))
    comparison = compare(a, b)
    test = only(comparison)
    assert (test.items, test.unpaired, test.unusable) == (21, 2, 1)
    assert [note for note in comparison.notes if "2 items" in note and "1 item " in note]


def test_a_task_that_one_run_lacks_is_left_out_with_a_note(tmp_path):
    a = write_run(tmp_path / "a", {**snake(GAME), **language(NOISE + 2)})
    comparison = compare(a, run(tmp_path / "b", 1), resamples=FEW)
    assert [test.task for test in comparison.tests] == ["snake"]
    assert "'language' was evaluated for a and not for b" in comparison.notes[0]


def test_speed_is_shown_and_never_tested(tmp_path):
    speed = Metric("answer_time", "ms", Direction.LOWER, "Per answer", unit="ms")
    folders = [
        write_run(
            tmp_path / name,
            {"snake": ((SCORE, speed), rows("snake", {"score": GAME, "ms": GAME * slow}))},
        )
        for name, slow in (("a", 1), ("b", 2))
    ]
    comparison = compare(*folders)
    assert [test.metric for test in comparison.tests] == ["score"]
    assert {f.metric for f in comparison.figures} == {"score", "answer_time"}
    assert any("answer time" in note for note in comparison.notes)


def test_figures_are_given_per_model_task_and_source(tmp_path):
    folders = [
        write_run(tmp_path / name, snake(GAME + gain, sources=("8x8", "10x10")))
        for name, gain in (("a", 0), ("b", 1))
    ]
    comparison = compare(*folders, resamples=FEW)
    found = {(f.model, f.source): f for f in comparison.figures}
    assert found.keys() == {(m, s) for m in "ab" for s in (None, "8x8", "10x10")}
    assert found["a", "8x8"].value == pytest.approx(GAME[::2].mean())
    assert found["b", None].low < found["b", None].value < found["b", None].high
    assert (found["a", "8x8"].items, found["a", None].items) == (12, 24)


def test_tests_by_source_count_in_the_correction(tmp_path):
    folders = [
        write_run(tmp_path / name, snake(values, sources=("8x8", "10x10")))
        for name, values in (("a", GAME), ("b", GAME + 1 + NOISE))
    ]
    comparison = compare(*folders, by_source=True, resamples=FEW)
    assert [test.source for test in comparison.tests] == [None, "10x10", "8x8"]
    assert comparison.tests_corrected == 3


def test_the_seed_decides_and_one_more_run_changes_no_p(tmp_path):
    folders = [run(tmp_path / name, gain) for name, gain in (("a", 0), ("b", 0.2), ("c", 2))]
    two = compare(*folders[:2], seed=4, resamples=FEW)
    assert two == compare(*folders[:2], seed=4, resamples=FEW)
    assert two != compare(*folders[:2], seed=5, resamples=FEW)
    three = compare(*folders, baseline="a", seed=4, resamples=FEW)
    assert three.tests[0].p_value == two.tests[0].p_value


def test_a_comparison_round_trips_through_json(tmp_path):
    comparison = compare(run(tmp_path / "a"), run(tmp_path / "b", 1), resamples=FEW)
    assert Comparison.from_plain(json.loads(comparison.to_json())) == comparison


@pytest.mark.parametrize("change", [{"format": 99}, {"surprise": 1}, {"tests": [{"task": "x"}]}])
def test_what_is_no_comparison_is_refused(tmp_path, change):
    plain = compare(run(tmp_path / "a"), run(tmp_path / "b", 1), resamples=FEW).to_plain()
    with pytest.raises(InputError):
        Comparison.from_plain({**plain, **change})


def test_a_model_whose_figure_is_not_finite_cannot_be_told(tmp_path):
    a = write_run(tmp_path / "a", language(np.full(24, 2.0) + NOISE / 10))
    b = write_run(tmp_path / "b", language(np.full(24, 2000.0)))
    comparison = compare(a, b)
    test = only(comparison)
    assert (test.finding, test.model_value) == (Finding.CANNOT_TELL, None)
    assert "not a finite number" in test.reason
    json.loads(comparison.to_json())


class TestWrongInput:
    def test_one_run(self, tmp_path):
        with pytest.raises(InputError, match="at least two runs"):
            compare(run(tmp_path / "a"))

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(InputError, match="nowhere is not a folder"):
            compare(run(tmp_path / "a"), tmp_path / "nowhere")

    def test_a_folder_without_an_evaluation(self, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"no evaluation.*tonnage finetune evaluate"):
            compare(run(tmp_path / "a"), tmp_path / "empty")

    def test_an_evaluation_that_did_not_end(self, tmp_path):
        folder = run(tmp_path / "b")
        (folder / "evaluation/snake/summary.json").unlink()
        with pytest.raises(InputError, match="did not end"):
            compare(run(tmp_path / "a"), folder)

    def test_no_task_in_common(self, tmp_path):
        b = write_run(tmp_path / "b", language(NOISE))
        with pytest.raises(InputError, match="no task and metric in common"):
            compare(run(tmp_path / "a"), b)

    def test_other_items(self, tmp_path):
        b = write_run(tmp_path / "b", snake(GAME, first=100))
        with pytest.raises(InputError, match="no item in common"):
            compare(run(tmp_path / "a"), b)

    def test_items_of_other_groups(self, tmp_path):
        b = write_run(tmp_path / "b", snake(GAME, per_group=2))
        with pytest.raises(InputError, match="not evaluated on the same items"):
            compare(run(tmp_path / "a"), b)

    def test_a_metric_that_changed_its_direction(self, tmp_path):
        turned = replace(SCORE, direction=Direction.LOWER)
        b = write_run(tmp_path / "b", {"snake": ((turned,), rows("snake", {"score": GAME}))})
        with pytest.raises(InputError, match="'score' differently"):
            compare(run(tmp_path / "a"), b)

    def test_a_baseline_that_is_unknown(self, tmp_path):
        with pytest.raises(InputError, match="Unknown baseline 'c'"):
            compare(run(tmp_path / "a"), run(tmp_path / "b", 1), baseline="c")

    @pytest.mark.parametrize(
        "wrong", [{"level": 0}, {"level": 1.5}, {"seed": -1}, {"resamples": 10}]
    )
    def test_a_method_out_of_its_range(self, tmp_path, wrong):
        with pytest.raises(InputError, match=next(iter(wrong))):
            compare(run(tmp_path / "a"), run(tmp_path / "b", 1), **wrong)

    def test_a_metric_without_a_direction(self, tmp_path):
        folder = run(tmp_path / "b")
        summary = {"metrics": [{"name": "score", "column": "score"}]}
        (folder / "evaluation/snake/summary.json").write_text(json.dumps(summary))
        with pytest.raises(InputError, match="direction"):
            compare(run(tmp_path / "a"), folder)


def test_win_rates_are_compared_too(tmp_path):
    wins = np.array([0.0] * 12 + [1.0] * 12)
    folders = [
        write_run(tmp_path / name, {"snake": ((WIN,), rows("snake", {"win": values}))})
        for name, values in (("a", wins), ("b", np.ones(24)))
    ]
    test = only(compare(*folders))
    assert (test.baseline_value, test.model_value) == (0.5, 1.0)
    assert test.finding is Finding.BETTER


def test_a_run_alone_is_compared_with_the_baseline_evaluated_with_it(tmp_path):
    folder = run(tmp_path / "out", 5)
    write_run(folder / "baseline", snake(GAME), settings=False)
    comparison = compare(folder, resamples=FEW)
    test = only(comparison)
    assert (test.baseline, test.model, test.finding) == ("baseline", "out", Finding.BETTER)
    assert comparison.contrasts[0].kind is ContrastKind.TRAINED


def test_a_metric_on_another_scale_is_not_tested_twice(tmp_path):
    loss = replace(PERPLEXITY, name="loss", exponential=False)
    columns = {"tokens": np.full(24, 9.0)}
    folders = [
        write_run(
            tmp_path / name,
            {"language": ((PERPLEXITY, loss), rows("language", {**columns, "nll": nll}))},
        )
        for name, nll in (("a", GAME / 9), ("b", GAME / 9 + NOISE / 9))
    ]
    comparison = compare(*folders, resamples=FEW)
    assert [test.metric for test in comparison.tests] == ["perplexity"]
    assert any("loss is perplexity on another scale" in note for note in comparison.notes)


def test_the_evaluation_s_own_folder_is_read(tmp_path):
    """The contract with the evaluation: what it writes, this reads."""
    for name, gain in (("a", 0), ("b", 5)):
        target = tmp_path / name / "evaluation" / "snake"
        target.mkdir(parents=True)
        made = rows("snake", {"score": GAME + gain + (NOISE if gain else 0)})
        write_rows(target / "rows.jsonl", made)
        extra = {"noun": SnakeTask.noun}
        write_json(target / "summary.json", summary("snake", (SCORE,), made, extra))
    test = only(compare(tmp_path / "a", tmp_path / "b", resamples=FEW))
    assert (test.finding, test.noun, test.direction) == (Finding.BETTER, "game", Direction.HIGHER)
