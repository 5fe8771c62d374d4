"""``tonnage tune --fleet``: a study that runs where the fleet has room, followed from here.

It is started either through a service (``http://…``), or in the database that the fleet uses. It
goes on when this command ends; the same command follows it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from app.cli.bundling import SentWorkload, bundled
from app.cli.context import open_database, open_settings
from app.cli.following import Outcome, Studies, follow, show_outcomes
from app.cli.measuring import MeasuringOptions
from app.cli.output import print_json, stderr
from app.errors import NotFound
from app.tuning.request import StudyRequest
from optimizer.records import Recommendation
from probes.errors import InputError
from probes.space_text import parse_assignments

if TYPE_CHECKING:
    from app.bundles.packing import Bundle
    from app.database import Database
    from app.fleet.schemas import FleetOut
    from app.fleet_answers.question import FleetQuestion
    from app.settings import Settings

POLL_S = 0.5
POLL_SERVICE_S = 2.0
URLS = ("http://", "https://")


def tune_on_fleet(
    shared: MeasuringOptions,
    fleet: str,
    api_key: str | None,
    budgets: Sequence[str],
    search: Mapping[str, Any],
    devices_class: str | None = None,
) -> None:
    """Start a study for each budget, follow each to its end, and print the recommendations; with
    ``devices_class`` on each of these classes, and the fleet answer too.

    Exits with 1 where nothing fits, and with 3 where nothing could be measured.
    """
    if fleet.startswith(URLS) and shared.database is not None:
        raise InputError(f"--database does not go with --fleet {fleet}: the service has its own.")
    settings = open_settings()
    sent = bundled(settings, str(shared.workload)) if shared.workload else None
    asked = shared if devices_class is None else replace(shared, memory_budget=None)
    question = {**_question(asked), **search, **(sent.fields if sent is not None else {})}
    requests = [StudyRequest.checked({**question, "budget": budget}) for budget in budgets]

    def run(studies: Studies) -> None:
        if devices_class is None:
            _send(studies, sent)
            outcomes = [_followed(studies, request) for request in requests]
            _tell(outcomes, budgets, json_=shared.json_)
            return
        from app.cli.fleet_classes import tune_fleet_classes, wanted_classes

        is_sent = sent is not None
        classes = wanted_classes(studies.fleet(), shared, devices_class, is_sent=is_sent)
        _send(studies, sent)
        tune_fleet_classes(studies, classes, requests, json_=shared.json_)

    if fleet.startswith(URLS):
        from app.client import Client

        with Client(fleet, api_key) as client:
            run(ServiceStudies(client))
    else:
        run(FleetStudies(settings, _database_of_fleet(settings, shared, fleet)))


def _send(studies: Studies, sent: SentWorkload | None) -> None:
    if sent is None:
        return
    console = stderr()
    for line in (f"Sending {sent.folder} as bundle {sent.bundle.shown}.", *sent.left_out):
        console.print(line, markup=False)
    studies.send(sent.bundle)


def _database_of_fleet(settings: Settings, shared: MeasuringOptions, fleet: str) -> Database:
    """The database, if a fleet uses it. Raises ``InputError``: a study would wait for ever."""
    from app.fleet.address import AUTO, with_port
    from app.fleet.service import look

    if fleet != AUTO:
        with_port(fleet)
    database = open_database(settings, shared.database)
    if not look(database).there:
        raise InputError(
            f"No node of a fleet is known in {database.shown_url}. Use the database that tonnage "
            "serve --fleet uses (--database), or give the address of that service: --fleet "
            "http://HOST:8765"
        )
    return database


def _question(shared: MeasuringOptions) -> dict[str, Any]:
    """The options that a study of the fleet can have. Raises ``InputError`` for the others."""
    given = {
        "--command": shared.command,
        "--space": shared.space,
        "--step": shared.step,
        "--python": shared.python,
        "--wait": shared.wait,
        "--dry-run": shared.dry_run or None,
    }
    if wrong := [name for name, value in given.items() if value is not None]:
        raise InputError(
            f"{wrong[0]} does not go with --fleet: each node uses the interpreter and settings of "
            "its own tonnage.toml."
        )
    if shared.nodes is not None:
        raise InputError(
            "--nodes does not go with --fleet: a study in the fleet's queue runs on the devices of "
            "one node. Leave out --fleet, and this command directs the study over several nodes."
        )
    if shared.workload is None:
        raise InputError(
            "Give the name of a workload that the nodes have registered, or your own as "
            "path/to/file.py:Class."
        )
    sizes = shared.budgets
    if len(sizes) > 1:
        raise InputError("--memory-budget: a study of the fleet takes one size.")
    devices = shared.devices
    return {
        "workload": shared.workload,
        "device": shared.device,
        "devices": int(devices) if devices and devices.isdigit() else _names(devices),
        "memory_budget_bytes": sizes[0] if sizes else None,
        "options": parse_assignments(shared.option or [], "--option"),
        "pinned": parse_assignments(shared.set_ or [], "--set"),
        "headroom": shared.headroom,
        "effective_batch_size": shared.effective_batch_size,
    }


def _names(devices: str | None) -> list[str] | None:
    return None if devices is None else [each.strip() for each in devices.split(",")]


def _followed(studies: Studies, request: StudyRequest) -> Outcome:
    study_id = studies.start(request)
    text = f"Study {study_id} is queued. It keeps running if you stop this command."
    stderr().print(text, markup=False)
    return follow(studies, study_id)


def _tell(outcomes: Sequence[Outcome], budgets: Sequence[str], *, json_: bool) -> None:
    if json_:
        documents = [each.document for each in outcomes]
        print_json({"recommendations": documents} if len(documents) > 1 else documents[0])
    show_outcomes(outcomes, budgets, json_=json_)


class ServiceStudies:
    """Through the HTTP interface of a service."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def send(self, bundle: Bundle) -> None:
        if not self._client.has_bundle(bundle.id):
            self._client.send_bundle(bundle.id, bundle.archive)

    def start(self, request: StudyRequest) -> str:
        asked = request.model_dump(mode="json", exclude_defaults=True)
        workload = asked.pop("workload")
        found: str = self._client.start_study(workload, **asked).id
        return found

    def events(self, study_id: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield from self._waiting(study_id)
        for event in self._client.events(study_id):
            yield event.kind, event.data

    def _waiting(self, study_id: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """What it waits for until it begins, which no event says."""
        from app.client import UnavailableError

        reason = ""
        try:
            while (study := self._client.study(study_id)).state.is_waiting:
                if study.message not in ("", reason):
                    yield "waiting", {"text": study.message}
                reason = study.message
                time.sleep(POLL_SERVICE_S)
        except UnavailableError:
            return  # whoever reads events waits longer for a service that restarts

    def outcome(self, study_id: str) -> Outcome:
        found = self._client.study(study_id)
        recommendation = None
        if found.recommendation_id is not None:
            told = self._client.recommendation(found.recommendation_id)
            recommendation = Recommendation.from_dict(told.model_dump())
        return Outcome(str(found.state), found.message, recommendation)

    def where_to_cancel(self, study_id: str) -> str:
        url = self._client.base_url.rstrip("/")
        return f"on {url}/studies/{study_id} or with POST {url}/v1/studies/{study_id}/cancel"

    def fleet(self) -> FleetOut:
        found: FleetOut = self._client.fleet()
        return found

    def choose(self, question: FleetQuestion) -> dict[str, Any]:
        from app.client import NotFoundError

        asked = question.to_dict()
        try:
            told = self._client.ask_fleet(asked.pop("workload"), **asked)
        except NotFoundError as error:
            raise NotFound(error.detail) from None
        return {**told.question, **told.model_dump(mode="json", exclude={"question"})}


class FleetStudies:
    """In the database that the fleet uses."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database

    def send(self, bundle: Bundle) -> None:
        from app.bundles import service

        if not service.is_stored(self._database, bundle.id):
            service.store(self._database, self._settings.bundles, bundle.id, bundle.archive)

    def start(self, request: StudyRequest) -> str:
        from app.studies import service

        return service.submit(self._database, request).id

    def events(self, study_id: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        from app.jobs import events, waiting
        from app.studies import service

        after, reason = 0, ""
        while True:
            job = service.get(self._database, study_id)
            found = events.read(self._database, study_id, after)
            for event in found:
                after = event.id
                yield event.kind, event.data
            if found:
                continue
            if job.is_over:
                return
            why = waiting.waits_for(self._database, job)
            if why and why != reason:
                yield "waiting", {"text": why}
            reason = why
            time.sleep(POLL_S)

    def outcome(self, study_id: str) -> Outcome:
        from app.recommendations import service as recommendations
        from app.studies import service

        job = service.get(self._database, study_id)
        answered_by = job.study_id or study_id
        found = recommendations.of_study(self._database, answered_by) if job.study_id else None
        return Outcome(str(job.state), job.message, found)

    def where_to_cancel(self, study_id: str) -> str:
        return f"on the page /studies/{study_id} of the fleet's service"

    def fleet(self) -> FleetOut:
        from app.fleet.schemas import FleetOut
        from app.fleet.service import look

        return FleetOut.of(look(self._database))

    def choose(self, question: FleetQuestion) -> dict[str, Any]:
        from app.fleet_answers import service

        return service.document_of(service.ask(self._database, self._settings, question))
