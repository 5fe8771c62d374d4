"""Every page in a real browser, light and dark, with results and without: accessible, as narrow as
a phone, and without a word of complaint."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.ablations import service as ablations
from app.checks import service as checks
from app.checks.request import CheckRequest
from app.dashboard.page import NAVIGATION
from app.dashboard.report import report
from app.dashboard.routes import DASHBOARD
from app.dashboard.views.recommendation import view
from app.database import Database, open_database
from app.devices import repository as devices
from app.finetuning_jobs import evaluations
from app.finetuning_jobs import service as finetuning_jobs
from app.finetunings.evaluation_request import EvaluationPost
from app.finetunings.request import FineTuningPost
from app.fleet import repository as nodes
from app.fleet.nodes import NodeState, SeenNode
from app.fleet_answers import service as fleet_answers
from app.fleet_answers.question import FleetQuestion
from app.http.runtime import Service
from app.jobs import runner_repository as runners
from app.jobs.detect import finetuning_offer
from app.knowledge import service as knowledge
from app.knowledge.request import AblationPost
from app.settings import Settings, load_settings
from app.studies import service as jobs
from app.tuning import service as studies
from app.tuning.owner import this_place, this_process
from app.tuning.request import StudyRequest
from app.tuning.store import SqlStudyStore
from app.workloads import repository as workloads
from app.workloads.space import Described, Describer
from optimizer.records import TrialState
from probes.measurement import Verdict
from probes.space import Choice, Int, dimension_to_dict
from tests.app import factories
from tests.app.dashboard.browser import AXE, WIDTHS, chromium, too_wide, violations
from tests.app.dashboard.results import store
from tests.app.dashboard.test_finetuning_pages import trained
from tests.app.factories import finetuning
from tests.app.finetuning_jobs.conftest import ASKED, done
from tests.app.finetunings.test_routes import evaluate
from tests.app.jobs.conftest import offers
from tests.app.serving import running, serving

WORKLOAD, KEY = "train.py:Net", "f" * 16
HEURISTIC = "Heuristic:Huggingface_peft_Gradient_Checkpointing"
WORKFLOW = "Workflow:Huggingface_peft_QLoRA_Training"
SPACE = {"layers": Int(1, 12), "activation": Choice(["relu", "gelu"])}
DEVICE = {
    "identity": {"uuid": "abc", "torch": "2.13.0", "driver": {"missing": "it has none"}},
    "device_class": {"name": "A processor", "total_bytes": 2**33},
    "environment": {"MALLOC_ARENA_MAX": "1"},
    "state": {"temperature_c": 41.0, "memory_used_bytes": {"missing": "not read"}},
}
REGISTERED = {"models": {"small": "/models/small"}, "data": {"bfs": "/a", "astar": "/b"}}
LONG_REASON = (
    "Costs at least as much as layers=2, which was ruled out: Even batch 1 fails: oom: While "
    "building model and optimizer: the CPU's memory cap was exceeded: an allocation of 1 MiB "
    "failed with at most 122 MiB of 122 MiB in use before. Short by at least 938 KiB."
)
NO_PAGES = {
    "/assets/{rest:path}",
    "/studies/{study_id}/changes",
    "/finetunings/{finetuning_id}/changes",
}
PARTS_OF_PAGES = {
    "/now",
    "/devices/now",
    "/fleet/now",
    "/start/plan",
    "/studies/{study_id}/live",
    "/finetunings/{finetuning_id}/live",
    "/knowledge/ablations/{ablation_id}/live",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def everything(tmp_path_factory, migrated_file: Path) -> Iterator[dict[str, str]]:
    """Page to its address, on a service that has something to show on each of them."""
    folder = tmp_path_factory.mktemp("everything")
    with stored_in(folder, migrated_file) as database:
        made = store(database)
        (folder / "report.html").write_text(report(view(database, made)), encoding="utf-8")
        other = store(database, workload="other.py:Net", budget="prototyping")
        running_id = half_done(database)
        waiting_id = jobs.submit(database, StudyRequest(workload="transformer")).id
        check_id = surroundings(database)
        prices = load_settings(environ={}, overrides={"fleet": {"devices": {"*": {"watts": 90.0}}}})
        question = FleetQuestion(WORKLOAD, cycles=2, deadline_s=3600.0, budget="smoke_test")
        fleet_answer = fleet_answers.ask(database, prices, question)
        registered = load_settings(environ={}, overrides={"finetuning": REGISTERED})
        stopped_id = finetuning_jobs.submit(database, registered, FineTuningPost(**ASKED)).id
        finetuning_jobs.cancel(database, stopped_id)
        evaluated_id = being_evaluated(database, registered, folder)
        tuned = trained(database)
        other_run = finetuning(database, output="/runs/b")
        evaluate(database, other_run, 2.0)
        join_fleet(database)
        knowledge.record(database, factories.evidence(page=HEURISTIC))
        asked = AblationPost.checked({"page": HEURISTIC, "claims": ["activation-memory"]})
        (ablation,) = ablations.submit(database, load_settings(environ={}), asked)
        runs = f"run={tuned.id}&run={other_run.id}"
        with running(offline(database, registered)) as url:
            compared = f"{url}/finetunings/compare?{runs}"
            study_id = made.study["id"]
            yield {
                "/": f"{url}/",
                "/studies": f"{url}/studies",
                "/studies/{study_id}": f"{url}/studies/{study_id}",
                "/studies/{study_id} that runs": f"{url}/studies/{running_id}?sort=throughput&q=r",
                "/studies/{study_id} that waits": f"{url}/studies/{waiting_id}",
                "/studies/{study_id}/trials/{number}": f"{url}/studies/{running_id}/trials/1",
                "/start": f"{url}/start?workload=transformer&budget=smoke_test",
                "/recommendations": f"{url}/recommendations",
                "/recommendations/{recommendation_id}": f"{url}/recommendations/{made.id}",
                "/compare": f"{url}/compare?a={made.id}&b={other.id}",
                "/choose": f"{url}/choose?workload={WORKLOAD}",
                "/choose/{answer_id}": f"{url}/choose/{fleet_answer.id}",
                "/checks": f"{url}/checks",
                "/checks/{check_id}": f"{url}/checks/{check_id}",
                "/workloads": f"{url}/workloads",
                "/workloads/{name:path}": f"{url}/workloads/{WORKLOAD}",
                "/measurements/{measurement_id}": f"{url}/measurements/1",
                "/fleet": f"{url}/fleet",
                "/devices": f"{url}/devices",
                "/devices/{key}": f"{url}/devices/{KEY}",
                "/finetunings": f"{url}/finetunings",
                "/finetunings/{finetuning_id}": f"{url}/finetunings/{tuned.id}",
                "/finetunings/{finetuning_id} that was stopped": f"{url}/finetunings/{stopped_id}",
                "/finetunings/{finetuning_id} evaluated": f"{url}/finetunings/{evaluated_id}",
                "/finetunings/start": f"{url}/finetunings/start?model=small&data.bfs=on",
                "/finetunings/compare": compared,
                "/knowledge": f"{url}/knowledge?q=memory",
                "/knowledge/claims": f"{url}/knowledge/claims",
                "/knowledge/pages/{name}": f"{url}/knowledge/pages/{HEURISTIC}",
                "/knowledge/pages/{name} with a diagram": f"{url}/knowledge/pages/{WORKFLOW}",
                "/knowledge/pages/{name}/diagram": f"{url}/knowledge/pages/{WORKFLOW}/diagram",
                "/knowledge/pages/{name}/neighbourhood": f"{url}/knowledge/pages/{HEURISTIC}"
                "/neighbourhood",
                "/knowledge/ablations/{ablation_id}": f"{url}/knowledge/ablations/{ablation.id}",
                "report": (folder / "report.html").as_uri(),
            }


@pytest.fixture(scope="module")
def nothing(tmp_path_factory, migrated_file: Path) -> Iterator[dict[str, str]]:
    """Page to its address, where nothing is stored; and those that an error makes."""
    others = ["/fleet", "/finetunings/start", "/workloads/visnet", "/studies/st_none"]
    paths = [link.path for link in NAVIGATION] + others
    with (
        stored_in(tmp_path_factory.mktemp("nothing"), migrated_file) as database,
        running(offline(database)) as url,
        serving(database, needs_keys=True) as locked,
    ):
        yield {path: f"{url}{path}" for path in paths} | {"/login": f"{locked}/"}


@contextlib.contextmanager
def stored_in(folder: Path, migrated_file: Path) -> Iterator[Database]:
    (folder / "tonnage.db").write_bytes(migrated_file.read_bytes())
    database = open_database(f"sqlite:///{folder / 'tonnage.db'}")
    yield database
    database.close()


def offline(database: Database, settings: Settings | None = None) -> Service:
    """A service whose workloads are described without a worker."""
    describer = Describer(lambda settings, name: Described(SPACE, 1000))
    settings = settings or load_settings(environ={})
    return Service(database, settings, needs_keys=False, parts={Describer: describer})


def being_evaluated(database: Database, settings: Settings, folder: Path) -> str:
    """The id of a fine-tuning of the service that is done, with evaluations that wait and that were
    cancelled."""
    settings = settings.model_copy(update={"data_dir": folder})
    made = done(database, settings, replace(offers("cpu"), finetuning=finetuning_offer(settings)))
    for tasks in (["language"], ["language", "snake"]):
        asked = EvaluationPost(tasks=tasks, baseline="base", limit=5)
        job = evaluations.submit(database, settings, made, asked)
        if tasks == ["language"]:
            evaluations.cancel(database, made, job.id)
    return made


def half_done(database: Database) -> str:
    """The id of a study that runs, with configs of every state."""
    spec = factories.spec(workload="third.py:Net")
    study, _ = studies.open_study(database, spec)
    keeper = SqlStudyStore(database, study.id, spec)
    for number, state in enumerate(list(TrialState) * 2):
        known = {"state": state, "parameters": 1000 * (number + 1), "reason": LONG_REASON}
        keeper.add_trial(factories.trial(number, **known))
    failed = factories.measurement(
        64, Verdict.OOM, stderr_tail="the last words", notes=["a note"], tainted=["a busy machine"]
    )
    keeper.add_measurement(1, failed, [])
    return study.id


def join_fleet(database: Database) -> None:
    """A node with a device on which nothing runs, and one that cannot be used."""
    gpu = offers("cuda:0")
    versions = {"tonnage": "0.1.0", "torch": "2.13.0"}
    with database.write() as session:
        runners.add(session, "run_fleet", this_process(), this_place(), gpu)
        for name, state, reason in [
            ("one", NodeState.READY, ""),
            ("two", NodeState.UNUSABLE, "It has Tonnage 0.0.1."),
        ]:
            nodes.add(session, SeenNode(name * 10, name, "10.0.0.7", {"rack": "3"}), name)
            runner_id = "run_fleet" if state is NodeState.READY else None
            changed = {"state": state, "reason": reason, "runner_id": runner_id}
            nodes.change(session, name * 10, versions=versions, **changed)


def surroundings(database: Database) -> str:
    """The device, the workload and a check, whose id it gives."""
    space = {name: dimension_to_dict(each) for name, each in SPACE.items()}
    with database.write() as session:
        devices.save(
            session, key=KEY, class_key="c", kind="cpu", name="A processor", document=DEVICE
        )
        workloads.save(
            session, reference=WORKLOAD, source_hash="abc123", dataset_size=60_000, space=space
        )
    asked = CheckRequest(workload=WORKLOAD, config={"layers": 4}, batch_size=512, device=KEY)
    return checks.check(database, load_settings(environ={}), asked).id


@pytest.mark.parametrize("which", ["everything", "nothing"])
def test_every_page_is_for_everybody_in_both_themes(browser, request, which):
    found, said = [], []
    page = browser.new_page()
    page.add_init_script(path=AXE)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    for name, address in request.getfixturevalue(which).items():
        said.clear()
        page.goto(address)
        if name == "/start" and which == "everything":
            page.wait_for_selector("text=device minute")
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            said += too_wide(page)
        found += [f"{name}: {each}" for each in violations(page)]  # which opens what is closed
        found += [f"{name}, all of it open: {each}" for each in too_wide(page)]
        found += [f"{name}: {each}" for each in said if "status of 404" not in each]
    page.close()
    assert not found, "\n".join(found)


def test_a_long_reason_does_not_make_the_rows_of_the_configs_high(browser, everything):
    page = browser.new_page()
    page.goto(everything["/studies/{study_id} that runs"].partition("?")[0])
    for width, most_px in ((1280, 110), (390, 90)):
        page.set_viewport_size({"width": width, "height": 900})
        rows = page.evaluate(
            "[...document.querySelectorAll('#trials tbody tr')].map((row) => row.offsetHeight)"
        )
        assert rows and max(rows) <= most_px, width
    whole = page.locator("#trials .in-short span").first
    assert whole.get_attribute("title") == whole.text_content() == LONG_REASON
    page.close()


def test_no_page_is_left_out(everything, nothing):
    """A new one must come into the fixtures above."""
    there = {
        route.path for router in DASHBOARD for route in router.routes if "GET" in route.methods
    }
    seen = {name.partition(" ")[0] for name in (*everything, *nothing)}
    assert there - NO_PAGES - PARTS_OF_PAGES == seen & there
