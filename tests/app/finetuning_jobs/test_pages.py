"""What a person does with fine-tunings on the dashboard: start, stop, resume, evaluate."""

from __future__ import annotations

from html import unescape

import httpx
import pytest

from app.finetuning_jobs import evaluations
from app.finetuning_jobs import service as jobs
from app.finetunings import service as finetunings
from app.finetunings.evaluation_request import EvaluationPost
from app.finetunings.request import FineTuningPost
from app.http.runtime import Service
from app.jobs import queue, runner_repository
from app.settings import load_settings
from tests.app import factories
from tests.app.dashboard.conftest import HTML, Elements, locked, log_in, token_in  # noqa: F401
from tests.app.finetuning_jobs.conftest import ASKED, done
from tests.app.serving import running

FILLED = {"model": "small", "data.bfs": "on", "preset": "quick_lora"}


@pytest.fixture
def pages(service):
    """The same service, as a browser asks for its pages."""
    service.headers.update(HTML)
    return service


def send(pages, page: str, path: str, **form: str):
    token = token_in(pages.get(page).text)
    return pages.post(path, data={"csrf_token": token, **form})


def buttons(page: str) -> set[str]:
    """Where the forms of a page go to, as far as they change something."""
    forms = Elements(page).all("form")
    return {str(each["action"]).rpartition("/")[2] for each in forms if each["method"] == "post"}


class TestStarting:
    START = "/finetunings/start"

    def test_the_form_offers_what_is_registered_and_starts_it(self, pages, database):
        fields = Elements(pages.get(self.START).text).all("input")
        assert {"data.bfs", "data.astar"} <= {str(each.get("name")) for each in fields}
        changed = "lora.r=4 lora.target_modules=q_proj,v_proj"
        more = {"settings": changed, "memory": "2GiB", "name": "first", "keep": "on"}
        answer = send(pages, self.START, self.START, **FILLED, **more)
        assert answer.status_code == 303, answer.text
        made = answer.headers["location"].rpartition("/")[2]
        asked = jobs.get(database, made).job.finetuning
        assert (asked.model, asked.data, asked.preset) == ("small", ["bfs"], "quick_lora")
        assert asked.settings == {"lora.r": 4, "lora.target_modules": ["q_proj", "v_proj"]}
        assert (asked.memory_budget_bytes, asked.name) == (2 * 2**30, "first")
        assert (asked.keep_settings, asked.device) == (True, None)

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"data.bfs": ""}, "at least one source"),
            ({"model": "/etc"}, "not registered"),
            ({"memory": "much"}, "much"),
            ({"name": "../up"}, "name"),
        ],
    )
    def test_what_makes_no_sense_is_said_and_the_form_stays_filled_in(self, pages, changes, named):
        answer = send(pages, self.START, self.START, **{**FILLED, "name": "mine", **changes})
        assert answer.status_code == 422
        assert named in answer.text
        values = {each.get("value") for each in Elements(answer.text).all("input")}
        assert changes.get("name", "mine") in values
        assert pages.get("/v1/finetunings").json()["items"] == []

    @pytest.mark.parametrize(
        ("typed", "named"),
        [
            ("lora.rank=4", "Did you mean lora.r"),
            ("learning_rte=1", "Did you mean training.learning_rate"),
            ("zzzzzz=1", "begin with"),
            ("lora.r=0", "from 1 to 256"),
            ("lora.r", "Changed settings"),
            ("model.name=/etc", "registered model"),
        ],
    )
    def test_a_wrong_setting_is_said_beside_its_field(self, pages, typed, named):
        answer = send(pages, self.START, self.START, **FILLED, settings=typed)
        assert answer.status_code == 422
        (field,) = [
            each for each in Elements(answer.text).all("input") if each.get("name") == "settings"
        ]
        assert (field["value"], field["aria-invalid"]) == (typed, "true")
        assert "settings-wrong" in str(field["aria-describedby"]).split()
        said = unescape(answer.text.partition('id="settings-wrong"')[2].partition("</span>")[0])
        assert named in said
        assert len(said) < 250, "it does not list every setting"

    def test_it_needs_the_scope_of_studies(self, locked, database):  # noqa: F811
        log_in(locked, database, "read")
        assert locked.get(self.START).status_code == 403
        assert self.START not in locked.get("/finetunings").text

    def test_without_anything_registered_it_says_how_to(self, database):
        with running(Service(database, load_settings(environ={}), needs_keys=False)) as url:
            page = httpx.get(f"{url}{self.START}", headers=HTML, verify=False).text
        assert "[finetuning.models]" in page
        assert "csrf_token" not in page


