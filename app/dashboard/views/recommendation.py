"""What the page of a recommendation and the report show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.dashboard.charts.capacity import Spot, capacity_figure
from app.dashboard.charts.figure import Figure
from app.dashboard.charts.memory import memory_figure
from app.dashboard.charts.prediction import prediction_figures
from app.dashboard.charts.stability import stability_figures
from app.dashboard.charts.step_time import step_time_figure
from app.database import Database
from app.devices import repository as devices
from app.measurements import repository as measurements
from app.measurements.repository import MeasurementRecord
from app.recommendations.exports.export import FORMATS, export
from app.validity.comparison import Validity
from app.validity.last_seen import validities
from app.workloads.again import tune_line
from optimizer.budgets import Budget
from optimizer.records import Grade, Recommendation
from probes.errors import InputError
from probes.measurement import Measurement

BINDINGS = {
    "memory": "A larger batch does not fit into the allowed memory.",
    "time": "With a larger batch, a cycle would take longer than the time window allows.",
    "data": "The dataset has no more samples for a larger batch.",
    "shape": "A kernel cannot handle a larger batch.",
    "failure": "A run with a larger batch failed, and its size may not be the reason.",
    "cap": "Larger batches were not tried: they exceed the largest useful or allowed batch.",
}


@dataclass(frozen=True)
class ExportTab:
    """The recommendation in one format."""

    name: str
    reader: str
    """The program that reads it, in a few words."""
    text: str = ""
    unsaid: list[str] = field(default_factory=list)
    """What the format cannot express, as sentences."""
    problem: str = ""
    """Why it cannot be exported in this format; empty if it can."""


@dataclass(frozen=True)
class Alternative:
    """Another good config, and the measurement to compare it with."""

    document: dict[str, Any]
    measurement_id: int | None


@dataclass(frozen=True)
class RecommendationView:
    """Everything on the page."""

    recommendation: Recommendation
    standing: Validity
    device_name: str
    run: Measurement | None
    """The run that confirmed it."""
    failing: Measurement | None
    """The run of the smallest failing batch, if any failed."""
    why_binding: str
    memory: Figure
    step_time: Figure
    stability: list[Figure]
    capacity: Figure | None
    predictions: list[Figure]
    alternatives: list[Alternative]
    most_capable: Alternative | None
    """The most capable model that fits the window, if it is not the recommended one."""
    exports: list[ExportTab]

    @property
    def sentence(self) -> str:
        """The first sentence of the explanation: what to train."""
        explanation = self.recommendation.explanation
        return explanation[0] if explanation else ""

    @property
    def tune(self) -> str:
        """The line that measures it again."""
        r = self.recommendation
        line = tune_line(r.workload, r.valid.get("workload_options"))
        return f"{line} --budget {r.budget} --device {r.device}"

    @property
    def reasons(self) -> list[str]:
        """The rest of the explanation."""
        return self.recommendation.explanation[1:]

    @property
    def figures(self) -> list[Figure]:
        """Every chart that has something to show."""
        found = [self.memory, self.step_time, *self.stability, *self.predictions]
        found += [self.capacity] if self.capacity else []
        return [figure for figure in found if not figure.is_empty]


def view(database: Database, recommendation: Recommendation) -> RecommendationView:
    """Read everything stored about it. For an old or imported one, only its document may exist."""
    study_id = str(recommendation.study.get("id", ""))
    others = [*recommendation.alternatives, *filter(None, [recommendation.most_capable])]
    wanted = [recommendation.config, *(other["config"] for other in others)]
    with database.read() as session:
        records = measurements.of_configs(session, study_id, wanted)
        grades = measurements.grades(session, study_id)
        device = devices.find(session, recommendation.fingerprint)
    return build(
        recommendation,
        records,
        grades,
        validities(database, [recommendation])[recommendation.id],
        device.name if device else recommendation.device,
    )


def build(
    recommendation: Recommendation,
    records: Sequence[MeasurementRecord],
    grades: Sequence[Grade],
    standing: Validity,
    device_name: str,
) -> RecommendationView:
    """``records``: the study's measurements of the recommended config and of the alternatives."""
    r = recommendation
    run, failing = (_evidence(r, name) for name in ("highest_passing", "lowest_failing"))
    own = [each.measurement for each in records if each.measurement.config == r.config]
    if not own:
        own = [found for found in (run, failing) if found is not None]
    budget = _budget(r)
    return RecommendationView(
        recommendation=r,
        standing=standing,
        device_name=device_name,
        run=run,
        failing=failing,
        why_binding=BINDINGS.get(r.binding, ""),
        memory=memory_figure(own, r.batch_size),
        step_time=step_time_figure(own, r.batch_size, budget.longest_step_s if budget else None),
        stability=stability_figures(run) if run is not None else [],
        capacity=_capacity(r, budget),
        predictions=prediction_figures(grades),
        alternatives=[Alternative(other, _id_of(other, records)) for other in r.alternatives],
        most_capable=(
            Alternative(r.most_capable, _id_of(r.most_capable, records)) if r.most_capable else None
        ),
        exports=exports(r),
    )


def exports(recommendation: Recommendation) -> list[ExportTab]:
    """The recommendation in every export format."""
    found = []
    for name, about in FORMATS.items():
        try:
            made = export(recommendation, name)
            found.append(ExportTab(name, about.reader, made.text, made.unsaid))
        except InputError as error:
            found.append(ExportTab(name, about.reader, problem=str(error)))
    return found


def _evidence(recommendation: Recommendation, name: str) -> Measurement | None:
    document = recommendation.evidence.get(name)
    return Measurement.from_dict(document) if document else None


def _budget(recommendation: Recommendation) -> Budget | None:
    document = recommendation.study.get("budget")
    return Budget.from_dict(document) if document else None


def _capacity(recommendation: Recommendation, budget: Budget | None) -> Figure | None:
    """The front and the alternatives, as far as the document itself contains them."""
    others = [
        *recommendation.front,
        *recommendation.alternatives,
        *filter(None, [recommendation.most_capable]),
    ]
    if not recommendation.parameters or not others:
        return None
    chosen = recommendation.to_dict()
    spots: dict[str, Spot] = {}
    for each in [chosen, *others]:
        if each.get("parameters"):
            spot = Spot(
                each["config"],
                each["batch_size"],
                each["parameters"],
                each["throughput_samples_per_s"],
                each["cycle_time_s"].get("mean"),
                is_incumbent=each is chosen,
            )
            spots.setdefault(str(sorted(spot.config.items())), spot)
    if len(spots) < 2:
        return None
    figure = capacity_figure(list(spots.values()), budget.accepted_loss if budget else None)
    return replace(figure, title="The alternatives: throughput against capacity")


def _id_of(other: dict[str, Any], records: Sequence[MeasurementRecord]) -> int | None:
    """The id of the run that confirmed an alternative."""
    for record in reversed(records):
        run = record.measurement
        same = run.config == other["config"] and run.batch_size == other["batch_size"]
        if same and run.passed and run.purpose == "confirm":
            return record.id
    return None
