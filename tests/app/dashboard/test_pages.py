"""Every page: what it shows, what it says where there is nothing, and what it keeps out."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from app.checks import service as checks
from app.dashboard.assets import assets
from app.dashboard.page import NAVIGATION
from app.devices import repository as devices
from app.jobs import queue, runner_repository
from app.measurements import repository
from app.measurements import service as measurements
from app.recommendations import repository as recommendations
from app.recommendations.matrix import MatrixCell, matrix
from app.studies import service as jobs
from app.studies import view
from app.tuning import service as studies
from app.tuning.owner import this_place, this_process
from app.tuning.request import StudyRequest
from app.tuning.store import SqlStudyStore
from app.workloads.space import Described
from probes.space import Choice
from tests.app import contents, factories
from tests.app.dashboard.conftest import Elements, token_in
from tests.app.jobs.conftest import add_event, offers
from tests.app.one_kind import kind  # noqa: F401

HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"


@pytest.fixture
def filled(database):
    """Something of everything; the id of a finished study."""
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    store.add_measurement(0, factories.measurement(stderr_tail="the last words"), [])
    store.add_trial(factories.trial(parameters=1000))
    store.add_trial(
        factories.trial(
            1,
            state="infeasible",
            reason="Even batch 1 fails: 3 GiB too much.",
            batch_size=None,
            binding=None,
            throughput_samples_per_s=None,
            parameters=9000,
        )
    )
    studies.finish(database, study.id, factories.recommendation())
    checks.record(
        database,
        verdict="does_not_fit",
        workload="train.py:Net",
        device="cpu",
        fingerprint="f" * 16,
        document={"reason": "Batch 512 is too large."},
    )
    return study.id


def test_every_page_says_what_to_do_where_there_is_nothing(pages):
    for link in NAVIGATION:
        page = pages.get(link.path)
        assert page.status_code == 200, page.text
        assert f'<a href="{link.path}" aria-current="page">' in page.text
    for path in ("/", "/studies", "/recommendations", "/checks", "/devices"):
        assert 'class="empty"' in pages.get(path).text, path
    assert 'href="/start"' in pages.get("/").text


def test_nothing_but_our_own_files_may_run_on_a_page(pages, filled):
    for path in ("/", f"/studies/{filled}", "/start", "/nothing-here"):
        answer = pages.get(path)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        elements = Elements(answer.text)
        for _, attributes in elements.found:
            assert not [name for name in attributes if name == "style" or name.startswith("on")]
        for script in elements.all("script"):
            assert script.get("type") == "application/json" or script["src"].startswith("/assets/")
        for link in [*elements.all("link"), *elements.all("script"), *elements.all("img")]:
            address = link.get("href") or link.get("src") or "/"
            assert address.startswith("/"), address
            if address.startswith("/assets/"):
                assert address in assets()


def test_assets_may_be_kept_for_ever_and_nothing_else_is_there(pages):
    assert {each.name for each in assets().values()} >= {
        "dashboard.css",
        "dashboard.js",
        "charts.js",
        "vendor/htmx.min.js",
        "vendor/uplot.min.js",
        "vendor/htmx.LICENSE.txt",
    }
    for path, asset in assets().items():
        answer = pages.get(path)
        assert (answer.status_code, answer.content) == (200, asset.content)
        assert "immutable" in answer.headers["cache-control"]
    for path in ("/assets/000000000000/dashboard.css", "/assets/../page.py", "/assets/%2e%2e/x"):
        assert pages.get(path).status_code == 404


def test_names_from_outside_are_shown_as_text(pages, database):
    spec = factories.spec(workload=HOSTILE, device=f"cpu:{HOSTILE}")
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    store.add_measurement(
        0, factories.measurement(workload=HOSTILE, reason=HOSTILE, stderr_tail=HOSTILE), []
    )
    store.add_trial(factories.trial(config={HOSTILE: HOSTILE}, reason=HOSTILE, parameters=5))
    studies.finish(
        database,
        study.id,
        factories.recommendation(
            workload=HOSTILE, device=HOSTILE, explanation=[HOSTILE], config={HOSTILE: HOSTILE}
        ),
    )
    checks.record(
        database,
        verdict="stale",
        workload=HOSTILE,
        device=HOSTILE,
        fingerprint="f" * 16,
        document={"reason": HOSTILE},
    )
    shown = 0
    for path in (
        "/",
        "/studies",
        f"/studies/{study.id}",
        f"/studies/{study.id}/trials/0",
        "/measurements/1",
        "/recommendations",
        "/recommendations/rec_1",
        "/checks",
        "/workloads",
        "/devices",
        f"/studies?workload={quote(HOSTILE)}",
        f"/start?workload={quote(HOSTILE)}",
    ):
        page = pages.get(path).text
        assert "alert(1)</script>" not in page, path
        assert "{{7*7}}" in page or "alert" not in page, path
        shown += "&lt;script&gt;alert(1)" in page
    assert shown >= 10


def test_the_overview_is_a_matrix(pages, database, filled):
    page = pages.get("/").text
    for text in ("train.py:Net", "/recommendations/rec_1", "10.0 min", "valid", "missing"):
        assert text in page
    (row,) = matrix(database)
    assert set(row.cells) == {"smoke_test"}


def test_a_trial_within_less_memory_or_with_scaled_times_replaces_no_recommendation(database):
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    made = factories.recommendation("rec_1")
    trial = factories.recommendation("rec_2", limit_bytes=made.limit_bytes // 2)
    scaled = factories.recommendation("rec_3", study={**made.study, "time_scale": 0.001})
    studies.finish(database, study.id, made)
    with database.write() as session:
        for each in (trial, scaled):
            recommendations.save(session, each, study.id, "scope")
    (row,) = matrix(database)
    cell = row.cells["smoke_test"]
    assert cell.recommendation.id == "rec_1"
    shown = MatrixCell(scaled, cell.standing, memory_bytes=4 * scaled.limit_bytes).notes
    assert len(shown) == 2 and "0.001" in shown[1]


def test_a_device_keeps_its_row_when_its_software_changes_and_says_why_it_is_stale(database):
    def document(torch: str) -> dict[str, object]:
        identity = {"uuid": "abc", "torch": torch}
        return {"identity": identity, "device_class": {}, "environment": {}, "state": {}}

    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    studies.finish(database, study.id, factories.recommendation())
    for key, torch in (("f" * 16, "2.12"), ("e" * 16, "2.13")):
        with database.write() as session:
            devices.save(
                session, key=key, class_key="c", kind="cpu", name="CPU", document=document(torch)
            )
    (row,) = matrix(database)
    reasons = row.cells["smoke_test"].standing.reasons
    assert "torch 2.12 -> 2.13" in reasons[0]


def test_a_study_shows_its_configs_its_front_and_every_reason(pages, filled):
    page = pages.get(f"/studies/{filled}").text
    assert "Even batch 1 fails: 3 GiB too much." in page
    assert 'href="/recommendations/rec_1"' in page
    data = page.partition('<script type="application/json">')[2].partition("</script>")[0]
    names = {series["name"] for series in json.loads(data)["series"]}
    assert "Pareto front" in names
    trial = pages.get(f"/studies/{filled}/trials/0").text
    assert "the last words" in trial
    assert pages.get(f"/studies/{filled}/trials/7").status_code == 404


def test_an_interrupted_study_whose_configs_are_disturbed_does_not_say_that_nothing_fits(
    pages, database
):
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    store.add_measurement(0, factories.measurement(tainted=["busy"]), [])
    store.add_trial(factories.trial())
    studies.stop(database, study.id)
    page = pages.get(f"/studies/{study.id}").text
    assert "measured while disturbed" in page
    assert "no config fits" not in page
    assert "not started yet" not in page


def test_running_and_waiting_is_what_goes_on_by_itself(pages, database):
    study, _ = studies.open_study(database, factories.spec())
    assert f"/studies/{study.id}" in pages.get("/now").text
    studies.stop(database, study.id)  # goes on when its command is run again
    queued = jobs.submit(database, StudyRequest(workload="transformer"))
    now = pages.get("/now").text
    assert f"/studies/{queued.id}" in now
    assert f"/studies/{study.id}" not in now


def test_people_count_configs_from_1_as_on_the_command_line(pages, filled):
    rows = Elements(pages.get(f"/studies/{filled}").text).all("a")
    labels = [each.get("aria-label", "") for each in rows]
    assert [text.split(":")[0] for text in labels if text.startswith("Config ")] == [
        "Config 2",
        "Config 1",
    ]
    assert "<h1>Config 1</h1>" in pages.get(f"/studies/{filled}/trials/0").text


def test_configs_are_sorted_filtered_and_paged_on_the_server(pages, database):
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    for number in range(120):
        store.add_trial(
            factories.trial(
                number,
                config={"layers": number},
                state="feasible" if number % 2 else "pruned",
                reason="odd 100%" if number % 2 else "even",
                throughput_samples_per_s=float(number) if number % 2 else None,
            )
        )
    address = f"/studies/{study.id}"

    def numbers(query: str) -> list[int]:
        links = Elements(pages.get(f"{address}{query}").text).all("a")
        found = [a["href"] for a in links if a.get("href", "").startswith(f"{address}/trials/")]
        return [int(href.rpartition("/")[2]) for href in found]

    assert numbers("") == list(range(119, 69, -1))
    assert numbers("?page=3") == list(range(19, -1, -1))
    assert numbers("?page=99") == numbers("?page=3")
    assert numbers("/live?page=2") == numbers("?page=2"), "a change leaves the reader where he is"
    assert '<input type="hidden" name="page" value="2">' in pages.get(f"{address}?page=2").text
    assert numbers("?sort=throughput&order=asc")[:3] == [1, 3, 5]
    assert numbers("?sort=throughput")[:2] == [119, 117]
    assert numbers("?state=pruned")[:2] == [118, 116]
    assert numbers("?q=100%25")[:2] == [119, 117]
    assert numbers("?q=nothing+like+it") == []
    assert pages.get(f"{address}?sort=reason").status_code == 422


def test_a_study_that_waits_says_for_what(pages, database):
    job = jobs.submit(database, StudyRequest(workload="transformer"))
    page = pages.get(f"/studies/{job.id}").text
    assert "tonnage runner" in page
    assert f'data-events="/studies/{job.id}/changes' in page
    assert "Cancel" in page
    assert "No config is settled yet" in page


def test_a_running_study_whose_device_is_in_use_says_so(pages, database):
    job = jobs.submit(database, StudyRequest(workload="transformer", budget="smoke_test"))
    with database.write() as session:
        runner_repository.add(session, "run_1", this_process(), this_place(), offers("cpu"))
        queue.claim(session, runner_repository.locked(session, "run_1"))
    add_event(database, job.id, "waiting", {"reason": "cpu is in use by process 7", "waited_s": 1})
    page = pages.get(f"/studies/{job.id}").text
    notice = page[page.index('class="notice"') :]
    assert "cpu is in use by process 7" in notice[: notice.index("</div>")]


def test_the_stream_tells_of_changes_and_ends_with_the_study(pages, database):
    job = jobs.submit(database, StudyRequest(workload="transformer"))
    jobs.cancel(database, job.id)
    with pages.stream("GET", f"/studies/{job.id}/changes") as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert "event: over" in lines
    assert "id: 2" in lines


def test_checks_measurements_workloads_and_devices(pages, database, filled):
    page = pages.get("/checks").text
    assert "Batch 512 is too large." in page
    assert "does not fit" in page
    assert 'class="empty"' in pages.get("/checks?verdict=fits").text
    (check,) = contents.checks(database)
    assert "&#34;reason&#34;" in pages.get(f"/checks/{check.id}").text
    workload = pages.get("/workloads/train.py:Net").text
    assert "1, 2, 4" in workload
    assert "Measurement 1: batch 8" in pages.get("/measurements/1").text
    assert pages.get("/devices/" + "f" * 16).status_code == 200
    for path in ("/workloads/none", "/devices/none", "/checks/none", "/measurements/99"):
        assert pages.get(path).status_code == 404


def test_ranks_are_shown_where_several_devices_trained(pages, database):
    gang = factories.gang_measurement(48)
    stored = measurements.record(database, factories.scope(device="cpu:0-1"), gang)
    page = pages.get(f"/measurements/{stored}").text
    assert "2 ranks trained as one: 48 samples each, 96 per optimizer step. Rank 1 limits." in page
    assert 'aria-label="Ranks"' in page

    broken = measurements.record(
        database, factories.scope(device="cpu:0-1"), factories.broken_gang()
    )
    assert "no room" in pages.get(f"/measurements/{broken}").text

    study, _ = studies.open_study(database, factories.spec(device="cpu:0-1"))
    made = factories.recommendation(
        study.id.replace("st_", "rec_"),
        device="cpu:0-1",
        batch_size=48,
        evidence={"highest_passing": gang.to_dict(), "lowest_failing": None},
        ranks=gang.to_dict()["ranks"],
        global_batch_size=96,
        scaling={"ranks": 2, "speedup": 1.7, "efficiency": 0.85, "single_step_s": 0.1},
    )
    SqlStudyStore(database, study.id, factories.spec(device="cpu:0-1")).add_measurement(0, gang, [])
    studies.finish(database, study.id, made)
    page = pages.get(f"/recommendations/{made.id}").text
    assert "on each of 2 ranks" in page
    assert "1.7 × one" in page


def test_energy_is_shown_with_its_sensor_or_the_reason_why_there_is_none(pages, database):
    told = factories.measurement(energy=factories.energy(240.0), host_energy_unavailable="no RAPL")
    page = pages.get(f"/measurements/{measurements.record(database, factories.scope(), told)}").text
    assert "1.25 J per sample (NVML counter" in page
    assert "20 W idle taken off" in page
    assert "not available, because no RAPL" in page

    silent = factories.measurement(energy_unavailable="this device does not report it")
    page = pages.get(
        f"/measurements/{measurements.record(database, factories.scope(), silent)}"
    ).text
    assert "not available, because this device does not report it" in page


def test_devices_that_can_train_together_are_listed(pages, database):
    assert "Can train together" not in pages.get("/devices").text
    with database.write() as session:
        offered = offers("cuda:0", "cuda:1")
        runner_repository.add(session, "run_1", this_process(), this_place(), offered)
    page = pages.get("/devices").text
    assert "Can train together" in page
    assert "cuda:0-1" in page


def test_errors_are_pages_for_people_and_documents_for_programs(pages):
    page = pages.get("/studies/st_none")
    assert page.status_code == 404
    assert page.headers["content-type"].startswith("text/html")
    assert "There is no study st_none." in page.text
    assert page.headers["x-request-id"] in page.text
    for path, accept in (("/v1/studies/st_none", "text/html"), ("/studies/st_none", "*/*")):
        answer = pages.get(path, headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/problem+json"


class TestStart:
    @pytest.fixture
    def service_pages(self, database, start_service):
        """Pages of a service whose workloads are described without a worker."""
        import httpx

        from app.http.runtime import Service
        from app.settings import load_settings
        from app.workloads.space import Describer

        space = {"layers": Choice([1, 2, 4]), "activation": Choice(["relu", "gelu"])}
        describer = Describer(lambda settings, name: Described(space, 1000))
        service = Service(
            database, load_settings(environ={}), needs_keys=False, parts={Describer: describer}
        )
        with httpx.Client(
            base_url=start_service(service), headers={"Accept": "text/html"}, timeout=30
        ) as client:
            yield client

    def test_it_shows_space_and_cost_before_it_starts(self, service_pages):
        page = service_pages.get("/start/plan?workload=transformer&budget=smoke_test").text
        assert "1, 2, 4" in page
        assert "device minutes" in page
        assert "4 of 6 configs" in page
        assert "nothing like it has been measured yet" in page
        pinned = service_pages.get("/start/plan?workload=transformer&pin.layers=2").text
        assert "of 2 configs" in pinned

    def test_the_cost_is_what_the_like_has_cost(self, service_pages, filled):
        page = service_pages.get("/start/plan?workload=train.py:Net&budget=smoke_test").text
        assert "not registered" in page or "not the name" in page
        other = service_pages.get("/start/plan?workload=transformer&budget=smoke_test").text
        assert "other workloads on this device" in other

    def test_a_form_starts_a_study(self, service_pages, database):
        form = {
            "csrf_token": token_in(service_pages.get("/start").text),
            "workload": "transformer",
            "budget": "smoke_test",
            "memory": "1GiB",
            "trials": "3",
            "minutes": "2.5",
            "pin.layers": "2",
            "pin.activation": '"relu"',
            "pin.width": "",
        }
        answer = service_pages.post("/start", data=form)
        assert answer.status_code == 303
        request = jobs.get(database, answer.headers["location"].rpartition("/")[2]).request
        assert request.pinned == {"layers": 2, "activation": "relu"}
        assert (request.memory_budget_bytes, request.trials, request.timeout_s) == (2**30, 3, 150)
        assert request.devices is None

    @pytest.mark.parametrize(
        ("typed", "devices"), [("2", 2), ("cuda:0, cuda:1", ["cuda:0", "cuda:1"])]
    )
    def test_a_form_asks_for_several_devices(self, service_pages, database, typed, devices):
        form = {
            "csrf_token": token_in(service_pages.get("/start").text),
            "workload": "transformer",
            "devices": typed,
        }
        answer = service_pages.post("/start", data=form)
        assert answer.status_code == 303
        study_id = answer.headers["location"].rpartition("/")[2]
        assert jobs.get(database, study_id).request.devices == devices
        assert service_pages.get(f"/studies/{study_id}").status_code == 200

    @pytest.mark.parametrize(("typed", "wanted"), [("3", 3), ("All", "all"), ("", 1)])
    def test_a_form_lets_several_devices_share_the_search(
        self, service_pages, database, typed, wanted
    ):
        form = {
            "csrf_token": token_in(service_pages.get("/start").text),
            "workload": "transformer",
            "devices_at_once": typed,
        }
        answer = service_pages.post("/start", data=form)
        assert answer.status_code == 303
        job = jobs.get(database, answer.headers["location"].rpartition("/")[2])
        assert job.request.devices_at_once == wanted

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("devices_at_once", "several", "is not a whole number"),
            ("devices_at_once", "0", "devices_at_once"),
            ("memory", "lots", "is not a size"),
            ("trials", "many", "is not a whole number"),
            ("workload", "../evil.py:X", "not the name of a workload"),
            ("budget", "none", "budget"),
        ],
    )
    def test_what_is_wrong_is_said_beside_the_form_and_what_was_typed_stays(
        self, service_pages, database, field, value, says
    ):
        form = {
            "csrf_token": token_in(service_pages.get("/start").text),
            "workload": "transformer",
            "memory": "2GiB",
            field: value,
        }
        answer = service_pages.post("/start", data=form)
        assert answer.status_code == 422
        assert says in answer.text
        assert view.page(database, limit=1) == []


def test_measurements_of_a_trial_are_its_own(database, filled):
    with database.read() as session:
        assert len(repository.of_trial(session, filled, 0)) == 1
        assert repository.of_trial(session, filled, 1) == []
