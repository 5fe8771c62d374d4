"""Which settings tell two runs apart, so that a difference is attributed to the right cause."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from finetuning.comparison.result import Contrast, ContrastKind, SettingDifference
from finetuning.comparison.runs import EvaluatedRun
from finetuning.run_folder import BASELINE

LABELS = ("preset",)
"""Names only: they train nothing."""
FITTED = ("training.batch_size", "training.eval_batch_size")
"""Fitted to the device. Accumulation keeps the effective batch size, which decides the training."""
SEED = "training.seed"
STRATEGY = "strategy"
TRAINING_ROWS = "training rows"
MOST_NAMED = 4


def contrast(baseline: EvaluatedRun, model: EvaluatedRun) -> Contrast:
    """What differs between the settings, and the training rows, of two runs.

    Settings that only one of the strategies uses are part of the strategy: the rank of the adapters
    does not count between ``lora`` and ``full``.
    """
    if baseline.settings is None and baseline.folder.resolve() == _own_baseline(model):
        which = baseline.evaluated_model
        what = "the model that it began with" if which in (None, "base") else which
        return Contrast(
            baseline.name,
            model.name,
            ContrastKind.TRAINED,
            (),
            f"{model.name} is the fine-tuned model; {baseline.name} is {what}.",
        )
    if baseline.settings is None or model.settings is None:
        without = [run.name for run in (baseline, model) if run.settings is None]
        verb = "has" if len(without) == 1 else "have"
        return Contrast(
            baseline.name,
            model.name,
            ContrastKind.UNKNOWN,
            (),
            f"{' and '.join(without)} {verb} no settings file, so what sets {model.name} apart "
            f"from {baseline.name} is not known from its settings.",
        )
    differing = tuple(_differing(baseline, model))
    kind = _kind(differing)
    return Contrast(
        baseline.name,
        model.name,
        kind,
        differing,
        _text(baseline.name, model.name, kind, differing),
    )


def _own_baseline(run: EvaluatedRun) -> Path:
    return run.folder.resolve() / BASELINE


def _differing(baseline: EvaluatedRun, model: EvaluatedRun) -> Iterator[SettingDifference]:
    ours, theirs = flat(baseline.settings or {}), flat(model.settings or {})
    strategies = {str(ours.get(STRATEGY)), str(theirs.get(STRATEGY))}
    for name in sorted({*ours, *theirs}):
        if name in (*LABELS, *FITTED) or not _is_used(name, strategies):
            continue
        a, b = ours.get(name), theirs.get(name)
        if a != b:
            yield SettingDifference(name, _said(a), _said(b))
    a, b = baseline.training_rows, model.training_rows
    if a is not None and b is not None and a != b:
        yield SettingDifference(TRAINING_ROWS, a[:8], b[:8])


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted names: ``{"lora.r": 16}``."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found.update(flat(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = list(value) if isinstance(value, tuple) else value
    return found


def _is_used(name: str, strategies: set[str]) -> bool:
    """Whether both strategies use the setting."""
    if name.startswith("lora."):
        return "full" not in strategies
    if name.startswith("quantization."):
        return strategies == {"qlora"}
    return True


def _kind(differing: tuple[SettingDifference, ...]) -> ContrastKind:
    names = {one.setting for one in differing}
    if names <= {SEED}:
        return ContrastKind.REPEAT
    if names == {STRATEGY}:
        return ContrastKind.STRATEGY
    return ContrastKind.ABLATION if len(names) == 1 else ContrastKind.SEVERAL


def _text(
    baseline: str, model: str, kind: ContrastKind, differing: tuple[SettingDifference, ...]
) -> str:
    if not differing:
        return f"{model} and {baseline} have the same settings."
    first = differing[0]
    if kind is ContrastKind.REPEAT:
        return (
            f"{model} repeats {baseline} with another seed ({first.model} instead of "
            f"{first.baseline})."
        )
    if kind is ContrastKind.STRATEGY:
        return f"{model} was trained with {first.model}, {baseline} with {first.baseline}."
    if kind is ContrastKind.ABLATION and first.setting == TRAINING_ROWS:
        return f"{model} and {baseline} have the same settings, but other training rows."
    if kind is ContrastKind.ABLATION:
        return (
            f"{model} differs from {baseline} in one setting: {first.setting} is {first.model} "
            f"instead of {first.baseline}."
        )
    names = [one.setting for one in differing]
    named = ", ".join(names[:MOST_NAMED])
    rest = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (
        f"{model} differs from {baseline} in {len(names)} settings ({named}{rest}), so a "
        "difference between them cannot be attributed to one of these."
    )


def _said(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)
