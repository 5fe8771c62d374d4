"""``/v1/finetunings``."""

from __future__ import annotations

import json
import sys
from importlib import import_module

import pytest

from app.finetunings import service
from finetuning.comparison.compare import compare
from finetuning.evaluation.figures import summary
from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import EvaluationRow, write_rows
from tests.app.factories import SETTINGS, evaluation_row, finetuning
from tests.app.finetunings.test_service import FIT
from tests.app.serving import problem

SCORE = Metric("score", "score", Direction.HIGHER, "Mean score", "points")
GAMES = 24


def games(better_by: float) -> list[EvaluationRow]:
    return [
        EvaluationRow("snake", f"game-{n}", f"game-{n}", "bfs", {"score": n % 7 + better_by})
        for n in range(GAMES)
    ]


def evaluate(database, run, better_by: float, **kind) -> None:
    rows = games(better_by)
    service.add_rows(database, run.id, "snake", rows, summary("snake", [SCORE], rows), **kind)


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """The first comparison imports scipy, which may take longer than a client waits."""
    import_module("finetuning.comparison.compare")
    import_module("scipy.stats")


@pytest.fixture
def runs(database):
    """Two evaluated fine-tunings, the second of which scores two points more in every game."""
    lora = finetuning(database, output="/runs/lora")
    full = finetuning(database, output="/runs/full", settings={**SETTINGS, "strategy": "full"})
    evaluate(database, lora, 0.0)
    evaluate(database, full, 2.0)
    return lora, full


def test_one_with_its_fit_and_its_grades(api, database):
    run = finetuning(database)
    service.fitted(database, run.id, FIT)
    service.finish(database, run.id, "done", {"peak_bytes": 2 * 2**30, "step_s": 0.5})
    found = api.get(f"/v1/finetunings/{run.id}").json()
    assert (found["state"], found["strategy"], found["micro_batch"]) == ("done", "qlora", 4)
    assert (found["predicted_peak_bytes"], found["measured_peak_bytes"]) == (3 * 2**30, 2 * 2**30)
    assert (found["peak_error"], found["step_error"]) == (0.5, 0.0)
    assert found["fit"]["sentences"] == FIT["sentences"]
    assert problem(api.get("/v1/finetunings/ftn_no"), 404, "not-found")


def test_the_listing_is_filtered_and_paged(api, runs):
    lora, full = runs

    def found(**query) -> list[str]:
        return [each["id"] for each in api.get("/v1/finetunings", params=query).json()["items"]]

    assert found() == [full.id, lora.id]
    assert found(strategy="full", model="models/small", device="cpu") == [full.id]
    assert found(state="done") == []
    assert found(preset="quick_lora", limit=1) == [full.id]
    cursor = api.get("/v1/finetunings", params={"limit": 1}).json()["next_cursor"]
    assert found(cursor=cursor) == [lora.id]
    assert problem(api.get("/v1/finetunings", params={"strategy": "guess"}), 422, "invalid-request")


def test_events_are_paged_in_the_order_of_their_steps(api, database):
    run = finetuning(database)
    service.add_events(database, run.id, [{"step": n, "loss": 3.0 - n} for n in (1, 2, 3)])
    address = f"/v1/finetunings/{run.id}/events"
    first = api.get(address, params={"limit": 2}).json()
    assert [(each["step"], each["loss"]) for each in first["items"]] == [(1, 2.0), (2, 1.0)]
    rest = api.get(address, params={"after": first["next_after"]}).json()
    assert [each["step"] for each in rest["items"]] == [3]
    assert rest["next_after"] is None
    assert problem(api.get("/v1/finetunings/ftn_no/events"), 404, "not-found")


