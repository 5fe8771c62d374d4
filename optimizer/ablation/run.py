"""Run the ablations behind claims: look, pair, judge."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from optimizer.ablation import quality
from optimizer.ablation.batch import CannotCompareError, Looks, maximum_batch, why_not
from optimizer.ablation.bench import AblationEvent, Bench, Report
from optimizer.ablation.evidence import ClaimVerdict, Ending, Evidence
from optimizer.ablation.judge import Change, claim_text, judge, reason
from optimizer.ablation.limits import LOOK_PLAN, PAIR_PLAN, AblationLimits
from optimizer.ablation.pairs import BEFORE_FIRST, Pairs, orders
from optimizer.ablation.question import Arm, At, Quantity, Question, arms
from optimizer.ablation.readings import RESOLUTION, ending_of, read
from optimizer.formatting import limit_text
from probes.errors import InputError, TonnageError
from probes.formatting import plural
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement

BATCHES_THAT_END = ("memory", "shape")
"""What a maximum batch must be limited by for the failing batch above it to bound it."""
MOST_FAILURES = 1
"""Pairs that may be lost to a probe that fails although the same one passed before."""


def run(
    questions: Sequence[Question],
    bench: Bench,
    *,
    limits: AblationLimits | None = None,
    seed: int = 0,
    report: Report = lambda event: None,
) -> list[Evidence]:
    """Evidence for each question, in the same order. All are of the workload of ``bench``.

    Questions about the same change of the same config are answered by the same probes: pass those
    of a page together. What cannot be measured is an answer too, *undecided* with the reason;
    nothing is raised for it.
    """
    limits = limits or AblationLimits()
    groups: dict[str, list[int]] = {}
    for index, question in enumerate(questions):
        groups.setdefault(question.experiment, []).append(index)
    found: dict[int, Evidence] = {}
    for indices in groups.values():
        experiment = _Experiment([questions[i] for i in indices], bench, limits, seed, report)
        found.update(zip(indices, experiment.answer()))
    return [found[index] for index in range(len(questions))]


@dataclass
class _Experiment:
    """One change of one config at one kind of batch, and the questions about it."""

    questions: list[Question]
    bench: Bench
    limits: AblationLimits
    seed: int
    report: Report
    runs: list[Measurement] = field(default_factory=list)
    trainings: int = 0
    began_s: float = field(default_factory=time.monotonic)
    answers: dict[str, Evidence] = field(default_factory=dict)
    """By claim."""
    maxima: dict[str, MaxBatch] = field(default_factory=dict)
    """By name of the side."""

    def answer(self) -> list[Evidence]:
        try:
            self._measure()
        except CannotCompareError as error:
            self._end_all(error.ending, str(error))
        except InputError as error:
            self._end_all(Ending.UNSUPPORTED, str(error))
        except TonnageError as error:
            self._end_all(Ending.FAILED, str(error))
        return [self.answers[question.claim] for question in self.questions]

    def _measure(self) -> None:
        kind = self.bench.place.kind
        for question in self.questions:
            if question.devices and kind not in question.devices:
                text = f"The claim is made of {' and '.join(question.devices)}; this is {kind}."
                self._end(question, Ending.UNSUPPORTED, text)
        if not self._open():
            return
        both = arms(self.questions[0], self.bench.space)
        self._say("arms", f"comparing {_difference(self.questions[0])}")
        for question in self._open():
            if question.quantity in (Quantity.LOSS, Quantity.OUTPUT_ERROR):
                self._train(question, both)
        searched = [q for q in self._open() if q.quantity is Quantity.MAX_BATCH]
        if searched or any(q.at is At.EACH_MAXIMUM for q in self._open()):
            for arm in both:
                self._search(arm)
        for question in searched:
            self._judge_maxima(question)
        if self._open():
            self._pair(both, self._batches(both))

    # -- maximum batches ---------------------------------------------------------------------

    def _search(self, arm: Arm) -> None:
        self._say("search", f"looking for the maximum batch {arm.name} the change")
        self.maxima[arm.name] = maximum_batch(self.bench, arm, self.limits.max_batch, self.runs)

    def _judge_maxima(self, question: Question) -> None:
        before, after = self.maxima["before"], self.maxima["after"]
        if before.max_batch is None or after.max_batch is None:
            self._does_not_fit(question, before, after)
            return
        low = before_and_after(_most(before), after.max_batch) * (1 - RESOLUTION) - 1
        high = before_and_after(before.max_batch, _most(after)) * (1 + RESOLUTION) - 1
        change = Change(after.max_batch / before.max_batch - 1, low, high)
        verdict = judge(question, change)
        notes = [
            f"{name.capitalize()}, it is limited by {limit_text(m.binding)}, not by memory: "
            f"{m.reason}"
            for name, m in self.maxima.items()
            if m.binding not in BATCHES_THAT_END
        ]
        self._keep(
            replace(
                self._blank(question),
                verdict=verdict,
                reason=reason(question, change, verdict),
                change=change.value,
                low=low,
                high=None if math.isinf(high) else high,
                before_value=float(before.max_batch),
                after_value=float(after.max_batch),
                before_batch=before.max_batch,
                after_batch=after.max_batch,
                pairs=1,
                notes=notes,
            )
        )

    def _does_not_fit(self, question: Question, before: MaxBatch, after: MaxBatch) -> None:
        texts = [
            m.reason if m.max_batch is None else f"the maximum is batch {m.max_batch}."
            for m in (before, after)
        ]
        failing = [m.lowest_failing for m in (before, after) if m.max_batch is None]
        endings = [ending_of(run) for run in failing if run is not None]
        ending = endings[0] if endings else Ending.FAILED
        text = f"Before the change: {texts[0]} After the change: {texts[1]}"
        self._end(question, ending, text)

    # -- pairs -------------------------------------------------------------------------------

    def _batches(self, both: tuple[Arm, Arm]) -> tuple[int, int]:
        """The batch sizes before and after. Raises ``CannotCompareError``."""
        if self.questions[0].at is At.EACH_MAXIMUM:
            found = [self.maxima[arm.name] for arm in both]
            for question in self._open():
                if any(m.max_batch is None for m in found):
                    self._does_not_fit(question, found[0], found[1])
            return found[0].max_batch or 0, found[1].max_batch or 0
        is_about_memory = any(question.quantity.is_memory for question in self._open())
        looks = Looks(self.bench, both, self.runs, is_about_memory)
        if both[0].batch_size is not None and both[1].batch_size is not None:
            return looks.own_batches()
        size = looks.same_batch(self.questions[0].batch_size, self.limits.max_batch)
        self._say("batch", f"batch {size} on both sides")
        return size, size

    def _pair(self, both: tuple[Arm, Arm], batches: tuple[int, int]) -> None:
        open_pairs = {question.claim: Pairs(question) for question in self._open()}
        tokens = self._tokens_per_sample(both, batches) if open_pairs else (1.0, 1.0)
        failures = disturbed = 0
        for number, order in enumerate(orders(self.seed)):
            if number % 2 == 0 and (
                not open_pairs
                or number >= self.limits.max_pairs
                or self._spent_s > self.limits.budget_s
                or all(pairs.is_clear for pairs in open_pairs.values())
            ):
                break
            runs = self._one_pair(both, batches, order)
            disturbed += sum(bool(run.tainted) for run in runs)
            failed = next(((a, r) for a, r in zip(both, runs) if not r.passed), None)
            if failed is not None:
                failures += 1
                arm, run = failed
                if failures > MOST_FAILURES or ending_of(run) is Ending.NON_FINITE:
                    raise CannotCompareError(ending_of(run), why_not(arm, run))
                continue
            for claim in list(open_pairs):
                pairs = open_pairs[claim]
                values = [read(pairs.question.quantity, r, t) for r, t in zip(runs, tokens)]
                missing = next((v.missing for v in values if v.value is None), "")
                if missing:
                    self._end(pairs.question, Ending.FAILED, f"Nothing to compare: {missing}.")
                    del open_pairs[claim]
                    continue
                pairs.add(values[0].value or 0.0, values[1].value or 0.0, order)
            self._say_pair(number + 1, list(open_pairs.values()))
        for pairs in open_pairs.values():
            self._settle(pairs, batches, disturbed)

    def _one_pair(
        self, both: tuple[Arm, Arm], batches: tuple[int, int], order: int
    ) -> tuple[Measurement, Measurement]:
        """Both sides, one after the other; returned as before, after. Of memory a few steps tell
        all that many do."""
        is_about_memory = all(question.quantity.is_memory for question in self._open())
        plan = LOOK_PLAN if is_about_memory else PAIR_PLAN
        sides = list(zip(both, batches))
        sequence = sides if order == BEFORE_FIRST else sides[::-1]
        ran = [self.bench.probe(arm, batch_size, plan) for arm, batch_size in sequence]
        self.runs += ran
        before, after = ran if order == BEFORE_FIRST else ran[::-1]
        return before, after

    def _tokens_per_sample(
        self, both: tuple[Arm, Arm], batches: tuple[int, int]
    ) -> tuple[float, float]:
        if not any(map(quality.changes_samples, self._open())):
            return 1.0, 1.0
        before, after = (
            quality.tokens_per_sample(self.bench, arm, size) for arm, size in zip(both, batches)
        )
        return before, after

    def _settle(self, pairs: Pairs, batches: tuple[int, int], disturbed: int) -> None:
        question = pairs.question
        if not len(pairs):
            self._end(question, Ending.FAILED, "The time was up before one pair had been run.")
            return
        change, verdict = pairs.change, pairs.verdict
        text = reason(question, change, verdict)
        if math.isinf(change.high):
            text = (
                f"Claimed: {claim_text(question)}. The time was up after "
                f"{plural(len(pairs), 'pair')}, which are too few to tell."
            )
        self._keep(
            replace(
                self._blank(question),
                verdict=verdict,
                reason=text,
                change=change.value,
                low=None if math.isinf(change.high) else change.low,
                high=None if math.isinf(change.high) else change.high,
                before_value=pairs.before_mean,
                after_value=pairs.after_mean,
                before_batch=batches[0],
                after_batch=batches[1],
                pairs=len(pairs),
                disturbed=disturbed,
                notes=_disturbance(disturbed, 2 * len(pairs)),
            )
        )

    # -- trainings ---------------------------------------------------------------------------

    def _train(self, question: Question, both: tuple[Arm, Arm]) -> None:
        pairs = Pairs(question)
        size = question.batch_size or quality.BATCH
        for seed in itertools.count(self.seed):
            done = len(pairs) >= self.limits.max_seeds or self._spent_s > self.limits.budget_s
            if done or pairs.is_clear:
                break
            values = quality.compare(self.bench, question, both, size, seed, self.limits)
            self.trainings += len(values)
            if not all(map(math.isfinite, values)):
                text = f"The loss is not a finite number (seed {seed})."
                self._end(question, Ending.NON_FINITE, text)
                return
            pairs.add(values[0], values[-1], 0)
            self._say("training", f"seed {seed} done", len(pairs), self.limits.max_seeds)
        self._settle(pairs, (size, size), 0)

    # -- answers -----------------------------------------------------------------------------

    @property
    def _spent_s(self) -> float:
        return time.monotonic() - self.began_s

    def _open(self) -> list[Question]:
        return [q for q in self.questions if q.claim not in self.answers]

    def _end_all(self, ending: Ending, text: str) -> None:
        for question in self._open():
            self._end(question, ending, text)

    def _end(self, question: Question, ending: Ending, text: str) -> None:
        self._keep(replace(self._blank(question), ending=ending, reason=text))

    def _keep(self, evidence: Evidence) -> None:
        self.answers[evidence.claim] = evidence
        self._say("answered", f"{evidence.verdict}: {evidence.reason}")

    def _blank(self, question: Question) -> Evidence:
        place = self.bench.place
        torch = next((t for r in self.runs if (t := r.environment.get("torch"))), "")
        return Evidence(
            claim=question.claim,
            page=question.page,
            text=question.text,
            quantity=question.quantity,
            before=dict(question.before),
            after=dict(question.after),
            claimed_low=question.low,
            claimed_high=question.high,
            at=question.at,
            workload=question.workload,
            options=dict(question.options),
            config=dict(question.config),
            verdict=ClaimVerdict.UNDECIDED,
            reason="",
            probes=len(self.runs) + self.trainings,
            wall_s=round(self._spent_s, 1),
            device=place.device,
            fingerprint=place.fingerprint,
            measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
            tonnage=place.tonnage,
            torch=torch or place.torch,
        )

    def _say(self, kind: str, text: str, done: int = 0, of: int = 0) -> None:
        self.report(AblationEvent(kind, text, done, of))

    def _say_pair(self, done: int, pairs: list[Pairs]) -> None:
        seen = "; ".join(f"{p.question.quantity}: {p.change.value:+.1%}" for p in pairs)
        self._say("pair", seen, done, self.limits.max_pairs)


def _disturbance(disturbed: int, probes: int) -> list[str]:
    if not disturbed:
        return []
    return [
        f"{disturbed} of {plural(probes, 'probe')} were disturbed by other programs or by "
        "throttling, which widens the interval of a time. Measure again on a quiet machine."
    ]


def before_and_after(before: float, after: float) -> float:
    """The ratio, where either may be infinite (but not both)."""
    return 0.0 if math.isinf(before) else after / before


def _most(found: MaxBatch) -> float:
    """The largest batch that the true maximum may be."""
    failing = found.lowest_failing
    if failing is None or found.binding not in BATCHES_THAT_END:
        return math.inf
    return max(failing.batch_size - 1, found.max_batch or 0)


def _difference(question: Question) -> str:
    """``gradient_checkpointing=False with gradient_checkpointing=True``."""
    before, after = (
        " ".join(f"{name}={value}" for name, value in side.items())
        for side in (question.before, question.after)
    )
    return f"{before} with {after}"
