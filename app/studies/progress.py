"""How far a study is, what it has found so far, and what it would recommend now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database import Database
from app.errors import NotFound
from app.jobs import repository as jobs
from app.jobs.records import JobEvent
from app.measurements import repository as measurements
from app.recommendations import repository as recommendations
from app.studies import view, view_repository
from app.studies.schemas import StudyOut
from app.tuning import repository, trial_repository
from app.tuning.repository import StudyRecord
from app.tuning.state import StudyState
from app.tuning.trial_repository import Tally, TrialPoint, TrialQuery
from optimizer.budgets import Budget
from optimizer.choose import candidates, choose
from optimizer.disturbed import standing
from optimizer.records import Recommendation, Trial, TrialState
from optimizer.spaces import planned as planned_of
from probes.measurement import Config
from probes.space import dimension_from_dict

LOG_LINES = 40
MOST_POINTS = 400
"""Trials that are drawn: the incumbent, the Pareto front, and of the others an even selection."""


@dataclass(frozen=True)
class TrialPage:
    """A part of a study's trials."""

    trials: list[Trial]
    matching: int
    """Trials that the query finds, on all pages."""
    number: int
    """Number of this page, from 1."""
    pages: int


@dataclass(frozen=True)
class Outline:
    """A study in one line."""

    view: StudyOut
    tally: Tally
    planned: int | None
    elapsed_s: float


@dataclass(frozen=True)
class StudyProgress:
    """A study at this moment."""

    view: StudyOut
    study: StudyRecord | None
    """``None`` until a runner has opened it."""
    counts: dict[str, int]
    """Settled trials by state."""
    measured: int
    """Trials that took a measurement."""
    planned: int | None
    """Configs that are measured at most; fewer where the space has fewer."""
    probes: int
    """Measurements that the study used, as its recommendation counts them: those of configs that
    are not settled are included."""
    elapsed_s: float
    left_s: float | None
    """As long as all that are planned are measured; a study often knows enough before."""
    points: list[TrialPoint]
    """The trials that are drawn."""
    undrawn: int
    configs: dict[int, Config]
    """The configs of the points, by the number of the trial."""
    incumbent: int | None
    """Number of the trial that would be recommended now."""
    recommendation: Recommendation | None
    log: list[JobEvent]
    """The newest, oldest first."""
    last_event: int

    @property
    def is_active(self) -> bool:
        return not self.view.state.is_terminal

    @property
    def settled(self) -> int:
        return sum(self.counts.values())

    @property
    def why_no_best(self) -> str:
        """Where no trial would be recommended."""
        if self.counts.get(TrialState.FEASIBLE):
            return "what fits was measured while disturbed"
        if self.is_active:
            return "no config fits yet"
        return "no config fits" if self.counts else "no config was settled"

    @property
    def best(self) -> TrialPoint | None:
        return next((each for each in self.points if each.number == self.incumbent), None)


def progress(database: Database, study_id: str) -> StudyProgress:
    """Raises ``NotFound``."""
    found = view.get(database, study_id)
    trials_of = found.answered_by or ""
    with database.read() as session:
        study = repository.get(session, trials_of)
        counts = trial_repository.counts_by_state(session, trials_of)
        measured, spent_s = trial_repository.totals(session, trials_of)
        probes = measurements.count_of_study(session, trials_of)
        points = trial_repository.points(session, trials_of)
        incumbent = study.incumbent if study is not None else None
        recommendation = None
        if found.recommendation_id:
            recommendation = recommendations.of_study(session, trials_of)
        if recommendation is not None:
            incumbent = _number_of(session, trials_of, points, recommendation)
        elif study is not None and incumbent is None:
            incumbent = _chosen_here(session, study, points)
        drawn = _thinned(points, incumbent)
        configs = trial_repository.configs(session, trials_of, {p.number for p in drawn})
        job = jobs.find(session, study_id)
        last_event = job.last_event if job is not None else 0
        log = jobs.events(session, job.id, last_event - LOG_LINES, LOG_LINES) if job else []
    planned = _planned(study)
    return StudyProgress(
        view=found,
        study=study,
        counts=counts,
        measured=measured,
        planned=planned,
        probes=probes,
        elapsed_s=_elapsed_s(found),
        left_s=_left_s(found, measured, planned, spent_s),
        points=drawn,
        undrawn=len(points) - len(drawn),
        configs=configs,
        incumbent=incumbent,
        recommendation=recommendation,
        log=log,
        last_event=last_event,
    )


