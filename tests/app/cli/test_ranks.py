"""Several devices as text and as keys of ``--json``."""

from __future__ import annotations

from dataclasses import replace

from app.cli.max_batch_report import document
from app.cli.ranks import rank_table, run_batch_text, scaling_rows, together_rows
from app.machine.scaling import Scaling, ScalingAnswer
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement
from probes.prior import Prior
from tests.app import factories

GANG = factories.gang_measurement(48, accumulation=3)
ANSWER = ScalingAnswer(Scaling(2, 1.7, 0.85, 0.1))


def printed(run: Measurement, scaling: ScalingAnswer) -> dict:
    answer = MaxBatch(run.batch_size, "memory", "", run, None, [run])
    return document(answer, Prior(), "net", run.device, run.config, 1.0, scaling, None)


def test_the_batch_is_told_per_rank_and_for_all() -> None:
    assert run_batch_text(GANG) == "48 on each of 2 ranks = 96 at once, × 3 = 288 samples per step"
    assert run_batch_text(replace(GANG, accumulation=1)) == (
        "48 on each of 2 ranks = 96 samples per step"
    )
    team = replace(GANG, data_parallel=1, accumulation=1)
    assert run_batch_text(team) == "48 on a team of 2 ranks = 48 samples per step"
    assert run_batch_text(factories.measurement(48)) == "48"


def test_the_rank_that_limits_is_named_with_the_reason() -> None:
    rows = dict(together_rows(GANG))
    assert rows["limiting rank"].startswith("1 (cpu): it has the fullest device")
    assert rows["communication"] == "25% of a step"
    assert together_rows(factories.measurement()) == []


def test_a_rank_without_a_verdict_of_its_own_is_shown_without_one() -> None:
    broken = factories.broken_gang()
    columns = list(rank_table(broken.ranks).columns[3].cells)
    assert columns == ["oom", "–"]
    assert dict(together_rows(broken))["limiting rank"] == "0 (cpu): no room"


def test_the_gain_is_one_line_or_a_reason() -> None:
    figure = ANSWER.to_dict()["scaling"]
    assert dict(scaling_rows(figure, ""))["scaling"].startswith("2 ranks: 1.7 × one")
    assert scaling_rows(None, "One rank does not fit.") == [("scaling", "One rank does not fit.")]
    assert scaling_rows(None, "") == []


def test_json_has_the_ranks_and_the_scaling() -> None:
    found = printed(GANG, ANSWER)
    assert found["devices"] == ["cpu", "cpu"]
    assert [rank["rank"] for rank in found["ranks"]] == [0, 1]
    assert (found["data_parallel"], found["global_batch_size"]) == (2, 288)
    assert found["communication_share"] == 0.25
    assert found["scaling"] == {
        "ranks": 2,
        "speedup": 1.7,
        "efficiency": 0.85,
        "single_step_s": 0.1,
    }


def test_a_single_device_has_the_same_keys() -> None:
    found = printed(replace(factories.measurement(48)), ScalingAnswer(None))
    assert (found["devices"], found["ranks"], found["scaling"]) == (["cpu"], [], None)
    assert (found["data_parallel"], found["global_batch_size"]) == (1, 48)
