"""From what is stored to an answer."""

from __future__ import annotations

import itertools
import shlex
from dataclasses import asdict, replace

import pytest
from sqlalchemy import select

from app.checks.evaluate import evaluate
from app.checks.formats import more_lines
from app.checks.measured import config_hashes
from app.checks.request import CheckRequest
from app.database.models.results import RecommendationRow
from app.devices import service as devices
from app.knowledge import service as knowledge
from app.machine.local_facts import DeviceNow
from app.measurements import service as measurements
from app.recommendations import repository as recommendations
from app.settings import Settings, load_settings
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from app.workloads import service as workloads
from optimizer.records import short_hash
from probes.devices.fingerprint import Fingerprint
from probes.errors import InputError
from probes.measurement import Purpose, Verdict
from tests.app import factories

MIB = 2**20
NOW = Fingerprint(
    {"model": "H200", "driver": "550.54", "torch": "2.13.0"}, {"total_bytes": 4000 * MIB}
)
NEWER = Fingerprint(
    {"model": "H200", "driver": "560.28", "torch": "2.13.0"}, {"total_bytes": 4000 * MIB}
)
ENVIRONMENT = {"threads": "2", "OMP_NUM_THREADS": "2"}
CONFIG = {"layers": 2, "activation": "relu"}
SETTINGS = Settings(
    headroom=0.05,
    cycle_batches=100,
    budgets={"prototyping": {"target_min": 100 / 60}, "smoke_test": {"target_min": None}},
)


def here(fingerprint: Fingerprint = NOW, **changes) -> DeviceNow:
    made = DeviceNow(
        "cuda:0",
        "cuda",
        "H200",
        fingerprint.key,
        fingerprint.to_dict(),
        total_bytes=4000 * MIB,
        environment=ENVIRONMENT,
    )
    return replace(made, **changes)


def asked(batch_size: int = 96, **changes) -> CheckRequest:
    made = CheckRequest(
        batch_size, workload="train.py:Net", config=CONFIG, workload_hash="abc123", here=here()
    )
    return replace(made, **changes)


def run(batch_size: int, verdict: Verdict = Verdict.STABLE, **changes):
    environment = {"threads": 2, "allocator": {"OMP_NUM_THREADS": "2"}}
    return factories.measurement(
        batch_size,
        verdict,
        config=CONFIG,
        device="cuda:0",
        environment=environment,
        limit_bytes=2000 * MIB,
        cap_bytes=1900 * MIB,
        peak_bytes=(100 + 10 * batch_size) * MIB,
        static_bytes=100 * MIB,
        started_at="2026-01-02T03:04:05+00:00",
        **changes,
    )


SCOPE = factories.scope(
    fingerprint=NOW.key, device="cuda:0", limit_bytes=2000 * MIB, environment=ENVIRONMENT
)


@pytest.fixture
def stored(database):
    """A study of that config: batch 96 passed, batch 200 did not; and its recommendation."""
    spec = replace(factories.spec(), scope=SCOPE)
    devices.register(database, NOW, kind="cuda", name="H200")
    workloads.register(
        database, SCOPE.workload, SCOPE.workload_hash, spec.space, dataset_size=None, options={}
    )
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    store.add_measurement(0, run(96), [])
    store.add_measurement(0, run(200, Verdict.OOM, purpose=Purpose.BRACKET), [])
    made = factories.recommendation(
        "rec_1k0rr48nvttvb71401qp",
        CONFIG,
        limit_bytes=2000 * MIB,
        valid={"fingerprint": NOW.key, "workload_hash": "abc123", "workload_options": {}},
        explanation=[
            "Train it.",
            "To lift it, try --set precision=bf16: this batch should then need less.",
        ],
    )
    with database.write() as session:
        recommendations.save(session, made, study.id, SCOPE.key)
    return database


def answered(database, question: CheckRequest):
    with database.read() as session:
        return evaluate(session, question, SETTINGS)


def test_what_a_study_confirmed_fits(stored):
    found = answered(stored, asked())
    assert found["verdict"] == "fits", found["reason"]
    assert found["limit_bytes"] == 2000 * MIB, "the memory that it was recommended with"
    assert found["recommendation_id"] == "rec_1k0rr48nvttvb71401qp"


def test_what_would_lift_another_limit_than_memory_is_no_help(stored):
    with stored.write() as session:
        (row,) = session.scalars(select(RecommendationRow))
        line = "To lift it, raise probe.max_batch in the configuration."
        row.document = {**row.document, "binding": "cap", "explanation": [line]}
    found = answered(stored, asked(192 * 2))
    assert found["verdict"] == "does_not_fit"
    assert "max_batch" not in str(found)


