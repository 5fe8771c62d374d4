"""Running the ablations behind claims, and keeping what they come to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from app.database import Database
from app.database.fence import Fence, open_to_all
from app.database.models.knowledge import EvidenceRow
from app.devices.service import register_target
from app.errors import NotFound
from app.knowledge import service
from app.knowledge.bench import SessionBench
from app.machine.target import Target
from app.settings import Settings
from app.workloads import registry
from knowledge.claims import Claim
from optimizer.ablation import AblationEvent, At, Evidence, Quantity, Question, run
from optimizer.ablation.defaults import default_budget_bytes, default_workloads
from probes.devices.lease import OnWait
from probes.errors import InputError
from probes.job import WorkloadRef
from probes.space import unknown_name
from probes.timeouts import Progress
from probes.workloads import BUILT_IN


@dataclass(frozen=True)
class ClaimsOnWorkload:
    """Claims that are measured on the same workload."""

    workload: WorkloadRef
    python: str | None
    """The interpreter that is registered for the workload; ``None`` for the usual one."""
    claims: Sequence[Claim]
    pinned: Mapping[str, Any] = field(default_factory=dict)
    """Values of the config on both sides, besides those of the claim."""


@dataclass(frozen=True)
class Watch:
    """Who is told what happens."""

    step: Callable[[AblationEvent], None] = lambda event: None
    evidence: Callable[[EvidenceRow, Evidence], None] = lambda row, evidence: None
    worker: Progress | None = None
    waiting: OnWait | None = None
    fence: Fence = open_to_all
    """Refuses to store evidence where the job that asked for it has been lost."""


def workload_of(claim: Claim) -> str:
    """Name of the workload that a claim is measured on unless another one is asked for. It does
    not depend on the device; the size of the model does."""
    asked = question(claim, claim.workload or "", {}, {})
    return default_workloads(asked, "cpu")[0].spec


def chosen(claims: Iterable[Claim], ids: Collection[str]) -> list[Claim]:
    """The claims with these ids, short or full; all of them without any. Raises ``NotFound`` for an
    id that none has."""
    there = list(claims)
    known = {claim.id for claim in there} | {claim.full_id for claim in there}
    for each in ids:
        if each not in known:
            raise NotFound(unknown_name("claim", each, sorted(claim.id for claim in there)))
    return [claim for claim in there if not ids or {claim.id, claim.full_id} & set(ids)]


def by_workload(
    settings: Settings, claims: Iterable[Claim], *, pinned: Mapping[str, Any] | None = None
) -> list[ClaimsOnWorkload]:
    """The claims with the workload that each is measured on by default.

    Raises ``NotRegistered``: a page can only name a registered workload, because what it names is
    run.
    """
    groups: dict[str, list[Claim]] = {}
    for claim in claims:
        groups.setdefault(workload_of(claim), []).append(claim)
    found = []
    for name, members in groups.items():
        entry = registry.find(settings, name)
        reference = entry.with_options({})
        found.append(ClaimsOnWorkload(reference, entry.python, members, dict(pinned or {})))
    return found


def question(
    claim: Claim, workload: str, options: Mapping[str, Any], pinned: Mapping[str, Any]
) -> Question:
    """What the optimizer is asked. Raises ``InputError`` for a claim whose values do not match its
    levers."""
    try:
        before, after = claim.changes
    except ValueError as error:
        raise InputError(str(error)) from None
    return Question(
        claim=claim.full_id,
        page=claim.page,
        text=claim.text,
        before=before,
        after=after,
        quantity=Quantity(claim.quantity.value),
        low=claim.low,
        high=claim.high,
        workload=workload,
        at=At(claim.at.value),
        options=dict(options),
        config={**claim.config, **pinned},
        devices=claim.devices,
    )


def questions_of(group: ClaimsOnWorkload, kind: str) -> list[Question]:
    """A question for each claim of the group. On one of the workloads that the optimizer knows, the
    model has the size at which the lever shows what it does on this kind of device."""
    found = []
    for claim in group.claims:
        asked = question(claim, group.workload.label, group.workload.options, group.pinned)
        found.append(default_workloads(asked, kind)[0].ask(asked))
    return found


def memory_of(group: ClaimsOnWorkload, target: Target) -> int | None:
    """The memory within which maximum batches are compared, in bytes; ``None`` for all of the
    device. On a built-in workload it is small unless it was asked for, because the search for the
    maximum batch of a small model on a large device would take hours."""
    if target.memory_budget_bytes is not None or group.workload.label not in BUILT_IN:
        return target.memory_budget_bytes
    return default_budget_bytes(target.facts.kind, target.facts.total_bytes)


def measure(
    settings: Settings,
    database: Database,
    group: ClaimsOnWorkload,
    target: Target,
    watch: Watch,
    *,
    since: datetime | None = None,
) -> list[EvidenceRow]:
    """Measure claims on a device that this process keeps to itself meanwhile.

    Each piece of evidence is committed before the next experiment begins. With ``since``, what was
    measured here after that moment is not measured again. Raises what cannot be an answer: a
    workload that cannot be loaded, a device that stays in use.
    """
    questions = questions_of(group, target.facts.kind)
    target = replace(target, memory_budget_bytes=memory_of(group, target))
    fingerprint = target.fingerprint.key
    done = _done(database, questions, fingerprint, since) if since is not None else {}
    rows = list(done.values())
    experiments: dict[str, list[Question]] = {}
    for each in questions:
        if each.claim not in done:
            experiments.setdefault(each.experiment, []).append(each)
    with target.lease(settings, watch.waiting):
        register_target(database, target)
        for experiment in experiments.values():
            options = {**group.workload.options, **experiment[0].options}
            workload = replace(group.workload, options=options)
            bench = SessionBench(settings, workload, target, watch.worker)
            for evidence in run(experiment, bench, report=watch.step):
                row = service.record(database, evidence, watch.fence)
                rows.append(row)
                watch.evidence(row, evidence)
    return rows


def _done(
    database: Database, questions: Sequence[Question], fingerprint: str, since: datetime
) -> dict[str, EvidenceRow]:
    """By claim: what was measured since then on this device and workload."""
    ids = {each.claim: each.workload for each in questions}
    found = service.newest(database, claims=list(ids), fingerprint=fingerprint)
    return {
        row.claim: row
        for row in found
        if row.measured_at >= since.replace(microsecond=0) and row.workload == ids[row.claim]
    }
