"""From records to the claims: how true the prediction was, and whether what fits trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks.sft.cases import Case, fit_cases, step_cases
from benchmarks.sft.records import Plain, Training, WorkFile

PEAK_GOAL = 0.02
TIME_GOAL = 0.05
FITS_GOAL = 40
MIB = 2**20


@dataclass(frozen=True)
class Row:
    """One training. ``None`` where there is nothing to say."""

    preset: str
    family: str
    rows: str
    budget_mib: int
    micro_batch: int | None
    accumulation: int | None
    changed: str
    peak_mib: float | None
    peak_error: float | None
    """Peak in training over the predicted one, minus 1: below 0 it needed less."""
    step_error: float | None
    """The same for the step time."""
    steps: int
    resumed_from_step: int | None
    ends: str
    """``trained``, ``lacks memory`` (said before training), or the verdict of a failure."""
    plain_micro_batch: int | None
    """Largest micro-batch with a plain model's loss in the same budget."""


def row(case: Case, trained: Training, plain: Plain | None) -> Row:
    """A record with its errors."""
    ends = "lacks memory"
    if trained.fits:
        ends = "trained" if trained.state == "done" else trained.verdict or trained.state
    return Row(
        preset=case.preset,
        family=case.family,
        rows=case.rows,
        budget_mib=case.budget_mib,
        micro_batch=trained.micro_batch,
        accumulation=trained.accumulation,
        changed=" + ".join(trained.changed),
        peak_mib=round(trained.peak_bytes / MIB, 1) if trained.peak_bytes else None,
        peak_error=_error(trained.peak_bytes, trained.predicted_peak_bytes),
        step_error=_error(trained.step_s, trained.predicted_step_s),
        steps=trained.steps,
        resumed_from_step=trained.resumed_from_step,
        ends=ends,
        plain_micro_batch=plain.found if plain else None,
    )


def _error(found: float | None, predicted: float | None) -> float | None:
    return round(found / predicted - 1, 4) if found and predicted else None


def table(work: WorkFile, cases: Sequence[Case]) -> list[Row]:
    """A row for each case that has been measured."""
    return [
        row(case, work.trainings[case.identity], work.plain.get(case.identity))
        for case in cases
        if case.identity in work.trainings
    ]


def step_summary(rows: Sequence[Row], planned: int) -> dict[str, Any]:
    """A goal whose cases have not all been measured is not met. Where rows have mixed lengths the
    peak may stay below the prediction: a short training need not meet the longest rows together."""
    peaks = [r.peak_error for r in rows if r.peak_error is not None]
    times = [r.step_error for r in rows if r.step_error is not None]
    whole = len(peaks) == len(times) == len(rows) == planned
    figures: dict[str, Any] = {
        "measured": len(rows),
        "planned": planned,
        "peak_errors": sorted(peaks),
        "step_errors": sorted(times),
        "peak_within_goal": sum(abs(one) <= PEAK_GOAL for one in peaks),
        "step_within_goal": sum(abs(one) <= TIME_GOAL for one in times),
        "median_step_error": median(times) if times else None,
        "out_of_memory": sum(r.ends not in ("trained", "lacks memory") for r in rows),
    }
    figures["goals"] = {
        "peak": whole and figures["peak_within_goal"] == planned,
        "step_time": whole and figures["step_within_goal"] == planned,
        "no_out_of_memory": whole and not figures["out_of_memory"],
    }
    return figures


def fit_summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Whether every case trained to its end or said before that it cannot."""
    failed = [r for r in rows if r.ends not in ("trained", "lacks memory")]
    figures: dict[str, Any] = {
        "measured": len(rows),
        "trained": sum(r.ends == "trained" for r in rows),
        "lack_memory": sum(r.ends == "lacks memory" for r in rows),
        "resumed": sum(r.resumed_from_step is not None for r in rows),
        "failed": len(failed),
    }
    figures["goals"] = {"none_failed": len(rows) >= FITS_GOAL and not failed}
    return figures


def document(work: WorkFile) -> tuple[dict[str, Any], str]:
    """The result as data and as Markdown."""
    data: dict[str, Any] = {}
    parts = [
        ("step", "Against 100 steps of training, rows of mixed lengths", step_cases("mixed")),
        ("equal", "Against 100 steps of training, every row as long as the longest",
         step_cases("equal")),
        ("fit", "Four steps within a budget, stopped and resumed after the second", fit_cases()),
    ]  # fmt: skip
    written = []
    for name, title, cases in parts:
        rows = table(work, cases)
        if not rows:
            written.append(f"## {title}\n\nNot measured yet.")
            continue
        figures = fit_summary(rows) if name == "fit" else step_summary(rows, len(cases))
        data[name] = {"summary": figures, "rows": [asdict(one) for one in rows]}
        said = _fit_words(figures) if name == "fit" else _step_words(figures)
        written.append(f"## {title}\n\n{said}\n\n{markdown(rows)}")
    return data, "\n\n".join(written) + "\n"


def _step_words(figures: dict[str, Any]) -> str:
    met = {name: "met" if is_met else "missed" for name, is_met in figures["goals"].items()}
    of = figures["measured"]
    return "\n".join(
        [
            "| | measured | goal | |",
            "|---|--:|--:|---|",
            f"| peak within 2 % | {figures['peak_within_goal']} of {of} | {figures['planned']} "
            f"| {met['peak']} |",
            f"| step time within 5 % | {figures['step_within_goal']} of {of} "
            f"| {figures['planned']} | {met['step_time']} |",
            f"| failed in training | {figures['out_of_memory']} | 0 | {met['no_out_of_memory']} |",
        ]
    )


def _fit_words(figures: dict[str, Any]) -> str:
    met = "met" if figures["goals"]["none_failed"] else "missed"
    return "\n".join(
        [
            "| cases | trained | said what they lack | resumed | failed in training | goal | |",
            "|--:|--:|--:|--:|--:|--:|---|",
            f"| {figures['measured']} | {figures['trained']} | {figures['lack_memory']} "
            f"| {figures['resumed']} | {figures['failed']} | 0 of {FITS_GOAL} | {met} |",
        ]
    )


def markdown(rows: Sequence[Row]) -> str:
    lines = [
        "| preset | architecture | MiB | micro × accumulation | changed | peak MiB | peak error "
        "| step time error | steps | plain loss finds | ends |",
        "|---|---|--:|--:|---|--:|--:|--:|--:|--:|---|",
    ]
    lines += [
        f"| {r.preset} | {r.family} | {r.budget_mib} | {_batches(r)} | {r.changed or '–'} "
        f"| {_text(r.peak_mib)} | {_percent(r.peak_error)} | {_percent(r.step_error)} "
        f"| {r.steps} | {_text(r.plain_micro_batch)} | {r.ends} |"
        for r in rows
    ]
    return "\n".join(lines)


def _batches(r: Row) -> str:
    return f"{r.micro_batch} × {r.accumulation}" if r.micro_batch else "–"


def _text(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:+.1%}"
