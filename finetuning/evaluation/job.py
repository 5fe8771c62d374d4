"""The evaluation as a job of the worker, in the interpreter that trained."""

from __future__ import annotations

from typing import Any

from finetuning.evaluation.evaluate import EvaluationProgress, evaluate
from probes.worker.channel import Channel


def evaluate_job(arguments: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """``evaluate`` with plain data in and out.

    ``arguments``: ``output`` (the run's folder), ``tasks``, and optionally ``baseline``, ``limit``,
    ``options``, ``device``, ``batch_size``. Returns ``{"run": …, "baseline": …}``, the summaries by
    task. Progress is told as ``evaluate`` with step, of (items), model, task,
    elapsed_s and left_s.
    """

    def tell(progress: EvaluationProgress) -> None:
        channel.progress(
            "evaluate",
            progress.done,
            progress.total,
            always=progress.done == progress.total,
            model=progress.model,
            task=progress.task,
            elapsed_s=progress.elapsed_s,
            left_s=progress.left_s,
        )

    found = evaluate(
        arguments["output"],
        arguments.get("tasks") or ("language",),
        arguments.get("baseline"),
        arguments.get("limit"),
        tell,
        options=arguments.get("options"),
        device=arguments.get("device"),
        batch_size=arguments.get("batch_size"),
    )
    return {"run": dict(found.run), "baseline": dict(found.baseline)}
