"""The recommendation for a device: measured there, or marked as not."""

from __future__ import annotations

import pytest

from app.devices import service as devices
from app.errors import NothingComparable
from app.recommendations.lookup import lookup
from app.recommendations.schemas import LookupQuery
from app.tuning import service as studies
from probes.devices.fingerprint import Fingerprint
from tests.app import factories

GIB = 2**30


def fingerprint(model: str, total_gib: int, driver: str = "550") -> Fingerprint:
    return Fingerprint(
        identity={"model": model, "driver": driver, "serial": model + driver},
        device_class={"model": model, "total_bytes": total_gib * GIB},
    )


H200 = fingerprint("H200", 141)
H200_NEW_DRIVER = fingerprint("H200", 141, "560")
A100 = fingerprint("A100", 80)
T4 = fingerprint("T4", 16)
EPYC = fingerprint("EPYC", 64)


@pytest.fixture
def keep(database):
    """Keeps a recommendation that was measured on a device."""
    made = 0

    def keep(on: Fingerprint, kind: str = "cuda", limit_gib: int | None = None, **changes) -> str:
        nonlocal made
        made += 1
        devices.register(database, on, kind=kind, name=on.identity["model"])
        device = "cpu" if kind == "cpu" else f"{kind}:0"
        limit = (limit_gib or on.device_class["total_bytes"] // GIB) * GIB
        spec = factories.spec(
            fingerprint=on.key, device=device, limit_bytes=limit, headroom=made / 100
        )
        study, _ = studies.open_study(database, spec)
        valid = {"fingerprint": on.key, "workload_hash": "abc123", "created_at": "2026-01-02"}
        study_facts = factories.recommendation().study | {"time_scale": changes.pop("scale", 1.0)}
        kept = factories.recommendation(
            f"rec_{made}",
            device=device,
            limit_bytes=limit,
            valid=valid | changes.pop("valid", {}),
            study=study_facts,
            **changes,
        )
        studies.finish(database, study.id, kept)
        return kept.id

    return keep


def wanted_on(**device) -> LookupQuery:
    return LookupQuery(workload="train.py:Net", budget="smoke_test", **device)


WANTED = wanted_on(fingerprint=H200.key)


def test_measured_on_this_very_device(database, keep):
    keep(A100)
    here = keep(H200)
    found = lookup(database, WANTED)
    assert (found.match, found.recommendation.id, found.differences) == ("exact", here, [])


def test_the_newest_of_several(database, keep):
    keep(H200)
    newest = keep(H200)
    assert lookup(database, WANTED).recommendation.id == newest


def test_a_driver_makes_another_device_and_a_prior_of_the_same_class(database, keep):
    keep(A100)
    other_driver = keep(H200_NEW_DRIVER)
    keep(T4)
    devices.register(database, H200, kind="cuda", name="H200")
    found = lookup(database, WANTED)
    assert (found.match, found.recommendation.id) == ("prior", other_driver)
    assert "driver 560 -> 550" in found.differences


def test_without_one_of_its_class_the_nearest_memory_of_its_kind(database, keep):
    keep(T4)
    nearest = keep(A100)
    keep(EPYC, kind="cpu")
    devices.register(database, H200, kind="cuda", name="H200")
    found = lookup(database, WANTED)
    assert (found.match, found.recommendation.id) == ("prior", nearest)
    assert "memory for training 80.00 GiB -> 141.00 GiB" in found.differences


def test_another_number_of_devices_says_nothing(database, keep):
    pair = Fingerprint({**H200.identity, "ranks": 2}, {**H200.device_class, "ranks": 2})
    grouped = keep(pair)
    with pytest.raises(NothingComparable):
        lookup(database, wanted_on(fingerprint=H200.key, kind="cuda"))
    alone = keep(H200)
    assert lookup(database, WANTED).recommendation.id == alone
    assert lookup(database, wanted_on(fingerprint=pair.key)).recommendation.id == grouped


def test_another_kind_of_device_says_nothing(database, keep):
    keep(EPYC, kind="cpu")
    devices.register(database, H200, kind="cuda", name="H200")
    with pytest.raises(NothingComparable, match=r"tonnage tune train\.py:Net --budget smoke_test"):
        lookup(database, WANTED)


def test_a_device_nobody_has_seen_is_compared_by_what_is_given(database, keep):
    small = keep(T4)
    keep(A100)
    wanted = wanted_on(kind="cuda", memory_bytes=12 * GIB)
    found = lookup(database, wanted)
    assert (found.match, found.recommendation.id) == ("prior", small)
    same_class = wanted.model_copy(update={"class_key": A100.class_key})
    assert lookup(database, same_class).recommendation.device == "cuda:0"
    assert lookup(database, same_class).recommendation.limit_bytes == 80 * GIB


def test_less_memory_than_it_was_measured_with_is_a_prior(database, keep):
    keep(H200)
    found = lookup(database, WANTED.model_copy(update={"memory_bytes": 20 * GIB}))
    assert found.match == "prior"
    assert found.differences == ["memory for training 141.00 GiB -> 20.00 GiB"]


def test_the_same_memory_is_found_among_emulated_ones(database, keep):
    keep(H200)
    emulated = keep(H200, limit_gib=20)
    assert lookup(database, WANTED).recommendation.limit_bytes == 141 * GIB
    found = lookup(database, WANTED.model_copy(update={"memory_bytes": 20 * GIB}))
    assert (found.match, found.recommendation.id) == ("exact", emulated)


def test_of_several_sources_the_newest_counts_and_not_the_most_memory(database, keep):
    keep(H200)
    newest = keep(H200, limit_gib=20, valid={"workload_hash": "changed"})
    assert lookup(database, WANTED).recommendation.id == newest


def test_a_changed_source_makes_a_prior(database, keep):
    keep(H200)
    found = lookup(database, WANTED.model_copy(update={"workload_hash": "changed"}))
    assert found.match == "prior"
    assert ["train.py:Net" in each for each in found.differences] == [True]
    assert lookup(database, WANTED.model_copy(update={"workload_hash": "abc123"})).match == "exact"


def test_scaled_times_are_for_trying_out_and_found_only_when_asked_for(database, keep):
    keep(H200, scale=0.02)
    with pytest.raises(NothingComparable):
        lookup(database, WANTED)
    assert lookup(database, WANTED.model_copy(update={"time_scale": 0.02})).match == "exact"


def test_a_name_is_exact_where_only_one_machine_has_sent_results(database, keep):
    keep(H200)
    by_name = wanted_on(device="cuda:0")
    assert lookup(database, by_name).match == "exact"
    assert lookup(database, by_name.model_copy(update={"device": "H200"})).match == "exact"
    keep(A100)
    ambiguous = lookup(database, by_name)
    assert ambiguous.match == "prior"
    assert ambiguous.differences
    assert lookup(database, by_name.model_copy(update={"device": "H200"})).match == "exact"


def test_another_budget_or_workload_is_another_question(database, keep):
    keep(H200)
    for wanted in (
        WANTED.model_copy(update={"budget": "prototyping"}),
        WANTED.model_copy(update={"workload": "other"}),
    ):
        with pytest.raises(NothingComparable):
            lookup(database, wanted)