def test_the_doubled_batch_does_not_and_the_study_says_what_would_help(stored):
    found = answered(stored, asked(192 * 2))
    assert found["verdict"] == "does_not_fit"
    assert found["largest_batch"] == 96
    assert found["short_by_bytes"] == (100 + 10 * 384 - 1900) * MIB
    assert "precision=bf16" in found["lever"]
    assert "this batch" not in found["lever"], "which is not the planned one"
    assert "batch 96 should then need less" in found["lever"]


def test_how_to_measure_it_repeats_what_was_asked(stored):
    asked_for = asked(
        config={**CONFIG, "gradient_checkpointing": True},
        budget="smoke_test",
        memory_budget_bytes=192 * MIB,
    )
    words = shlex.split(answered(stored, asked_for)["tune"])
    assert words[:3] == ["tonnage", "tune", SCOPE.workload]
    pairs = list(itertools.pairwise(words))
    assert ("--set", "gradient_checkpointing=true") in pairs
    assert ("--budget", "smoke_test") in pairs
    assert ("--memory-budget", "192MiB") in pairs


def test_what_pages_claim_of_the_levers_is_said_with_what_was_measured_here(stored):
    page = "Heuristic:Huggingface_peft_Gradient_Checkpointing"
    made = factories.evidence(page=page, fingerprint=NOW.key, workload=SCOPE.workload)
    row = knowledge.record(stored, made)
    found = answered(stored, asked(192 * 2))
    known = {each["claim"]: each for each in found["heuristics"]}
    measured = known[f"{page}#activation-memory"]
    assert (measured["verdict"], measured["evidence_id"]) == ("refuted", row.id)
    assert {each["lever"] for each in known.values()} >= {
        "gradient_checkpointing=true",
        "precision=bf16",
    }
    lines = more_lines({**found, "details": []})
    assert any(page in line and "was refuted here" in line for line in lines)
    assert answered(stored, asked())["heuristics"] == []


def test_what_the_plan_leaves_out_is_as_recommended(stored):
    found = answered(stored, asked(config={}))
    assert found["config"] == CONFIG
    assert "layers=2, as recommended" in found["assumed"]


def test_values_of_a_file_are_taken_where_they_are_dimensions(stored):
    found = answered(stored, asked(config={}, offered={"layers": 4, "epochs": 3}))
    assert found["config"] == {"layers": 4, "activation": "relu"}
    assert found["verdict"] == "unknown"


def test_a_plan_may_be_no_more_than_a_recommendation(stored):
    question = asked(workload=None, config={}, recommendation_id="rec_1k0rr48nvttvb71401qp")
    found = answered(stored, question)
    assert (found["verdict"], found["workload"]) == ("fits", "train.py:Net")
    assert found["budget"] == "smoke_test"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"here": here(NEWER)}, "driver 550.54 -> 560.28"),
        ({"workload_hash": "def456"}, "the source or the options of train.py:Net have changed"),
        ({"here": here(environment={**ENVIRONMENT, "threads": "8"})}, "threads 2 -> 8"),
        ({"here": here(environment={"threads": "2"})}, "OMP_NUM_THREADS 2 -> unset"),
    ],
)
def test_what_has_changed_makes_it_stale(stored, changes, words):
    found = answered(stored, asked(**changes))
    assert found["verdict"] == "stale"
    assert words in found["reason"]
    assert found["changes"] == [words]


def test_what_is_not_known_is_not_compared(stored):
    assert answered(stored, asked(workload_hash=None))["verdict"] == "fits"
    assert answered(stored, asked(here=here(environment=None)))["verdict"] == "fits"


def test_another_kind_of_device_says_nothing(stored):
    cpu = here(Fingerprint({"model": "EPYC"}, {}), kind="cpu", device="cpu", name="EPYC")
    found = answered(stored, asked(here=cpu))
    assert (found["verdict"], "only on H200" in found["reason"]) == ("unknown", True)


def test_a_run_can_be_planned_for_another_machine(stored):
    for name in (NOW.key, "H200"):
        found = answered(stored, asked(here=None, device=name))
        assert (found["verdict"], found["device_name"]) == ("fits", "H200")
    with pytest.raises(InputError, match="Unknown device 'H2000'"):
        answered(stored, asked(here=None, device="H2000"))


def test_a_single_probe_counts_where_its_scope_is_the_same(database):
    measurements.record(database, SCOPE, run(96))
    found = answered(database, asked())
    assert found["verdict"] == "fits", found["reason"]
    assert answered(database, asked(workload_hash="def456"))["verdict"] == "stale"


def test_with_an_effective_batch_size_too(database):
    scope = replace(SCOPE, effective_batch_size=384)
    measurements.record(database, scope, run(96, accumulation=4))
    assert answered(database, asked(accumulation=4))["verdict"] == "fits"
    assert answered(database, asked())["verdict"] == "unknown"