def outline(database: Database, views: Sequence[StudyOut]) -> list[Outline]:
    """How far each of them is."""
    with database.read() as session:
        studies = view_repository.studies_of(
            session, {each.answered_by for each in views if each.answered_by}
        )
        tallies = trial_repository.tallies(session, list(studies))
    return [
        Outline(
            each,
            tallies.get(each.answered_by or "", Tally(0, 0)),
            _planned(studies.get(each.answered_by or "")),
            _elapsed_s(each),
        )
        for each in views
    ]


def trial_page(
    database: Database, study_id: str | None, query: TrialQuery, number: int, per_page: int
) -> TrialPage:
    """Page ``number``, or the last there is. ``study_id`` is the study that has the trials."""
    with database.read() as session:
        matching = trial_repository.count(session, study_id or "", query)
        pages = max(1, -(-matching // per_page))
        number = min(max(number, 1), pages)
        found = trial_repository.page(
            session, study_id or "", query, offset=(number - 1) * per_page, limit=per_page
        )
    return TrialPage(found, matching, number, pages)


def trial(database: Database, study_id: str, number: int) -> tuple[StudyOut, Trial]:
    """One trial of a study. Raises ``NotFound``."""
    found = view.get(database, study_id)
    with database.read() as session:
        settled = trial_repository.get(session, found.answered_by or "", number)
    if settled is None:
        raise NotFound(f"Study {study_id} has no trial {number}.")
    return found, settled


def last_event(database: Database, study_id: str) -> tuple[int, bool]:
    """Number of the newest event, and whether the study is over: cheap, for who waits. A study of
    the command line has no events: its trials are counted. Raises ``NotFound``."""
    with database.read() as session:
        job = jobs.find(session, study_id)
        if job is not None:
            return job.last_event, job.is_over
        study = repository.get(session, study_id)
        if study is None:
            raise NotFound(f"There is no study {study_id}.")
        return repository.trial_count(session, study_id), study.state != StudyState.RUNNING


def _planned(study: StudyRecord | None) -> int | None:
    if study is None:
        return None
    space = {name: dimension_from_dict(d) for name, d in study.spec.get("space", {}).items()}
    return planned_of(space, study.spec["budget"]["trials"])


def _elapsed_s(found: StudyOut) -> float:
    """In all attempts, the one under way included."""
    running_s = 0.0
    if found.state is StudyState.RUNNING and found.started_at is not None:
        running_s = max((utc_now() - found.started_at).total_seconds(), 0.0)
    return found.wall_s + running_s


def _left_s(found: StudyOut, measured: int, planned: int | None, spent_s: float) -> float | None:
    if found.state is not StudyState.RUNNING or planned is None or not measured:
        return None
    return max(planned - measured, 0) * spent_s / measured


def _number_of(
    session: Session, study_id: str, points: Sequence[TrialPoint], made: Recommendation
) -> int | None:
    """The number of the trial that was chosen."""
    near = [p.number for p in points if p.batch_size == made.batch_size]
    found = trial_repository.configs(session, study_id, near)
    return max((number for number, config in found.items() if config == made.config), default=None)


def _chosen_here(session: Session, study: StudyRecord, points: Sequence[TrialPoint]) -> int | None:
    """The incumbent of a study whose process did not store it (one of an earlier release that has
    not been resumed): by the same rule, with the number of parameters as capacity."""
    fitting = [each.number for each in points if each.fits_window]
    configs = list(trial_repository.configs(session, study.id, fitting).values())
    if not configs:
        return None
    runs = standing(m.measurement for m in measurements.of_configs(session, study.id, configs))
    budget = Budget.from_dict(study.spec["budget"])
    trials = repository.trials(session, study.id)
    choice = choose(candidates(trials, runs), budget)
    return choice.best.trial.number if choice is not None else None


def _thinned(points: list[TrialPoint], incumbent: int | None) -> list[TrialPoint]:
    if len(points) <= MOST_POINTS:
        return points
    front, most = {incumbent}, -1
    for p in sorted(points, key=lambda p: (-p.throughput_samples_per_s, -(p.parameters or 0))):
        if p.fits_window and (p.parameters or 0) > most:
            front.add(p.number)
            most = p.parameters or 0
    stride = len(points) / (MOST_POINTS - min(len(front), MOST_POINTS // 2))
    kept = {points[int(i * stride)].number for i in range(int(len(points) / stride))}
    return [p for p in points if p.number in front or p.number in kept]
