"""``/v1/fleet-answers``."""

from __future__ import annotations

import pytest

from tests.app.fleet_answers.seeded import FAST, fill
from tests.app.serving import problem

ASKED = {"workload": "train.py:Net", "epochs": 36}


@pytest.fixture
def ids(database):
    return fill(database)


def test_an_answer_is_given_stored_and_read(api, ids):
    given = api.post("/v1/fleet-answers", json={**ASKED, "deadline_s": 1000})
    assert given.status_code == 201
    answer = given.json()
    assert answer["verdict"] == "possible"
    assert answer["fastest"] == ids[FAST]
    assert answer["cheapest"] is None  # no price is configured
    assert answer["question"]["epochs"] == 36
    assert api.get(f"/v1/fleet-answers/{answer['id']}").json() == answer
    listed = api.get("/v1/fleet-answers", params={"verdict": "possible"}).json()["items"]
    assert [each["id"] for each in listed] == [answer["id"]]


def test_exports(api, ids):
    answer = api.post("/v1/fleet-answers", json=ASKED).json()
    slurm = api.get(f"/v1/fleet-answers/{answer['id']}/exports/slurm")
    assert slurm.text.startswith("#!/bin/bash\n#SBATCH ")
    none = api.post("/v1/fleet-answers", json={**ASKED, "deadline_s": 1}).json()
    refused = api.get(f"/v1/fleet-answers/{none['id']}/exports/kubernetes")
    problem(refused, 409, "conflict")
    assert api.get(f"/v1/fleet-answers/{answer['id']}/exports/pbs").status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({"workload": "nothing"}, 404, "not-found"),
        ({**ASKED, "budget_money": 12}, 409, "question-refused"),
        ({**ASKED, "samples": 5}, 409, "question-refused"),
        ({**ASKED, "deadline_s": -1}, 422, "invalid-request"),
        ({**ASKED, "epochs": 1e23}, 422, "invalid-request"),
        ({**ASKED, "budget_money": 1e13}, 422, "invalid-request"),
        ({**ASKED, "depth": 1}, 422, "invalid-request"),
    ],
)
def test_questions_that_are_refused(api, ids, body, status, slug):
    problem(api.post("/v1/fleet-answers", json=body), status, slug)
    assert api.get("/v1/fleet-answers").json()["items"] == []
