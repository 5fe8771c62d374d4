"""The methods of the client about knowledge pages, what they claim, and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from app.ablations.schemas import AblationDetail, AblationListOut, AblationOut
from app.client.calls import Calls
from app.knowledge.schemas import EvidenceOut, GraphOut, PageDetail, PageListOut, PageSummaryOut


class KnowledgeCalls(Calls):
    """See ``Client``."""

    def knowledge_pages(self, *, type: str | None = None) -> Iterator[PageSummaryOut]:
        """By name. ``type``: ``heuristic``, ``workflow``, …"""
        return self._pages("/v1/knowledge/pages", PageSummaryOut, {"type": type})

    def search_knowledge(self, words: str, *, limit: int = 20) -> list[PageSummaryOut]:
        """Pages that contain every word, best match first."""
        query = {"q": words, "limit": limit}
        return self._read("/v1/knowledge/pages", PageListOut, query).items

    def knowledge_page(self, name: str) -> PageDetail:
        """One page, its links, and its claims with what was measured of them. ``name`` is with or
        without its type."""
        return self._read(f"/v1/knowledge/pages/{quote(name, safe=':')}", PageDetail)

    def knowledge_graph(self, page: str | None = None, *, depth: int = 1) -> GraphOut:
        """All pages and the links between them, or those near one."""
        return self._read("/v1/knowledge/graph", GraphOut, {"page": page, "depth": depth})

    def evidence(
        self,
        *,
        page: str | None = None,
        claim: str | None = None,
        workload: str | None = None,
        fingerprint: str | None = None,
        verdict: str | None = None,
    ) -> Iterator[EvidenceOut]:
        """Newest first. ``page`` and ``claim`` are a full name and a full id."""
        wanted = {
            "page": page,
            "claim": claim,
            "workload": workload,
            "fingerprint": fingerprint,
            "verdict": verdict,
        }
        return self._pages("/v1/knowledge/evidence", EvidenceOut, wanted)

    def measure_claims(
        self, page: str, *, idempotency_key: str | None = None, **asked: Any
    ) -> list[AblationOut]:
        """Start the ablations behind a page's claims, one for each workload. ``asked`` are the
        other fields of ``AblationPost``: ``claims``, ``workload``, ``device``, …"""
        body = {"page": page, **asked}
        found = self._send("/v1/knowledge/evidence", AblationListOut, body, idempotency_key)
        return found.items

    def ablation(self, ablation_id: str) -> AblationDetail:
        return self._read(f"/v1/knowledge/ablations/{ablation_id}", AblationDetail)

    def ablations(
        self, *, state: str | None = None, workload: str | None = None
    ) -> Iterator[AblationOut]:
        """Newest first."""
        wanted = {"state": state, "workload": workload}
        return self._pages("/v1/knowledge/ablations", AblationOut, wanted)

    def cancel_ablation(self, ablation_id: str) -> AblationOut:
        """A running one ends within seconds. Its evidence is kept."""
        path = f"/v1/knowledge/ablations/{ablation_id}/cancel"
        return self._call("POST", path, AblationOut, repeatable=True)
