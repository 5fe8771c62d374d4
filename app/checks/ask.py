"""A check from the command line: read the plan, look at the machine, ask the store or a service,
measure where that is wanted, keep the answer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.checks import local
from app.checks.request import CheckRequest, ConfiguredLimits
from app.settings.brief import Brief, brief_settings
from probes.errors import InputError, MeasurementError
from probes.formatting import parse_size
from probes.space import parse_assignments

if TYPE_CHECKING:
    from app.checks.config_file import Written

UNDECIDED = ("unknown", "stale")


@dataclass(frozen=True)
class CheckCommand:
    """What the command line says."""

    config_file: Path | None = None
    workload: str | None = None
    batch_size: int | None = None
    accumulation: int | None = None
    set_: tuple[str, ...] = ()
    option: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    budget: str | None = None
    time_scale: float | None = None
    device: str | None = None
    memory_budget: str | None = None
    headroom: float | None = None
    probe: str | None = None
    """``quick`` or ``full``: measure in any case."""
    probe_unknown: bool = False
    """Measure in full where nothing valid was measured."""
    server: str | None = None
    api_key: str | None = None
    refresh: bool = False
    python: str | None = None
    wait_s: float | None = None
    database: str | None = None


@dataclass(frozen=True)
class PlannedWorkload:
    """What is trained, and how a worker finds it."""

    label: str
    """What its results are kept under."""
    spec: str
    options: dict[str, Any]
    python: str | None


def ask(question: CheckCommand) -> dict[str, Any]:
    """The answer (see ``evaluate.document``), with its ``id`` where it could be kept and
    ``warnings``. Raises ``InputError``, and ``MeasurementError`` where measuring failed."""
    brief = brief_settings()
    asked, workload = _asked(question, brief)
    answer = _answer(question, brief, asked)
    wanted = question.probe or ("full" if question.probe_unknown else None)
    if wanted and (question.probe or answer["verdict"] in UNDECIDED):
        if asked.here is None:
            raise InputError(
                f"--probe measures on this machine, and {question.device} is another one's device."
            )
        from app.checks.probing import measure

        measure(question, workload, asked.here, answer, quick=wanted == "quick")
        answer = _answer(question, brief, asked, accept_brackets=wanted == "quick")
    return answer


def _asked(question: CheckCommand, brief: Brief) -> tuple[CheckRequest, PlannedWorkload]:
    written = _written(question)
    batch_size = question.batch_size or (written.batch_size if written else None)
    if batch_size is None:
        where = f"{question.config_file} says no batch size" if written else "No batch size"
        raise InputError(f"{where}: give it with --batch-size, or --key batch_size=PATH.IN.FILE.")
    config = {
        **(written.levers if written else {}),
        **parse_assignments(list(question.set_), "--set"),
    }
    identity = written.recommendation_id if written else None
    if question.workload is None and identity is None:
        if written is not None:
            raise InputError(
                f"{question.config_file} names no recommendation (of the exports, args, hydra and "
                "transformers-json have no place for it): say what is trained with --workload."
            )
        raise InputError(
            "Name what is trained with --workload, or give a file that tonnage export wrote."
        )
    asked = CheckRequest(
        batch_size=batch_size,
        config=config,
        offered=written.offered if written else {},
        accumulation=question.accumulation or (written.accumulation if written else None),
        recommendation_id=identity,
        budget=question.budget,
        time_scale=question.time_scale,
        memory_budget_bytes=parse_size(question.memory_budget) if question.memory_budget else None,
        headroom=question.headroom,
        source=str(question.config_file or ""),
        notes=list(written.notes) if written else [],
    )
    workload = _workload(question, brief, asked.recommendation_id)
    asked = _with_workload(question, brief, asked, workload)
    return _with_device(question, brief, asked, workload), workload


def _written(question: CheckCommand) -> Written | None:
    if question.config_file is None:
        if question.keys:
            raise InputError("--key says where a CONFIG_FILE has a value: name the file too.")
        return None
    from app.checks.config_file import read_file

    keys = {name: str(v) for name, v in parse_assignments(list(question.keys), "--key").items()}
    return read_file(question.config_file, keys)


def _workload(
    question: CheckCommand, brief: Brief, recommendation_id: str | None
) -> PlannedWorkload:
    """What is trained, as the command line or else the recommendation says it."""
    from app.cli.specs import absolute_spec

    options = parse_assignments(list(question.option), "--option")
    name = question.workload
    if name is None:
        name, recommended = _recommended(question, brief, str(recommendation_id))
        options = {**recommended, **options}
    known = brief.workloads.get(name)
    if known is None:
        spec = absolute_spec(name)
        return PlannedWorkload(spec, spec, options, question.python)
    options = {**known["options"], **options}
    return PlannedWorkload(name, known["reference"], options, question.python or known["python"])


def _with_workload(
    question: CheckCommand, brief: Brief, asked: CheckRequest, workload: PlannedWorkload
) -> CheckRequest:
    """Its space, and the hash of its source as it is now."""
    from app.machine.local_facts import workload_here

    asked = replace(asked, workload=workload.label)
    try:
        described = workload_here(
            workload.spec,
            workload.options,
            workload.python,
            brief.timeouts,
            anew=question.refresh,
        )
    except MeasurementError as error:
        words = str(error).splitlines()[0]
        return replace(
            asked, notes=[*asked.notes, f"the workload's source was not compared: {words}"]
        )
    return replace(asked, workload_hash=described["source_hash"], space=described["space"])


def _recommended(question: CheckCommand, brief: Brief, identity: str) -> tuple[str, dict[str, Any]]:
    """The workload of a recommendation, and its options. Raises ``InputError``."""
    found: dict[str, Any] | None = None
    if question.server:
        from app.checks.remote import ServiceAway, recommendation

        try:
            found = recommendation(question.server, question.api_key, identity)
        except ServiceAway:
            found = None
    if found is None:
        found = local.recommendation(question.database or brief.database_url, identity)
    if found is None:
        raise InputError(
            f"Recommendation {identity}, which {question.config_file} names, is not stored here: "
            "name what is trained with --workload, or the service that has it with --server."
        )
    return str(found["workload"]), dict(found["valid"].get("workload_options") or {})


def _with_device(
    question: CheckCommand, brief: Brief, asked: CheckRequest, workload: PlannedWorkload
) -> CheckRequest:
    from app.machine.local_facts import device_here, is_name_of_one_here

    if not is_name_of_one_here(question.device):
        return replace(asked, device=question.device)
    here = device_here(workload.python, question.device, brief.timeouts, anew=question.refresh)
    budget = asked.memory_budget_bytes
    if budget is not None and here.total_bytes is not None and budget > here.total_bytes:
        from probes.formatting import size_text

        raise InputError(
            f"--memory-budget {size_text(budget)} is more than {here.device} has "
            f"({size_text(here.total_bytes)})."
        )
    return replace(asked, here=here)


def _answer(
    question: CheckCommand, brief: Brief, asked: CheckRequest, *, accept_brackets: bool = False
) -> dict[str, Any]:
    """From the service where one is named, else from the local store; kept in both."""
    url = question.database or brief.database_url
    limits = ConfiguredLimits(brief.headroom, brief.windows)
    if not question.server:
        return local.ask_store(url, asked, limits, accept_brackets=accept_brackets)
    from app.checks.remote import ServiceAway, ask_service

    try:
        answer = ask_service(
            question.server, question.api_key, asked, accept_brackets=accept_brackets
        )
    except ServiceAway as error:
        answer = local.ask_store(url, asked, limits, accept_brackets=accept_brackets)
        answer["warnings"].append(f"{error} The answer is from the store here.")
        return answer
    return {**answer, "warnings": local.keep_here(url, answer)}
