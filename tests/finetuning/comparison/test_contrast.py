"""Which settings tell two runs apart."""

from __future__ import annotations

import numpy as np
import pytest

from finetuning.comparison.contrast import contrast
from finetuning.comparison.result import ContrastKind
from finetuning.comparison.runs import read_runs
from tests.finetuning.comparison.made import SCORE, rows, write_run


@pytest.fixture
def between(tmp_path):
    def made(ours=None, theirs=None, *, data=(None, None), settings=(True, True)):
        folders = []
        for name, changes, lines, has in zip("ab", (ours, theirs), data, settings):
            task = ((SCORE,), rows("snake", {"score": np.ones(6)}))
            folder = write_run(tmp_path / name, {"snake": task}, changes=changes, settings=has)
            if lines is not None:
                (folder / "data").mkdir()
                (folder / "data/train.jsonl").write_text(lines)
            folders.append(folder)
        return contrast(*read_runs(folders))

    return made


def names(found):
    return [one.setting for one in found.differing]


def test_one_setting_is_an_ablation_and_is_named(between):
    found = between(None, {"lora.r": 32})
    assert (found.kind, names(found)) == (ContrastKind.ABLATION, ["lora.r"])
    assert "lora.r is 32 instead of 16" in found.text


def test_several_settings_cannot_be_attributed(between):
    found = between(None, {"lora.r": 32, "training.epochs": 1.0})
    assert found.kind is ContrastKind.SEVERAL
    assert names(found) == ["lora.r", "training.epochs"]
    assert "cannot be attributed" in found.text


@pytest.mark.parametrize("theirs", ["full", "qlora"])
def test_what_only_one_strategy_uses_belongs_to_the_strategy(between, theirs):
    changes = {"strategy": theirs, "quantization.double_quant": False}
    if theirs == "full":
        changes["lora.r"] = 64
    found = between({"strategy": "lora"}, changes)
    assert (found.kind, names(found)) == (ContrastKind.STRATEGY, ["strategy"])


def test_adapters_count_between_two_strategies_that_have_them(between):
    found = between({"strategy": "lora"}, {"strategy": "qlora", "lora.r": 64})
    assert (found.kind, names(found)) == (ContrastKind.SEVERAL, ["lora.r", "strategy"])


def test_the_fitted_batch_size_and_the_name_of_the_preset_are_no_difference(between):
    found = between({"training.batch_size": 2}, {"training.batch_size": 8, "preset": "research"})
    assert (found.kind, found.differing) == (ContrastKind.REPEAT, ())


def test_the_effective_batch_size_is_a_difference(between):
    found = between(None, {"training.effective_batch_size": 64})
    assert found.kind is ContrastKind.ABLATION


def test_another_seed_is_a_repetition(between):
    found = between(None, {"training.seed": 7})
    assert found.kind is ContrastKind.REPEAT
    assert "another seed" in found.text


def test_other_training_rows_are_no_ablation_of_a_setting(between):
    assert between(None, None, data=("1\n", "2\n")).kind is ContrastKind.ABLATION


def test_other_training_rows_beside_another_setting_are_two_differences(between):
    found = between(None, {"lora.r": 32}, data=("1\n", "2\n"))
    assert (found.kind, names(found)) == (ContrastKind.SEVERAL, ["lora.r", "training rows"])


def test_a_model_without_settings_is_unknown(between):
    found = between(settings=(False, True))
    assert (found.kind, found.differing) == (ContrastKind.UNKNOWN, ())
