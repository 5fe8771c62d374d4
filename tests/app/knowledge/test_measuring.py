"""From a claim to a question, and from an answer to a row that is kept at once."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import timedelta
from types import SimpleNamespace

import pytest

from app.clock import utc_now
from app.errors import NotRegistered
from app.knowledge import measuring, service
from app.knowledge.library import library_of
from app.knowledge.measuring import (
    ClaimsOnWorkload,
    Watch,
    by_workload,
    chosen,
    memory_of,
    question,
    questions_of,
)
from knowledge.claims import At, Claim, Quantity
from probes.errors import InputError
from probes.job import WorkloadRef
from tests.app.factories import evidence

PAGE = "Heuristic:Gradient_Checkpointing"


def claim(name: str = "activation-memory", **changes: object) -> Claim:
    known = {
        "page": PAGE,
        "id": name,
        "text": "50-60 % less activation memory",
        "lever": "gradient_checkpointing",
        "before": False,
        "after": True,
        "quantity": Quantity.ACTIVATION_MEMORY,
        "low": -0.6,
        "high": -0.5,
    }
    return Claim(**{**known, **changes})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Device:
    """A device that needs no worker."""

    memory_budget_bytes: int | None = None
    facts = SimpleNamespace(kind="cpu", total_bytes=2**34)
    fingerprint = SimpleNamespace(key="f" * 16)

    def lease(self, settings, waiting):
        return contextlib.nullcontext()


class TestQuestion:
    def test_a_claim_is_asked_with_the_same_meaning(self):
        made = claim(at=At.EACH_MAXIMUM, config={"layers": 4}, devices=("cuda",))
        asked = question(made, "transformer", {"length": 8}, {"width": 64})
        assert (asked.claim, asked.page) == (f"{PAGE}#activation-memory", PAGE)
        assert (asked.before, asked.after) == (
            {"gradient_checkpointing": False},
            {"gradient_checkpointing": True},
        )
        assert (asked.quantity, asked.at) == ("activation_memory", "each_maximum")
        assert (asked.low, asked.high, asked.devices) == (-0.6, -0.5, ("cuda",))
        assert (asked.workload, asked.options) == ("transformer", {"length": 8})
        assert asked.config == {"layers": 4, "width": 64}

    def test_every_quantity_and_kind_of_batch_can_be_asked(self):
        for quantity in Quantity:
            for at in At:
                asked = question(claim(quantity=quantity, at=at), "w", {}, {})
                assert (asked.quantity, asked.at) == (quantity.value, at.value)

    def test_levers_without_a_value_each_are_refused(self):
        with pytest.raises(InputError, match="one value per lever"):
            question(claim(lever="a+b", before=1, after=2), "w", {}, {})


class TestWorkloads:
    def test_claims_are_grouped_by_the_workload_they_name(self, settings):
        claims = [claim(), claim("b", workload="causal-lm"), claim("c")]
        found = {g.workload.label: [c.id for c in g.claims] for g in by_workload(settings, claims)}
        assert found == {"transformer": ["activation-memory", "c"], "causal-lm": ["b"]}

    def test_a_known_workload_has_the_size_at_which_a_lever_shows(self):
        group = ClaimsOnWorkload(WorkloadRef("transformer"), None, [claim()], {"layers": 3})
        (asked,) = questions_of(group, "cpu")
        assert asked.config["layers"] == 3 and "width" in asked.config
        assert (asked.workload, asked.before) == ("transformer", {"gradient_checkpointing": False})

    def test_a_workload_of_the_user_is_measured_as_it_is(self):
        reference = WorkloadRef("/home/me/train.py:Net", {"size": 3})
        (asked,) = questions_of(ClaimsOnWorkload(reference, None, [claim()]), "cuda")
        assert (asked.workload, asked.options) == ("/home/me/train.py:Net", {"size": 3})
        assert (asked.config, asked.batch_size) == ({}, None)

    def test_the_memory_is_small_on_built_in_workloads_unless_it_was_asked_for(self):
        facts = SimpleNamespace(kind="cpu", total_bytes=64 * 2**30)
        whole = SimpleNamespace(facts=facts, memory_budget_bytes=None)
        asked = SimpleNamespace(facts=facts, memory_budget_bytes=2**30)
        ours = ClaimsOnWorkload(WorkloadRef("transformer"), None, [])
        theirs = ClaimsOnWorkload(WorkloadRef("/home/me/train.py:Net"), None, [])
        assert memory_of(ours, whole) < 2**30
        assert memory_of(theirs, whole) is None
        assert memory_of(ours, asked) == memory_of(theirs, asked) == 2**30

    @pytest.mark.parametrize("name", ["evil.py:W", "os.path:join", "unknown"])
    def test_a_page_can_only_name_a_registered_workload(self, settings, name):
        with pytest.raises(NotRegistered):
            by_workload(settings, [claim(workload=name)])

    def test_claims_are_chosen_by_short_or_full_id(self, settings):
        claims = library_of(settings).pages[PAGE].claims
        assert chosen(claims, []) == list(claims)
        assert [c.id for c in chosen(claims, [f"{PAGE}#activation-memory"])] == [
            "activation-memory"
        ]
        with pytest.raises(InputError, match="activation-memory"):
            chosen(claims, ["activation-memori"])


class TestMeasure:
    @pytest.fixture
    def target(self):
        return Device()

    @pytest.fixture
    def asked(self, monkeypatch) -> list[list[str]]:
        """The claims of each experiment, which are answered at once."""
        experiments: list[list[str]] = []

        def run(questions, bench, *, report):
            experiments.append([each.claim.partition("#")[2] for each in questions])
            return [
                evidence(each.claim.partition("#")[2], measured_at=utc_now().isoformat())
                for each in questions
            ]

        monkeypatch.setattr(measuring, "run", run)
        monkeypatch.setattr(measuring, "register_target", lambda *_: None)
        return experiments

    def group(self, *claims: Claim) -> ClaimsOnWorkload:
        return ClaimsOnWorkload(WorkloadRef("transformer"), None, claims)

    def test_claims_of_one_experiment_are_measured_together_and_kept(
        self, database, settings, target, asked
    ):
        told = []
        watch = Watch(evidence=lambda row, found: told.append(row.claim))
        group = self.group(claim(), claim("time", quantity=Quantity.STEP_TIME), claim("b", after=2))
        rows = measuring.measure(settings, database, group, target, watch)
        assert asked == [["activation-memory", "time"], ["b"]]
        assert [row.claim for row in rows] == told
        assert {row.id for row in service.page(database, limit=9)} == {row.id for row in rows}

    def test_what_an_attempt_has_measured_is_not_measured_again(
        self, database, settings, target, asked
    ):
        began = utc_now() - timedelta(seconds=1)
        first = measuring.measure(settings, database, self.group(claim()), target, Watch())
        both = self.group(claim(), claim("b", after=2))
        rows = measuring.measure(settings, database, both, target, Watch(), since=began)
        assert asked == [["activation-memory"], ["b"]]
        assert rows[0].id == first[0].id
        later = utc_now() + timedelta(seconds=1)
        measuring.measure(settings, database, self.group(claim()), target, Watch(), since=later)
        assert asked[-1] == ["activation-memory"]