def test_a_window_is_that_of_the_budget(stored):
    found = answered(stored, asked(budget="prototyping"))
    assert (found["verdict"], found["longest_cycle_s"]) == ("fits", 100.0)
    slow = answered(stored, asked(budget="prototyping", time_scale=0.01))
    assert (slow["verdict"], slow["time_scale"]) == ("too_slow", 0.01)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config": {"layrs": 2}}, "Did you mean 'layers'"),
        ({"config": {"layers": "many"}}, "takes a number"),
        ({"config": {"precision": "fp8"}}, "use one of fp32, tf32, bf16, fp16"),
        ({"budget": "prototypin"}, "Did you mean 'prototyping'"),
        ({"workload": None, "recommendation_id": "rec_0"}, "name it with --workload"),
    ],
)
def test_a_plan_that_cannot_be_one(stored, changes, words):
    with pytest.raises(InputError) as caught:
        answered(stored, asked(**changes))
    assert words in str(caught.value)


def test_levers_at_their_default_need_not_be_said():
    said = {"layers": 2, "precision": "fp32", "compile": False}
    assert short_hash({"layers": 2}) in config_hashes(said)
    assert short_hash(said) in config_hashes({"layers": 2})
    assert short_hash({"layers": 2}) not in config_hashes({"layers": 2, "precision": "bf16"})


def test_the_service_answers_and_keeps_it(stored, api):
    plan = {k: v for k, v in asdict(asked()).items() if k != "space"}
    found = api.post("/v1/checks", json=plan)
    assert found.status_code == 201, found.text
    assert found.json()["verdict"] == "fits"
    assert api.get(f"/v1/checks/{found.json()['id']}").json() == found.json()
    named = {"workload": "train.py:Net", "batch_size": 400, "device": "H200"}
    answer = api.post("/v1/checks", json=named).json()
    assert answer["verdict"] == "does_not_fit"
    assert answer["document"]["largest_batch"] == 96
    assert load_settings().headroom == answer["document"]["headroom"]


class TestSeveralDevices:
    PAIR = Fingerprint({**NOW.identity, "ranks": 2}, {"total_bytes": 2000 * MIB, "ranks": 2})

    def on_pair(self, **changes) -> CheckRequest:
        there = here(self.PAIR, device="cuda:0-1", name="2 × H200", total_bytes=2000 * MIB)
        return asked(96, here=there, **changes)

    def stored(self, database, **changes) -> None:
        gang = factories.gang_measurement(
            96,
            config={**CONFIG, "parallel": "ddp"},
            environment={"threads": 2, "allocator": {"OMP_NUM_THREADS": "2"}},
            limit_bytes=2000 * MIB,
            cap_bytes=1900 * MIB,
            peak_bytes=1000 * MIB,
        )
        scope = factories.scope(
            device="cpu:0-1",
            fingerprint=self.PAIR.key,
            limit_bytes=2000 * MIB,
            environment=ENVIRONMENT,
            **changes,
        )
        measurements.record(database, scope, gang)

    def answer(self, database, request: CheckRequest) -> dict:
        with database.read() as session:
            return evaluate(session, request, SETTINGS)

    def test_a_group_is_compared_with_the_group(self, database):
        self.stored(database)
        answer = self.answer(database, self.on_pair())
        assert answer["verdict"] == "fits", answer["reason"]
        assert answer["config"] == {**CONFIG, "parallel": "ddp"}
        assert (answer["device"], answer["ranks"]) == ("cuda:0-1", 2)

    def test_an_effective_batch_of_all_ranks_is_recognised(self, database):
        self.stored(database, effective_batch_size=192)
        assert self.answer(database, self.on_pair())["verdict"] == "fits"

    def test_a_single_device_proves_nothing_for_a_group(self, database):
        measurements.record(database, factories.scope(fingerprint=NOW.key), run(96))
        answer = self.answer(database, self.on_pair())
        assert answer["verdict"] == "unknown"
        assert "only on a single device" in answer["reason"]
        advice = more_lines(answer)[-1]
        assert "tonnage tune train.py:Net " in advice
        assert advice.endswith("--device cuda:0-1")

    def test_a_plan_for_more_devices_than_are_here_is_unknown(self, database):
        measurements.record(database, factories.scope(fingerprint=NOW.key), run(96))
        answer = self.answer(database, asked(96, ranks=8))
        assert answer["verdict"] == "unknown"
        assert more_lines(answer)[-1].endswith("--devices 8")

    def test_parallel_on_a_single_device_is_refused(self, database):
        with pytest.raises(InputError, match="add --devices"):
            self.answer(database, asked(96, config={**CONFIG, "parallel": "fsdp"}))
