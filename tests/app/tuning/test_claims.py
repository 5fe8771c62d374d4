"""Two processes on one study: who settles what, and what becomes of the dead."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from sqlalchemy import select

from app.database.models.searching import ClaimRow
from app.devices import service as devices
from app.tuning import claims, repository, service
from app.tuning.owner import this_process
from app.tuning.store import SqlStudyStore
from optimizer.records import Trial
from probes.devices.fingerprint import Fingerprint
from probes.errors import InputError
from tests.app import factories

CONFIG, OTHER = {"layers": 2, "activation": "relu"}, {"layers": 4, "activation": "relu"}
DEAD = replace(this_process(), started_s=1.0)
"""This process number, of an earlier process."""
ALIVE_ELSEWHERE = replace(this_process(), host="another.host")


@pytest.fixture
def study(database):
    return service.open_study(database, factories.spec())[0]


@pytest.fixture
def store(database, study):
    return SqlStudyStore(database, study.id, factories.spec())


def claim(database, study, config, owner) -> int | None:
    with database.write() as session:
        return claims.claim(session, study.id, config, owner)


def test_a_claim_is_ours_until_the_config_is_settled(database, study, store):
    assert store.claim(CONFIG) == store.claim(CONFIG) == 0
    assert store.busy() == [], "our own claims do not keep us from anything"
    assert claim(database, study, CONFIG, ALIVE_ELSEWHERE) is None
    assert claim(database, study, OTHER, ALIVE_ELSEWHERE) == 1

    store.add_trial(Trial(0, CONFIG, "feasible", ""))

    assert claim(database, study, CONFIG, ALIVE_ELSEWHERE) == 0


def test_what_another_has_claimed_is_busy_and_refused(database, study, store):
    assert claim(database, study, CONFIG, ALIVE_ELSEWHERE) == 0
    assert store.busy() == [CONFIG]
    assert store.claim(dict(reversed(CONFIG.items()))) is None
    assert store.claim(OTHER) == 1


def test_what_a_dead_process_has_claimed_is_taken_over(database, study, store):
    assert claim(database, study, OTHER, DEAD) == 0
    assert claim(database, study, CONFIG, DEAD) == 1
    assert store.busy() == []
    assert store.claim(CONFIG) == 1, "the trial keeps its number"
    assert claim(database, study, CONFIG, ALIVE_ELSEWHERE) is None


def test_a_config_keeps_its_number_and_no_other_gets_it(database, study, store):
    """Numbers of settled trials and of measurements count, from before a kill too."""
    measured, third = {"layers": 8, "activation": "relu"}, {"layers": 1, "activation": "relu"}
    run = replace(factories.measurement(), config=measured)
    store.add_measurement(4, run, [])
    store.add_trial(Trial(2, CONFIG, "feasible", ""))
    assert store.claim(CONFIG) == 2
    assert store.claim(measured) == 4
    assert store.claim(OTHER) == 5
    assert store.claim(third) == 6


def test_two_processes_that_claim_at_once_get_different_numbers(database, study):
    configs = [{"layers": n, "activation": "relu"} for n in range(8)]
    with ThreadPoolExecutor(8) as threads:
        numbers = threads.map(lambda c: claim(database, study, c, ALIVE_ELSEWHERE), configs)
    assert sorted(numbers) == list(range(8))


def test_a_process_that_stops_working_on_a_study_releases_its_claims(database, study, store):
    """And of those of the dead, but not of those who work on."""
    third = {"layers": 1, "activation": "relu"}
    assert store.claim(CONFIG) is not None
    assert claim(database, study, OTHER, DEAD) is not None
    assert claim(database, study, third, ALIVE_ELSEWHERE) is not None
    service.stop(database, study.id)
    with database.read() as session:
        left = session.execute(select(ClaimRow)).scalars().all()
    assert [row.config for row in left] == [third]


class TestJoining:
    GPU = Fingerprint({"name": "H200", "index": 0}, {"name": "H200"})
    TWIN = Fingerprint({"name": "H200", "index": 1}, {"name": "H200"})
    OTHER_GPU = Fingerprint({"name": "A100", "index": 1}, {"name": "A100"})

    @pytest.fixture
    def running(self, database):
        devices.register(database, self.GPU, kind="cuda", name="H200")
        asked = factories.spec(fingerprint=self.GPU.key, device="cuda:0")
        return service.open_study(database, asked)[0]

    def test_the_same_question_on_a_twin_is_theirs(self, database, running):
        ours = factories.spec(fingerprint=self.TWIN.key, device="cuda:1")
        joined = service.join(database, ours, running.id, self.TWIN.class_key)
        assert joined.key == running.key
        assert joined.scope.device == "cuda:0"

    def test_another_question_is_refused(self, database, running):
        ours = factories.spec("prototyping", fingerprint=self.TWIN.key, device="cuda:1")
        with pytest.raises(InputError, match="asks another question"):
            service.join(database, ours, running.id, self.TWIN.class_key)

    def test_another_class_of_device_is_refused(self, database, running):
        ours = factories.spec(fingerprint=self.OTHER_GPU.key, device="cuda:1")
        with pytest.raises(InputError, match="another class"):
            service.join(database, ours, running.id, self.OTHER_GPU.class_key)

    def test_who_joined_ends_it_only_when_the_owner_is_dead(self, database, running):
        assert service.inherit(database, running.id), "it is our own"
        with database.write() as session:
            repository.take_over(session, running.id, replace(this_process(), host="another.host"))
        assert not service.inherit(database, running.id)
        with database.write() as session:
            repository.take_over(session, running.id, DEAD)
        assert service.inherit(database, running.id)
        service.finish(database, running.id, None)
        assert not service.inherit(database, running.id)
