"""The scripts, how a person would describe their steps, and a memory budget each."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.max_batch.truth import STEPS
from probes.black_box.command import reference
from probes.job import WorkloadRef

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).with_name("scripts")

MIB = 2**20
HEADROOM = 0.05
STEPS_BEHIND = 10
BUDGETS = (1.0, 0.75, 1.25, 0.9, 1.1, 0.6, 1.4, 0.82)
"""Multiples of the part of a case's budget that grows with the batch, for searches beyond the first
of each case."""


@dataclass(frozen=True)
class Case:
    """A script as it is, under a memory budget."""

    name: str
    script: str
    option: str
    """How the script takes its batch size."""
    step: str
    """Its steps, as a person would describe them: for the truth and for plain bisection, never
    told to the search."""
    budget_mib: int
    static_mib: int
    """Roughly what the script takes whatever the batch size: model, optimizer and data."""
    near: int
    """Roughly where the edge is, so that the scan for the truth wastes no time."""
    dataset_size: int | None = None
    evaluates_after: int = 0
    """Samples from one evaluation to the next, where that may be more than 100 steps."""

    def lasting_steps(self, batch_size: int) -> int:
        """Steps that an answer must last: 100, and its first evaluation with some steps behind
        it."""
        return max(STEPS, -(-self.evaluates_after // batch_size) + STEPS_BEHIND)

    @property
    def command(self) -> str:
        words = [sys.executable, str(SCRIPTS / self.script)]
        return f"{shlex.join(words)} {self.option}"

    @property
    def budget_bytes(self) -> int:
        return self.budget_mib * MIB

    @property
    def cap_bytes(self) -> int:
        """The budget less the headroom."""
        return int(self.budget_bytes * (1 - HEADROOM))

    @property
    def identity(self) -> str:
        """Equal for results that may be compared with each other."""
        return f"{self.name}@{self.budget_mib}MiB"

    @property
    def workload(self) -> WorkloadRef:
        """With the steps described."""
        options = {"command": self.command, "step": self.step, "cwd": str(ROOT)}
        return reference(self.script, options)

    def with_budget(self, number: int) -> Case:
        """The case for the search of this number, from 0: each has a budget of its own."""
        share = BUDGETS[number % len(BUDGETS)] + 0.01 * (number // len(BUDGETS))
        growing_mib = self.budget_mib - self.static_mib
        return replace(self, budget_mib=round(self.static_mib + growing_mib * share))


CASES = (
    Case(
        "char_gpt",
        "char_gpt.py",
        "--batch_size={batch_size}",
        r"^iter (?P<step>\d+): loss",
        88,
        3,
        125,
    ),
    Case(
        "digits",
        "digits.py",
        "--batch-size {batch_size}",
        r"Train Epoch: \d+ \[(?P<samples>\d+)/",
        96,
        24,
        350,
        6_000,
        evaluates_after=6_000,
    ),
    Case(
        "word_lstm",
        "word_lstm.py",
        "--batch_size {batch_size}",
        r"\| epoch +\d+ \| +(?P<step>\d+)/",
        64,
        8,
        48,
        evaluates_after=4_300,
    ),
    Case(
        "image_classifier",
        "image_classifier.py",
        "-b {batch_size}",
        r"^Epoch: \[\d+\]\[ *(?P<step>\d+)/",
        160,
        94,
        70,
        evaluates_after=1_500,
    ),
    Case(
        "gan",
        "gan.py",
        "--batchSize {batch_size}",
        r"^\[\d+/\d+\]\[(?P<step>\d+)/\d+\] Loss_D",
        96,
        52,
        600,
        1_000,
    ),
    Case(
        "hf_trainer",
        "hf_trainer.py",
        "--per_device_train_batch_size {batch_size}",
        r"(?P<step>\d+)/100000 \[",
        400,
        288,
        36,
        20_000,
    ),
    Case(
        "lightning",
        "lightning_autoencoder.py",
        "--batch_size {batch_size}",
        r"Epoch \d+.*? (?P<step>\d+)/\d+ .*train_loss",
        260,
        183,
        240,
        4_000,
        evaluates_after=4_000,
    ),
    Case(
        "text_classifier",
        "text_classifier.py",
        "--per_device_train_batch_size {batch_size}",
        r"\| (?P<step>\d+)/\d+ \[",
        96,
        12,
        35,
        evaluates_after=2_000,
    ),
)
