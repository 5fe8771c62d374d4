"""``Client``: one method per thing the service does, with the service's own types.

with Client("http://127.0.0.1:8765") as tonnage:
    study = tonnage.start_study("transformer", budget="smoke_test")
    for event in tonnage.events(study.id):
        print(event.kind, event.data)
    print(tonnage.study(study.id).recommendation_id)
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from app.bundles.schemas import BundleOut
from app.checks.schemas import CheckOut
from app.client import events as streams
from app.client.errors import NotFoundError
from app.client.events import StudyEvent
from app.client.finetunings import FineTuningCalls
from app.client.knowledge import KnowledgeCalls
from app.client.transport import ATTEMPTS, Content, Transport
from app.devices.schemas import DeviceGroupOut, DeviceIn, DeviceOut, FingerprintIn
from app.fleet_answers.schemas import FleetAnswerOut
from app.measurements.schemas import (
    MeasurementDetail,
    MeasurementOut,
    MeasurementStored,
    PredictionErrorsOut,
)
from app.recommendations.schemas import LookupOut, RecommendationOut
from app.runs.schemas import RunOut
from app.studies.schemas import StudyOut, TrialOut
from app.workloads.schemas import RegisteredOut, WorkloadOut
from probes.devices.fingerprint import Fingerprint
from probes.errors import InputError
from probes.measurement import Measurement

if TYPE_CHECKING:
    from app.fleet.schemas import FleetOut


class Client(FineTuningCalls, KnowledgeCalls):
    """One service. Every method raises ``ProblemError`` for an answer that is an error, and
    ``UnavailableError`` where there is none, after a few attempts if that is safe. Listings are
    read page by page as they are iterated over. Not to be shared between threads."""

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8765",
        key: str | None = None,
        timeout_s: float = 30.0,
        *,
        attempts: int = ATTEMPTS,
    ) -> None:
        """``key`` is what ``tonnage keys create`` printed; ``timeout_s`` is for one answer;
        ``attempts`` is the maximum number of attempts for requests that may be repeated. Raises
        ``InputError`` for an invalid address."""
        if not base_url.startswith(("http://", "https://")):
            raise InputError(
                f"{base_url!r} is not the address of a service: it begins with http:// or https://."
            )
        self._transport = Transport(base_url, key, timeout_s, attempts=attempts)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The address of the service."""
        return self._transport.base_url

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    # Studies

    def start_study(
        self, workload: str, *, idempotency_key: str | None = None, **question: Any
    ) -> StudyOut:
        """Queue a study of a registered workload. ``question`` are the other fields of
        ``StudyRequest``: ``budget``, ``device``, ``devices``, ``pinned``, ``trials``, …"""
        body = {"workload": workload, **question}
        return self._send("/v1/studies", StudyOut, body, idempotency_key)

    def has_bundle(self, bundle_id: str) -> bool:
        """Whether a working directory need not be sent again."""
        try:
            self._read(f"/v1/bundles/{bundle_id}", BundleOut)
        except NotFoundError:
            return False
        return True

    def send_bundle(self, bundle_id: str, archive: bytes) -> BundleOut:
        """Send a working directory, for studies of code of your own (``bundle=bundle_id``). The
        archive is a tar file, and its SHA-256 is the id. Needs a key of scope ``code``."""
        content = Content("application/octet-stream", zlib.compress(archive, 6))
        path = f"/v1/bundles/{bundle_id}"
        return self._call("PUT", path, BundleOut, content=content)

    def study(self, study_id: str) -> StudyOut:
        """A study. Raises ``ProblemError`` if no study has this id."""
        return self._read(f"/v1/studies/{study_id}", StudyOut)

    def studies(
        self, *, state: str | None = None, workload: str | None = None, budget: str | None = None
    ) -> Iterator[StudyOut]:
        """Newest first."""
        wanted = {"state": state, "workload": workload, "budget": budget}
        return self._pages("/v1/studies", StudyOut, wanted)

    def trials(self, study_id: str) -> list[TrialOut]:
        """The configs that a study has settled. Raises ``ProblemError`` for an unknown study."""
        return self._list(f"/v1/studies/{study_id}/trials", TrialOut)

    def events(self, study_id: str, after: int = 0) -> Iterator[StudyEvent]:
        """What happened and happens to a study, until it is over; lost connections are taken up
        again where they broke off. ``after`` is the id of the last event that is known."""
        return streams.events(self._transport, f"/v1/studies/{study_id}/events", after)

    def wait(self, study_id: str) -> StudyOut:
        """Until the study is over. Returns what has become of it."""
        for _ in self.events(study_id):
            pass
        return self.study(study_id)

    def cancel_study(self, study_id: str) -> StudyOut:
        """A running one ends within seconds. What it measured is kept."""
        return self._call("POST", f"/v1/studies/{study_id}/cancel", StudyOut, repeatable=True)

    def delete_study(self, study_id: str) -> None:
        """Delete a study that has ended. Raises ``ProblemError`` for any other."""
        self._transport.json("DELETE", f"/v1/studies/{study_id}")

    # Recommendations

    def lookup(
        self,
        workload: str,
        budget: str,
        *,
        fingerprint: str | None = None,
        device: str | None = None,
        **more: Any,
    ) -> LookupOut:
        """The recommendation for a device, or a prior. ``more``: ``kind``, ``class_key``,
        ``memory_bytes``, ``workload_hash``, ``time_scale``."""
        wanted = {"fingerprint": fingerprint, "device": device, **more}
        query = {"workload": workload, "budget": budget, **wanted}
        return self._read("/v1/recommendations/lookup", LookupOut, query)

    def recommendation(self, recommendation_id: str) -> RecommendationOut:
        """A recommendation. Raises ``ProblemError`` if no recommendation has this id."""
        return self._read(f"/v1/recommendations/{recommendation_id}", RecommendationOut)

    def recommendations(
        self,
        *,
        workload: str | None = None,
        budget: str | None = None,
        device: str | None = None,
        fingerprint: str | None = None,
        study_id: str | None = None,
    ) -> Iterator[RecommendationOut]:
        """Newest first, whether they still hold or not."""
        wanted = {
            "workload": workload,
            "budget": budget,
            "device": device,
            "fingerprint": fingerprint,
            "study_id": study_id,
        }
        return self._pages("/v1/recommendations", RecommendationOut, wanted)

    def export(self, recommendation_id: str, to: str = "json") -> str:
        """As ``json``, ``yaml``, ``toml``, ``env`` or ``args``."""
        return self._transport.text(f"/v1/recommendations/{recommendation_id}/exports/{to}")

    # Measurements

    def add_measurement(
        self,
        measurement: Measurement,
        *,
        workload_hash: str,
        fingerprint: str,
        environment: dict[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> MeasurementStored:
        """Send what this machine measured. Kept once, however often it has to be sent."""
        scope = {"workload_hash": workload_hash, "fingerprint": fingerprint}
        body = {
            "scope": {**scope, "environment": environment or {}},
            "measurement": measurement.to_dict(),
        }
        return self._send("/v1/measurements", MeasurementStored, body, idempotency_key)

    def measurement(self, measurement_id: int) -> MeasurementDetail:
        """A measurement in full. Raises ``ProblemError`` if no measurement has this id."""
        return self._read(f"/v1/measurements/{measurement_id}", MeasurementDetail)

    def measurements(
        self,
        *,
        workload: str | None = None,
        fingerprint: str | None = None,
        verdict: str | None = None,
        study_id: str | None = None,
    ) -> Iterator[MeasurementOut]:
        """Newest first, in short."""
        wanted = {
            "workload": workload,
            "fingerprint": fingerprint,
            "verdict": verdict,
            "study_id": study_id,
        }
        return self._pages("/v1/measurements", MeasurementOut, wanted)

    # Devices, workloads, checks, training runs, predictions

    def add_device(self, fingerprint: Fingerprint, *, kind: str, name: str) -> DeviceOut:
        """Make this machine's device known before sending what was measured on it."""
        groups = FingerprintIn.model_validate(vars(fingerprint))
        body = DeviceIn(kind=kind, name=name, fingerprint=groups).model_dump()
        return self._call("POST", "/v1/devices", DeviceOut, body=body, repeatable=True)

    def device(self, key: str) -> DeviceOut:
        """A device, by its fingerprint key. Raises ``ProblemError`` if no device has this key."""
        return self._read(f"/v1/devices/{key}", DeviceOut)

    def devices(
        self, *, kind: str | None = None, class_key: str | None = None
    ) -> Iterator[DeviceOut]:
        """The devices that the service knows, of a kind or a class. Raises ``ProblemError``."""
        return self._pages("/v1/devices", DeviceOut, {"kind": kind, "class_key": class_key})

    def fleet(self) -> FleetOut:
        """The hosts that run studies together; without any, ``advice`` says how to get some."""
        from app.fleet.schemas import FleetOut  # loads much that nothing else here needs

        return self._read("/v1/fleet", FleetOut)

    def device_groups(self) -> list[DeviceGroupOut]:
        """Devices that can train together, as runners offer them now."""
        return self._list("/v1/device-groups", DeviceGroupOut)

    def workloads(self, *, workload: str | None = None) -> Iterator[WorkloadOut]:
        """Those that have been measured."""
        return self._pages("/v1/workloads", WorkloadOut, {"workload": workload})

    def registered_workloads(self) -> list[RegisteredOut]:
        """Those that a study can be started of."""
        return self._list("/v1/workloads/registered", RegisteredOut)

    def ask_check(self, **plan: Any) -> CheckOut:
        """Will a planned run fit? ``plan`` are the fields of ``CheckPost``: ``workload``,
        ``config``, ``batch_size``, ``device``, ``budget``, …"""
        return self._call("POST", "/v1/checks", CheckOut, body=plan)

    def check(self, check_id: str) -> CheckOut:
        """A stored check. Raises ``ProblemError`` if no check has this id."""
        return self._read(f"/v1/checks/{check_id}", CheckOut)

    def checks(
        self,
        *,
        workload: str | None = None,
        verdict: str | None = None,
        fingerprint: str | None = None,
    ) -> Iterator[CheckOut]:
        """The stored checks, newest first. Raises ``ProblemError``."""
        wanted = {"workload": workload, "verdict": verdict, "fingerprint": fingerprint}
        return self._pages("/v1/checks", CheckOut, wanted)

    def ask_fleet(self, workload: str, **question: Any) -> FleetAnswerOut:
        """Choose a device class for a training run. ``question`` are the other fields of
        ``FleetAnswerPost``: ``epochs``, ``deadline_s``, ``budget_money``, …"""
        body = {"workload": workload, **question}
        return self._call("POST", "/v1/fleet-answers", FleetAnswerOut, body=body)

    def fleet_answer(self, answer_id: str) -> FleetAnswerOut:
        """A stored fleet answer. Raises ``ProblemError`` if no answer has this id."""
        return self._read(f"/v1/fleet-answers/{answer_id}", FleetAnswerOut)

    def fleet_answers(
        self, *, workload: str | None = None, verdict: str | None = None
    ) -> Iterator[FleetAnswerOut]:
        """The stored fleet answers, newest first. Raises ``ProblemError``."""
        wanted = {"workload": workload, "verdict": verdict}
        return self._pages("/v1/fleet-answers", FleetAnswerOut, wanted)

    def export_fleet_answer(self, answer_id: str, to: str) -> str:
        """The chosen class as a resource request for ``slurm`` or ``kubernetes``."""
        return self._transport.text(f"/v1/fleet-answers/{answer_id}/exports/{to}")

    def add_run(self, **run: Any) -> RunOut:
        """Report how a training run ended. ``run`` are the fields of ``RunPost``."""
        return self._call("POST", "/v1/runs", RunOut, body=run)

    def run(self, run_id: str) -> RunOut:
        """A training run. Raises ``ProblemError`` if no run has this id."""
        return self._read(f"/v1/runs/{run_id}", RunOut)

    def runs(
        self,
        *,
        workload: str | None = None,
        outcome: str | None = None,
        fingerprint: str | None = None,
        recommendation_id: str | None = None,
    ) -> Iterator[RunOut]:
        """Training runs that were started with recommendations, newest first."""
        wanted = {
            "workload": workload,
            "outcome": outcome,
            "fingerprint": fingerprint,
            "recommendation_id": recommendation_id,
        }
        return self._pages("/v1/runs", RunOut, wanted)

    def prediction_errors(
        self, *, workload: str | None = None, quantity: str | None = None
    ) -> list[PredictionErrorsOut]:
        """How far predictions were off, by workload and quantity. Raises ``ProblemError``."""
        wanted = {"workload": workload, "quantity": quantity}
        return self._list("/v1/predictions", PredictionErrorsOut, wanted)
