"""The differences between present conditions and those of a measurement. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from probes.devices.fingerprint import Fingerprint
from probes.formatting import size_text
from probes.job import BUNDLE_HASH

if TYPE_CHECKING:
    from optimizer.records import Recommendation


class Aspect(StrEnum):
    """What a difference is about."""

    DEVICE = "device"
    """Another device, driver, runtime or torch."""
    ENVIRONMENT = "environment"
    """Allocator settings, or the number of threads."""
    MEMORY = "memory"
    SOURCE = "source"
    """The source or the options of the workload."""
    WINDOW = "window"
    """The time budget."""
    ABSENT = "absent"
    """The device or the workload cannot be found here."""


@dataclass(frozen=True)
class Conditions:
    """What a result depends on. A field that is ``None`` in ``now`` was not examined and is not
    compared; nor is one that is unknown in ``then``, except for the fingerprint."""

    fingerprint: str | None = None
    """Key of the device's fingerprint; empty for results from before it was kept."""
    groups: Fingerprint | None = None
    """The fingerprint itself, with which the differences can be named one by one."""
    environment: Mapping[str, str] | None = None
    """Allocator settings and ``threads`` of the worker."""
    limit_bytes: int | None = None
    """Memory that is available for training."""
    source_hash: str | None = None
    """Hash of the workload's source and options."""
    time_scale: float | None = None
    """What the times of the budget are multiplied by."""


@dataclass(frozen=True)
class Difference:
    """One thing that is different now, as a phrase: ``driver 550.54 -> 560.28``."""

    aspect: Aspect
    words: str


@dataclass(frozen=True)
class Validity:
    """Whether a result is still valid as far as was examined, and why not."""

    differences: list[Difference] = field(default_factory=list)

    @property
    def is_valid(self) -> bool:
        return not self.differences

    @property
    def reasons(self) -> list[str]:
        """Whole sentences, one per aspect; empty if it is valid."""
        by_aspect: dict[Aspect, list[str]] = {}
        for each in self.differences:
            by_aspect.setdefault(each.aspect, []).append(each.words)
        return [_sentence(aspect, "; ".join(words)) for aspect, words in by_aspect.items()]


def measured_with(recommendation: Recommendation, groups: Fingerprint | None = None) -> Conditions:
    """The conditions of a recommendation. ``groups`` is the stored fingerprint of its device."""
    source_hash = recommendation.valid.get("workload_hash")
    return Conditions(
        fingerprint=recommendation.fingerprint,
        groups=groups,
        limit_bytes=recommendation.limit_bytes,
        source_hash=None if source_hash is None else str(source_hash),
        time_scale=recommendation.study.get("time_scale", 1.0),
    )


def compare(workload: str, then: Conditions, now: Conditions) -> Validity:
    """From ``then`` to ``now``. Environments are compared on the same device only: those of another
    one differ in any case, and its software is what has to be named."""
    found = [Difference(Aspect.DEVICE, words) for words in _device_changes(then, now)]
    if not found:
        changes = _environment_changes(then.environment, now.environment)
        found += [Difference(Aspect.ENVIRONMENT, words) for words in changes]
    if None not in (then.limit_bytes, now.limit_bytes) and then.limit_bytes != now.limit_bytes:
        before, after = size_text(then.limit_bytes or 0), size_text(now.limit_bytes or 0)
        found.append(Difference(Aspect.MEMORY, f"memory for training {before} -> {after}"))
    if None not in (then.source_hash, now.source_hash) and then.source_hash != now.source_hash:
        words = _source_words(workload, then.source_hash, now.source_hash)
        found.append(Difference(Aspect.SOURCE, words))
    if None not in (then.time_scale, now.time_scale) and then.time_scale != now.time_scale:
        words = f"times of the budget scaled by {then.time_scale:g} -> {now.time_scale:g}"
        found.append(Difference(Aspect.WINDOW, words))
    return Validity(found)


def absent(words: str) -> Validity:
    """The device or the workload is not here: a whole sentence says which."""
    return Validity([Difference(Aspect.ABSENT, words)])


def _source_words(workload: str, then: str | None, now: str | None) -> str:
    """A hash over a bundle cannot be compared with one over the modules of a workload."""
    sent = [(each or "").startswith(BUNDLE_HASH) for each in (then, now)]
    if sent[0] != sent[1]:
        how = "sent to another host as a bundle" if sent[0] else "run from its own folder"
        return (
            f"{workload} was {how} when it was measured, so whether its source is the same now "
            "cannot be told"
        )
    return f"the source or the options of {workload} have changed"


def _device_changes(then: Conditions, now: Conditions) -> list[str]:
    if now.fingerprint is None or now.fingerprint == then.fingerprint:
        return []
    named = then.groups.differences(now.groups) if then.groups and now.groups else []
    return named or [f"fingerprint {then.fingerprint or 'unknown'} -> {now.fingerprint}"]


def _environment_changes(
    then: Mapping[str, str] | None, now: Mapping[str, str] | None
) -> list[str]:
    if not then or now is None:
        return []
    return [
        f"{name} {then.get(name, 'unset')} -> {now.get(name, 'unset')}"
        for name in sorted({*then, *now})
        if then.get(name) != now.get(name)
    ]


def _sentence(aspect: Aspect, words: str) -> str:
    if aspect is Aspect.DEVICE:
        return f"It was measured on another device or with other software: {words}."
    if aspect is Aspect.ABSENT:
        return words
    return f"{words[:1].upper()}{words[1:]}."
