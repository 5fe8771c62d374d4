from __future__ import annotations

from app.measurements import repository, service
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from probes.measurement import Purpose, Verdict
from tests.app import contents, factories

CONFIG = factories.measurement().config


def test_a_single_probe_is_kept_and_found_again(database):
    run = factories.measurement(8)
    service.record(database, factories.scope(), run)
    assert service.find(database, factories.scope(), CONFIG, 8, Purpose.CONFIRM) == run
    assert service.find(database, factories.scope(), CONFIG, 8, Purpose.BRACKET) == run
    assert service.find(database, factories.scope(headroom=0), CONFIG, 8, Purpose.CONFIRM) is None


def test_a_crash_is_not_found_again(database):
    service.record(database, factories.scope(), factories.measurement(8, Verdict.CRASH))
    assert service.find(database, factories.scope(), CONFIG, 8, Purpose.CONFIRM) is None


def test_listing_is_newest_first_filtered_and_paged(database):
    for batch_size, verdict in ((1, Verdict.STABLE), (2, Verdict.STABLE), (4, Verdict.OOM)):
        run = factories.measurement(batch_size, verdict)
        service.record(database, factories.scope(), run)
    elsewhere = factories.scope(fingerprint="elsewhere")
    service.record(database, elsewhere, factories.measurement(8))

    def sizes(limit: int = 10, **filters: object) -> list[int]:
        with database.read() as session:
            found = repository.page(session, limit=limit, **filters)
        return [record.batch_size for record in found]

    assert sizes() == [8, 4, 2, 1]
    assert sizes(fingerprint="elsewhere") == [8]
    assert sizes(verdict=Verdict.OOM) == [4]
    assert sizes(verdict=Verdict.OOM, fingerprint="elsewhere") == []
    assert sizes(limit=2) == [8, 4]
    newest = contents.measurements(database)
    assert sizes(before=newest[1].id) == [2, 1]


def test_what_was_measured_elsewhere_is_a_prior_for_the_same_workload_only(database):
    here, there = factories.scope(), factories.scope(device="cuda:0", limit_bytes=2**40)
    other_source = factories.scope(workload_hash="changed", device="cuda:0")
    for scope, batch_size, peak in (
        (there, 8, 100),
        (there, 64, 500),
        (there, 32, 90),
        (here, 128, 999),
        (other_source, 256, 9999),
    ):
        study, _ = studies.open_study(database, factories.spec(**vars(scope)))
        store = SqlStudyStore(database, study.id, factories.spec(**vars(scope)))
        store.add_measurement(0, factories.measurement(batch_size, peak_bytes=peak), [])
        studies.finish(database, study.id, None)

    prior = service.prior_elsewhere(database, here, CONFIG)

    assert prior.points == [(8, 100), (32, 100), (64, 500)], "it never falls"
    assert prior.cap_bytes == int(here.limit_bytes * (1 - here.headroom))
    assert not service.prior_elsewhere(database, here, {**CONFIG, "layers": 9})
