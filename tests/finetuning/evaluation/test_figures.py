"""Figures of rows, with intervals that resample whole groups."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest

from finetuning.evaluation.figures import by_source, figure, figures, summary, wilson, write_json
from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import EvaluationRow

MEAN = Metric("score", "score", Direction.HIGHER, "", unit="apples")
SHARE = Metric("win_rate", "win", Direction.HIGHER, "")
PERPLEXITY = Metric("perplexity", "nll", Direction.LOWER, "", weight="tokens", exponential=True)


def row(group: str, source: str = "a", /, item: str = "", **values: float) -> EvaluationRow:
    return EvaluationRow("task", item or group, group, source, values)


def test_perplexity_counts_every_token_once() -> None:
    rows = [row("1", nll=1.0, tokens=10.0), row("2", nll=3.0, tokens=30.0)]
    found = figure(PERPLEXITY, rows)
    assert found.value == pytest.approx(math.exp((10 * 1 + 30 * 3) / 40))
    assert found.direction == "lower"
    assert found.low is not None
    assert found.high is not None
    assert math.exp(1) <= found.low <= found.value <= found.high <= math.exp(3)


@pytest.mark.parametrize(
    ("wins", "n", "low", "high"),
    [
        (0, 40, 0, 0.08762),
        (3, 40, 0.02584, 0.19864),
        (1, 2, 0.09453, 0.90547),
        (40, 40, 0.91238, 1),
    ],
)
def test_the_interval_of_a_share_is_wilsons(wins: int, n: int, low: float, high: float) -> None:
    """The values are those of ``scipy.stats.binomtest(…).proportion_ci(method="wilson")``."""
    assert wilson(wins, n) == pytest.approx((low, high), abs=1e-5)


def test_no_win_in_40_games_still_leaves_room_for_some() -> None:
    found = figure(SHARE, [row(str(i), win=0.0) for i in range(40)])
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(0.0876, abs=1e-3)


def test_moves_of_one_game_count_as_one_observation() -> None:
    """Rows that repeat what their group says add no certainty."""
    pytest.importorskip("numpy")
    rng = random.Random(0)
    values = [rng.gauss(10, 3) for _ in range(30)]
    once = [row(str(i), score=value) for i, value in enumerate(values)]
    repeated = [
        row(str(i), item=f"{i}-{k}", score=value)
        for i, value in enumerate(values)
        for k in range(9)
    ]
    one, many = figure(MEAN, once), figure(MEAN, repeated)
    assert (many.n, many.groups) == (270, 30)
    assert (many.low, many.high) == pytest.approx((one.low, one.high))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    pytest.importorskip("numpy")
    rng, covered = random.Random(1), 0
    for trial in range(100):
        found = figure(MEAN, [row(str(i), score=rng.gauss(5, 2)) for i in range(40)], seed=trial)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 5 <= found.high
    assert 86 <= covered <= 100


def test_one_group_has_no_interval() -> None:
    found = figure(MEAN, [row("only", item="1", score=1.0), row("only", item="2", score=2.0)])
    assert (found.value, found.low, found.high) == (1.5, None, None)


def test_a_metric_without_rows_is_left_out() -> None:
    assert set(figures([MEAN, SHARE], [row("1", score=1.0)])) == {"score"}


def test_a_summary_has_every_source_and_is_plain_json(tmp_path: Path) -> None:
    rows = [row("1", "bfs", score=1.0), row("2", "bfs", score=3.0), row("3", "dfs", score=8.0)]
    assert by_source([MEAN], rows)["bfs"]["score"].value == 2
    write_json(tmp_path / "summary.json", summary("task", [MEAN], rows, {"seed": 1}))
    read = json.loads((tmp_path / "summary.json").read_text())
    assert read["n"] == read["groups"] == 3
    assert read["seed"] == 1
    assert [
        Metric(**{**one, "direction": Direction(one["direction"])}) for one in read["metrics"]
    ] == [MEAN]
    assert read["figures"]["score"]["value"] == 4
    assert read["figures"]["score"]["unit"] == "apples"
    assert read["sources"]["dfs"]["score"] == {
        **read["figures"]["score"],
        "value": 8,
        "low": None,
        "high": None,
        "n": 1,
        "groups": 1,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["summary.json"]
