"""The demo: the window that it derives from this machine, and the sentences at its end."""

from __future__ import annotations

import json
import math
import runpy
from pathlib import Path

import pytest

from app import demo
from optimizer.budgets import DEFAULT_BUDGETS
from tests.app.dashboard.results import windowed


@pytest.mark.parametrize(
    ("one_s", "tried_s", "longest_s"),
    [(0.01, 0.06, 0.06), (0.02, 0.12, 0.12), (0.005, 0.03, 0.03), (0.02, 0.021, 0.03)],
    ids=["usual", "half as fast", "twice as fast", "accelerator"],
)
def test_the_window_follows_the_speed_of_the_machine(
    one_s: float, tried_s: float, longest_s: float
) -> None:
    budget = DEFAULT_BUDGETS[demo.BUDGET].scaled(demo.time_scale(one_s, tried_s))
    assert budget.longest_step_s == pytest.approx(longest_s, rel=0.05)


def test_its_space_has_the_models_that_it_speaks_of() -> None:
    path, _, name = demo.WORKLOAD.partition(":")
    space = runpy.run_path(str(demo.FOLDER / path))[name].space(None)
    assert math.prod(len(values) for values in space.values()) == demo.MODELS
    assert {dimension: min(values) for dimension, values in space.items()} == demo.SMALLEST


def test_the_window_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []

    def probe(*arguments: str, capture: bool = False) -> str:
        ran.append(arguments)
        return json.dumps({"step_time": {"mean_s": 0.1 * len(ran)}})

    monkeypatch.setattr(demo, "tonnage", probe)
    first = demo.window_of(tmp_path / "data" / "demo.json", "cpu", [demo.WORKLOAD])
    assert demo.window_of(tmp_path / "data" / "demo.json", "cpu", [demo.WORKLOAD]) == first
    assert first == demo.time_scale(0.1, 0.2) and len(ran) == 2


def test_its_end_counts_the_models_and_names_both_answers() -> None:
    study = {**windowed().study, "configs": 16, "trials": 6}
    ruled_out = [{"config": {}, "state": state, "reason": ""} for state in ("screened", "pruned")]
    made = windowed(study=study, ruled_out=ruled_out).to_dict()
    lines = demo.closing(made)
    assert len(lines) == 5
    assert "16 models" in lines[0] and "never ran 10" in lines[0]
    assert "batch 96" in lines[1] and "41% of the memory" in lines[1]
    assert "batch 64" in lines[2] and "80 times the parameters" in lines[2]
    assert "memory" in lines[3] and "batch 99" in lines[3]


def test_its_end_says_why_there_is_no_larger_model() -> None:
    note = "The recommended model is the most capable one confirmed in the window."
    made = windowed(most_capable=None, most_capable_note=note, study={"configs": 16, "trials": 6})
    assert note in demo.closing(made.to_dict())[2]