def test_one_that_was_stopped_has_a_button_that_resumes_it(pages, database, settings):
    made = jobs.submit(database, settings, FineTuningPost(**ASKED)).id
    place = f"/finetunings/{made}"
    assert send(pages, place, f"{place}/cancel").status_code == 303
    page = pages.get(place).text
    assert buttons(page) == {"resume"}
    assert "data-events" not in page
    assert send(pages, place, f"{place}/resume").headers["location"] == place
    page = pages.get(place).text
    assert buttons(page) == {"cancel"}
    assert "data-events" in page


def test_one_that_was_interrupted_is_watched_because_its_job_goes_on(pages, database, settings):
    made = jobs.submit(database, settings, FineTuningPost(**ASKED)).id
    finetunings.enter(database, made, "interrupted", "Its process ended.")
    assert "data-events" in pages.get(f"/finetunings/{made}").text


def test_one_that_is_done_is_evaluated_from_its_page(pages, database, settings, offered):
    made = done(database, settings, offered)
    place = f"/finetunings/{made}"
    assert buttons(pages.get(place).text) == {"evaluate"}
    form = {"task.language": "on", "task.snake": "on", "baseline": "base", "limit": "5"}
    wrong = send(pages, place, f"{place}/evaluate", **form, options="games=2")
    assert (wrong.status_code, "TASK.games" in wrong.text) == (422, True)
    assert send(pages, place, f"{place}/evaluate").status_code == 422
    asked = send(pages, place, f"{place}/evaluate", **form, options="snake.games=2")
    assert asked.headers["location"] == place
    (found,) = evaluations.listing(database, made)
    request = found.job.evaluation
    assert (request.tasks, request.baseline, request.limit) == (["language", "snake"], "base", 5)
    assert request.options == {"snake": {"games": 2}}
    page = pages.get(place).text
    assert "data-events" in page
    assert buttons(page) == {"evaluate", "cancel"}
    cancel = f"{place}/evaluations/{found.job.id}/cancel"
    assert send(pages, place, cancel).headers["location"] == place
    page = pages.get(place).text
    assert (buttons(page), "data-events" in page) == ({"evaluate"}, False)


def test_one_of_the_command_line_says_where_it_is_continued_and_evaluated(pages, database):
    run = factories.finetuning(database)
    finetunings.finish(database, run.id, "stopped")
    page = pages.get(f"/finetunings/{run.id}").text
    assert (buttons(page), "tonnage finetune resume" in page) == (set(), True)
    finetunings.finish(database, run.id, "done")
    page = pages.get(f"/finetunings/{run.id}").text
    assert (buttons(page), "tonnage finetune evaluate" in page) == (set(), True)


def test_a_device_says_which_fine_tuning_is_evaluated_on_it(pages, database, settings, offered):
    made = done(database, settings, offered)
    assert f"/finetunings/{made}" not in pages.get("/devices/now").text
    evaluations.submit(database, settings, made, EvaluationPost())
    with database.write() as session:
        assert queue.claim(session, runner_repository.locked(session, "run_1")) is not None
    assert f"/finetunings/{made}" in pages.get("/devices/now").text
