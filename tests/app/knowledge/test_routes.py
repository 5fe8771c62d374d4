"""``/v1/knowledge``: pages, their graph, and what was measured."""

from __future__ import annotations

from app.knowledge import service as knowledge
from optimizer.ablation import ClaimVerdict
from tests.app.factories import evidence
from tests.app.serving import problem
from tests.knowledge.pages import FILES

NAME = "Heuristic:Gradient_Checkpointing"
OURS = {f"{p.partition('/')[0].rstrip('s').capitalize()}:{p[p.index('/') + 1 : -3]}" for p in FILES}


def names(answer) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


class TestPages:
    def test_pages_are_listed_by_name_page_by_page(self, service):
        everything = names(service.get("/v1/knowledge/pages", params={"limit": 200}))
        assert everything == sorted(everything)
        assert set(everything) >= OURS
        found, cursor = [], None
        while True:
            query = {"limit": 4, **({"cursor": cursor} if cursor else {})}
            answer = service.get("/v1/knowledge/pages", params=query)
            found += names(answer)
            cursor = answer.json()["next_cursor"]
            if cursor is None:
                break
        assert found == everything

    def test_pages_are_found_by_type_and_words(self, service):
        answer = service.get("/v1/knowledge/pages", params={"type": "workflow", "limit": 200})
        assert {item["type"] for item in answer.json()["items"]} == {"workflow"}
        found = names(service.get("/v1/knowledge/pages", params={"q": "recomputing activations"}))
        assert NAME in found
        assert names(service.get("/v1/knowledge/pages", params={"q": "xyzzyx"})) == []

    def test_one_page_has_its_text_links_and_claims_with_evidence(self, service, database):
        row = knowledge.record(database, evidence())
        page = service.get("/v1/knowledge/pages/Gradient_Checkpointing").json()
        assert (page["name"], page["type"], page["is_builtin"]) == (NAME, "heuristic", False)
        assert page["text"] == FILES["heuristics/Gradient_Checkpointing.md"]
        assert page["last_updated"] == "2026-11-15T10:00:00Z"
        assert page["sources"][0]["url"] == "https://example.org/issues/1"
        used_by = {"source": NAME, "kind": "uses_heuristic", "target": "Principle:Adapter_Training"}
        assert used_by in page["links"]
        (claim,) = page["measurable"]
        assert (claim["id"], claim["lever"]) == (
            f"{NAME}#activation-memory",
            "gradient_checkpointing",
        )
        assert [(e["id"], e["verdict"], e["change"]) for e in claim["evidence"]] == [
            (row.id, "refuted", -0.41)
        ]

    def test_an_unknown_page_is_not_found_with_the_nearest_name(self, service):
        answer = service.get("/v1/knowledge/pages/Gradient_Chekpointing")
        assert "Gradient_Checkpointing" in problem(answer, 404, "not-found")["detail"]

    def test_wrong_queries_are_refused(self, service):
        problem(service.get("/v1/knowledge/pages?type=poem"), 422, "invalid-request")
        problem(service.get("/v1/knowledge/pages?words=x"), 422, "invalid-request")


class TestGraph:
    def test_the_whole_graph_has_every_page(self, service):
        graph = service.get("/v1/knowledge/graph").json()
        assert {node["name"] for node in graph["nodes"]} >= OURS

    def test_the_neighbourhood_of_a_page(self, service):
        query = {"page": "Workflow:QLoRA_Finetuning"}
        graph = service.get("/v1/knowledge/graph", params=query).json()
        shown = {node["name"] for node in graph["nodes"]}
        assert "Principle:Adapter_Training" in shown
        assert "Environment:Core_Environment" not in shown
        wider = service.get("/v1/knowledge/graph", params={**query, "depth": 3}).json()
        assert shown < {node["name"] for node in wider["nodes"]}
        assert all(edge["source"] in shown and edge["target"] in shown for edge in graph["edges"])

    def test_an_unknown_page_has_no_neighbourhood(self, service):
        problem(service.get("/v1/knowledge/graph?page=Nothing_Like_It"), 404, "not-found")


class TestEvidence:
    def test_evidence_is_listed_newest_first_and_filtered(self, service, database):
        first = knowledge.record(database, evidence())
        second = knowledge.record(
            database, evidence("step-time", verdict=ClaimVerdict.CONFIRMED, high=None)
        )
        answer = service.get("/v1/knowledge/evidence").json()
        assert [item["id"] for item in answer["items"]] == [second.id, first.id]
        assert (answer["items"][0]["high"], answer["items"][1]["high"]) == (None, -0.38)
        for query, wanted in (
            ({"verdict": "refuted"}, [first.id]),
            ({"claim": second.claim}, [second.id]),
            ({"page": NAME, "workload": "transformer"}, [second.id, first.id]),
            ({"fingerprint": "e"}, []),
        ):
            found = service.get("/v1/knowledge/evidence", params=query).json()["items"]
            assert [item["id"] for item in found] == wanted, query

    def test_one_piece_of_evidence(self, service, database):
        row = knowledge.record(database, evidence())
        one = service.get(f"/v1/knowledge/evidence/{row.id}").json()
        assert (one["claim"], one["before_value"]) == (f"{NAME}#activation-memory", 4e8)
        assert one["measured_at"] == "2026-01-02T03:04:05Z"
        problem(service.get("/v1/knowledge/evidence/evi_none"), 404, "not-found")