def test_rows_are_paged_and_filtered(api, database):
    run = finetuning(database)
    rows = [evaluation_row(n, source="bfs" if n % 2 else "dfs") for n in range(5)]
    service.add_rows(database, run.id, "snake", rows)
    address = f"/v1/finetunings/{run.id}/evaluations/snake/rows"
    first = api.get(address, params={"limit": 3}).json()
    rest = api.get(address, params={"cursor": first["next_cursor"]}).json()
    found = [each["item"] for each in (*first["items"], *rest["items"])]
    assert found == [f"game-{n}" for n in range(5)]
    assert first["items"][0]["group"] == "game-0"
    assert rest["next_cursor"] is None
    assert len(api.get(address, params={"source": "bfs"}).json()["items"]) == 2
    assert problem(api.get(address, params={"baseline": True}), 404, "not-found")
    assert problem(api.get(f"/v1/finetunings/{run.id}/evaluations/chess/rows"), 404, "not-found")


def test_a_comparison_is_what_the_folders_would_give(api, runs, tmp_path):
    lora, full = runs
    ids = {"ids": f"{lora.id},{full.id}"}
    found = api.get("/v1/finetunings/comparison", params=ids).json()
    folders = []
    for name, better_by in (("lora", 0.0), ("full", 2.0)):
        folder = tmp_path / name / "evaluation" / "snake"
        folder.mkdir(parents=True)
        write_rows(folder / "rows.jsonl", games(better_by))
        plain = summary("snake", [SCORE], games(better_by))
        (folder / "summary.json").write_text(json.dumps(plain))
        folders.append(tmp_path / name)
    expected = compare(*folders).to_plain()
    assert [run["name"] for run in found["runs"]] == ["lora", "full"]
    assert found["tests"] == expected["tests"]
    assert found["tests"][0]["finding"] == "better"
    assert found["tests"][0]["difference"] == 2.0
    assert found["contrasts"][0]["kind"] == "strategy"


def test_a_baseline_that_is_named_is_what_the_others_are_tested_against(api, runs):
    lora, full = runs
    query = {"ids": lora.id, "baseline": full.id}
    found = api.get("/v1/finetunings/comparison", params=query).json()
    assert (found["baseline"], found["tests"][0]["finding"]) == ("full", "worse")


def test_one_alone_is_compared_with_its_own_baseline(api, database, runs):
    lora, _ = runs
    alone = api.get("/v1/finetunings/comparison", params={"ids": lora.id})
    assert "--baseline" in problem(alone, 409, "conflict")["detail"]
    evaluate(database, lora, -1.0, baseline=True)
    found = api.get("/v1/finetunings/comparison", params={"ids": lora.id}).json()
    assert (found["baseline"], found["contrasts"][0]["kind"]) == ("baseline", "trained")
    assert found["tests"][0]["difference"] == 1.0


def test_a_comparison_follows_its_rows(api, database, runs):
    lora, full = runs
    query = {"ids": f"{lora.id},{full.id}"}
    assert api.get("/v1/finetunings/comparison", params=query).json()["tests"][0]["difference"] == 2
    evaluate(database, full, 0.0)
    found = api.get("/v1/finetunings/comparison", params=query).json()
    assert found["tests"][0]["finding"] == "equal"


def test_what_cannot_be_compared_is_said(api, database, runs):
    lora, _ = runs
    other = finetuning(database, output="/runs/new")
    for ids, status, kind in (
        (f"{lora.id},{other.id}", 409, "conflict"),
        (f"{lora.id},ftn_no", 404, "not-found"),
        ("a/b", 422, "invalid-request"),
    ):
        assert problem(api.get("/v1/finetunings/comparison", params={"ids": ids}), status, kind)


def test_without_scipy_the_extra_is_named(api, runs, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("finetuning.comparison.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    query = {"ids": ",".join(run.id for run in runs)}
    answer = problem(api.get("/v1/finetunings/comparison", params=query), 501, "not-installed")
    assert "tonnage[llm]" in answer["detail"]


@pytest.mark.parametrize("method", ["put", "delete"])
def test_the_listing_itself_cannot_be_changed(api, runs, method):
    answer = getattr(api, method)("/v1/finetunings")
    assert problem(answer, 405, "method-not-allowed")


def test_the_comparison_takes_no_method_of_a_fine_tuning(api):
    answer = api.put("/v1/finetunings/comparison")
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET, HEAD"
