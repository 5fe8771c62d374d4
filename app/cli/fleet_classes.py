"""``tonnage tune --fleet … --devices-class``: a study for each class of the fleet's devices, all at
once, then the fleet answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from app.cli.device_classes import LocalClass, emulated, named
from app.cli.fleet_answer import show as show_fleet_answer
from app.cli.following import Outcome, Studies, follow, show_outcomes
from app.cli.measuring import MeasuringOptions
from app.cli.output import print_json, stderr
from app.errors import NotFound
from app.fleet.nodes import NodeState
from app.fleet_answers.question import FleetQuestion
from app.jobs.waiting import HOW_TO_ACCEPT, NOBODY_ACCEPTS
from app.tuning.request import StudyRequest
from probes.errors import InputError
from probes.formatting import parse_size

if TYPE_CHECKING:
    from app.fleet.schemas import FleetDeviceOut, FleetOut


@dataclass(frozen=True)
class FleetClass(LocalClass):
    """Devices of the fleet that are of one class."""

    nodes: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        budget = f" with {self.memory_budget}" if self.memory_budget else ""
        return f"{self.name}{budget} ({', '.join(self.nodes)})"

    def asked(self, request: StudyRequest) -> StudyRequest:
        """The study on a device of the class."""
        size = parse_size(self.memory_budget) if self.memory_budget else None
        given = {**request.to_dict(), "device": self.class_key, "memory_budget_bytes": size}
        return StudyRequest.checked(given)


def wanted_classes(
    fleet: FleetOut, shared: MeasuringOptions, wanted: str, *, is_sent: bool = False
) -> list[FleetClass]:
    """The classes that the options mean, the largest devices first; where the workload is sent, of
    the nodes that accept that. Raises ``InputError`` where there are none."""
    if shared.device or shared.devices:
        raise InputError("--devices-class chooses the devices: leave out --device(s).")
    seen: dict[str, list[tuple[str, FleetDeviceOut]]] = {}
    ready = [node for node in fleet.nodes if node.state is NodeState.READY]
    if is_sent and ready and not any(node.accepts_bundles for node in ready):
        raise InputError(f"{NOBODY_ACCEPTS} {HOW_TO_ACCEPT}")
    for node in ready:
        for device in node.devices if node.accepts_bundles or not is_sent else ():
            seen.setdefault(device.class_key, []).append((node.name, device))
    if not seen:
        raise InputError(f"The fleet has no device that is ready. {fleet.advice}".rstrip())
    ranked = sorted(seen.items(), key=lambda each: _rank(each[1][0][1]))
    whole = [
        FleetClass(
            key,
            members[0][1].name,
            tuple(dict.fromkeys(device.device for _, device in members)),
            nodes=tuple(dict.fromkeys(name for name, _ in members)),
        )
        for key, members in ranked
    ]
    return emulated(named(whole, wanted), shared.memory_budget)


def _rank(device: FleetDeviceOut) -> tuple[bool, int]:
    return device.kind == "cpu", -device.total_bytes


def tune_fleet_classes(
    studies: Studies,
    classes: Sequence[FleetClass],
    requests: Sequence[StudyRequest],
    *,
    json_: bool,
) -> None:
    """Run each request (one per budget) on every class at once, and compare the classes by what was
    measured. A class on which nothing can be measured does not keep the others from being searched.

    Exits with 1 where a study found nothing, and with 3 where a class could not be measured."""
    outcomes: list[Outcome] = []
    names: list[str] = []
    for request in requests:
        started = []
        for number, each in enumerate(classes, 1):
            study_id = studies.start(each.asked(request))
            started.append((each, study_id))
            text = f"Class {number} of {len(classes)}: {each.shown}. Study {study_id} is queued."
            stderr().print(text, markup=False)
        for each, study_id in started:
            stderr().print(f"{each.shown}, {request.budget}: study {study_id}.", markup=False)
            outcomes.append(follow(studies, study_id))
            names.append(f"{request.budget} on {each.shown}")
    answer = _fleet_answer(studies, requests[-1])
    pairs = list(zip(names, outcomes, strict=True))
    failed = [f"{name}: {each.message}" for name, each in pairs if not _has_ended(each)]
    if json_:
        documents = [each.document for _, each in pairs if _has_ended(each)]
        print_json({"recommendations": documents, "fleet_answer": answer, "not_measured": failed})
    try:
        show_outcomes(outcomes, names, json_=json_)
    finally:
        if answer is not None and not json_:
            show_fleet_answer(answer)
    if failed:
        raise typer.Exit(3)


def _has_ended(outcome: Outcome) -> bool:
    """Whether it could be measured, with or without a result."""
    return outcome.recommendation is not None or outcome.state == "finished"


def _fleet_answer(studies: Studies, request: StudyRequest) -> dict[str, Any] | None:
    """Which class is best for one cycle of this budget; ``None`` where nothing was measured that
    could be compared."""
    question = FleetQuestion(
        workload=request.workload,
        budget=request.budget,
        pinned=request.pinned,
        options=request.options,
        time_scale=request.time_scale,
    )
    try:
        return studies.choose(question)
    except NotFound:
        return None
