from __future__ import annotations

import pytest

from app.recommendations import service
from app.tuning import service as studies
from probes.errors import InputError
from tests.app import factories


def save(database, id: str, budget: str = "smoke_test", **changes):
    """A recommendation with its finished study."""
    made = factories.recommendation(id, budget=budget, **changes)
    study, _ = studies.open_study(database, factories.spec(budget), fresh=True)
    studies.finish(database, study.id, made)
    return made


class TestFinding:
    def test_nothing_is_stored_yet(self, database):
        assert service.latest(database) is None
        with pytest.raises(InputError, match="tonnage tune"):
            service.get(database, "latest")

    def test_comes_back_equal(self, database):
        made = save(database, "rec_01", peak_bytes=2**40)
        assert service.get(database, "rec_01") == made
        assert service.get(database, "latest") == made

    def test_newest_first_and_filtered(self, database):
        save(database, "rec_01")
        save(database, "rec_02", "prototyping")
        save(database, "rec_03", workload="visnet", device="cuda:0", valid={"fingerprint": "g"})

        def ids(**filters: str) -> list[str]:
            return [found.id for found in service.listing(database, **filters)]

        assert ids() == ["rec_03", "rec_02", "rec_01"]
        assert ids(budget="smoke_test") == ["rec_03", "rec_01"]
        assert ids(workload="visnet") == ["rec_03"]
        assert ids(device="cpu") == ["rec_02", "rec_01"]
        assert ids(device="g") == ids(fingerprint="g") == ["rec_03"]
        assert service.latest(database, budget="prototyping").id == "rec_02"
        assert service.latest(database, workload="none") is None

    def test_the_beginning_of_an_id_is_enough_where_it_is_unique(self, database):
        save(database, "rec_01ab")
        save(database, "rec_01cd")
        assert service.get(database, "rec_01a").id == "rec_01ab"
        with pytest.raises(InputError, match="More than one") as caught:
            service.get(database, "rec_01")
        assert "rec_01ab" in str(caught.value)

    def test_wildcards_are_plain_characters(self, database):
        save(database, "rec_01ab")
        for text in ("rec%", "r__", "%", ""):
            with pytest.raises(InputError, match="There is no recommendation"):
                service.get(database, text)

    def test_an_unknown_id_names_the_nearest(self, database):
        save(database, "rec_01ab")
        with pytest.raises(InputError, match="Did you mean rec_01ab"):
            service.get(database, "rec_01ax")
