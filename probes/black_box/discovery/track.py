"""One number that may count the steps: what is known about it, and how well it fits."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

from probes.black_box.discovery.counter import CounterGrowth
from probes.black_box.discovery.losses import Loss
from probes.black_box.discovery.shape import NUMBER, OutputLine, Slot, rate_unit
from probes.black_box.discovery.vocabulary import (
    SAMPLE_RATES,
    SIZE_UNITS,
    STEP_RATES,
    TIME_UNITS,
    Kind,
    is_about_episodes,
    is_evaluation,
    is_preparation,
    is_training,
    kind_of,
    words_of,
)

KEPT_LINES = 64
"""Lines that are kept until it is decided what the steps are."""
YOUNG_LINES = 64
"""So long a number that was chosen may turn out to be no counter."""
LOOKED_AT = 6
"""So many lines of a kind are read for evidence; further ones look the same."""

_BASE = {
    Kind.STEP: 50,
    Kind.ITERATION: 46,
    Kind.BATCH: 42,
    Kind.FRACTION: 40,
    Kind.MICRO: 30,
    Kind.SAMPLE: 25,
    Kind.BARE: 20,
    Kind.EPOCH: 10,
}
_LOSS_SCORE, _RATE_SCORE, _OPTIMIZER_SCORE, _EVALUATION_SCORE = 15, 4, 4, -20
_OPTIMIZER = re.compile(r"\b(?:lr|learning[ _]rate|grad(?:ient)?[ _]?norm|gnorm|mfu)\b", re.I)
_LOSS_TERM = re.compile(r"\b(?:L1|L2|BCE|CE|KLD?|GAN|VGG)\b[\"']?\s*[:=]\s*-?\d+\.\d")
"""What is minimised, called by its formula: ``[L1: 5.7672]``."""
_SPEED = re.compile(
    r"\b(?:it|its|iter|step|steps|batch|ba|tok|tokens|img|images|samples?)/s(?:ec)?\b"
    r"|\bs/(?:it|step|batch|iter)\b|\bms\b|ms/(?:batch|step|iter)|[\d.]ms\b|\d/s\b"
    r"|\b(?:tps|tok/sec|[a-z_ ]*time)\b",
    re.I,
)
_VALUES = re.compile(
    r"[^\w.+-]*(?:[\s,;|]*(?:tensor\()?[-+]?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?|\.\d+|nan|inf)(?![\d.])"
    r"(?:,\s*[a-z_]+=[^)]*\))?)+[^\w.]*",
    re.I,
)
_TABLE_MOVES, _TABLE_MOMENTS = 12, 8
"""A column of a table without any words counts steps after this many equal moves, printed at this
many moments: a table of results is printed at once."""
_DECIMAL = re.compile(r"\s+-?\d+\.\d")
START_SHARE = 0.1
"""A bar that has come no further is at its start."""
MOVES_ON_ITS_WAY = 3
"""So often a bar has moved when it is certain that another one begins inside of it."""
_SLOW_PER_S = 100.0
"""A bar without any words that moves faster than this is not taken for training."""
_MODULE = re.compile(r"^\s*\(\d+\): [A-Z]\w*(?:\(|$| containing)")
"""A line of a model that is printed: ``(0): Linear(in_features=2, …)``."""
_RATE = re.compile(r"([\d.]+)\s?(s/)?(?:it)?(?:/s)?[\],]")


@dataclass(frozen=True)
class Sighting:
    """A line in which the number has moved."""

    at_s: float
    restarts: int
    value: int
    progress: int
    loss: float | None


@dataclass
class Track:
    """A candidate. ``growth`` says how it moves, ``score`` how much it looks like steps."""

    slot: Slot
    rank: str
    kind: Kind
    is_announced: bool
    """Training was announced before its first line."""
    is_train_named: bool
    is_described: bool
    """There are words before it that say neither training nor epoch."""
    is_of_epoch: bool
    """An epoch stands before it: "Epoch 3:"."""
    example: str
    lead: str
    """The example up to the number, without times, bars and files."""
    growth: CounterGrowth
    is_in_braces: bool = False
    is_decimal: bool = False
    """It was written with a decimal point: ``2.00``."""
    is_row: bool = False
    recent: deque[Sighting] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    has_loss: bool = False
    has_optimizer: bool = False
    has_loss_term: bool = False
    has_speed: bool = False
    has_evaluation: bool = False
    has_return: bool = False
    """Its lines tell what an agent got: ``episodic_return=35.2``."""
    has_percent: bool = False
    has_decimals: bool = False
    loss_name: str = ""
    tails_differ: bool = False
    holds_values: bool = True
    """Its lines hold nothing but numbers, decimal ones among them: ``12: 0.53``."""
    losses_beside: int = 0
    bar_per_s: float | None = None
    seen_loss_line: int = -1
    rival_progress: int = 0
    """Where the choice of that time stood when this number was first seen."""
    was_chosen: bool = False
    is_amount: bool = False
    """It is what was done since the line before, by which another number of the line grows."""
    is_of_each_epoch: bool = False
    """It falls, and each of its lines tells of another epoch."""
    is_sum: bool = False
    """It grows by such an amount, which need not be the same in each line."""
    is_dismissed: bool = False
    """It moved between two epochs of the one that counts."""
    is_inside: bool = False
    """It is a bar without any words that began while another one was on its way: an evaluation
    between two steps."""
    has_inner: bool = False
    """It is the bar in which such a one began."""
    _tail: str | None = None

    def is_about_evaluation(self, line: OutputLine, slot: Slot) -> bool:
        """Whether a line gives an evaluation's result after this step: ``step 50, val 0.3``."""
        if self.kind is Kind.EPOCH or slot.is_bar:
            return False
        words = words_of(line.text[slot.end :])
        return is_evaluation(words) and not is_training(words)

    def look(self, line: OutputLine, slot: Slot, loss: Loss | None) -> None:
        """Collect evidence from one of its first lines."""
        after = line.text[slot.end :]
        tail = NUMBER.sub("#", "".join(after.split()))
        self.tails_differ |= self._tail is not None and tail != self._tail
        self._tail = tail
        self.has_decimals |= bool(re.search(r"\d\.\d", after))
        self.holds_values &= "." in after and bool(_VALUES.fullmatch(after))
        if loss is not None:
            self.has_loss = True
            self.loss_name = self.loss_name if loss.is_behind else loss.name
        self.has_loss_term |= bool(_LOSS_TERM.search(after))
        self.has_optimizer |= bool(_OPTIMIZER.search(line.text))
        self.has_speed |= bool(_SPEED.search(line.text))
        self.has_percent |= after.lstrip().startswith("(") and "%" in after[:10]
        words = words_of(after if not self.is_in_braces else line.text)
        self.has_evaluation |= is_evaluation(words)
        self.has_return |= is_about_episodes(words)
        if slot.is_bar and (match := _RATE.search(line.text, slot.end)):
            per = float(match[1].strip(".") or 0)
            self.bar_per_s = (1 / per if per else None) if match[2] else per

    def saw(self, at_s: float, loss: float | None) -> Sighting:
        """Keep a line in which the number has moved."""
        growth = self.growth
        sighting = Sighting(at_s, growth.restarts, growth.last, growth.progress, loss)
        self.recent.append(sighting)
        return sighting

    @property
    def score(self) -> int:
        found = _BASE[self.kind]
        found += _LOSS_SCORE if self.has_loss or self.losses_beside else 0
        found += _RATE_SCORE if self.has_speed else 0
        found += _OPTIMIZER_SCORE if self.has_optimizer else 0
        found += 3 if self.slot.total else 0
        found += 3 if self.is_train_named else 0
        found += _EVALUATION_SCORE if self.has_evaluation and self.kind is not Kind.EPOCH else 0
        return found

    @property
    def is_alone(self) -> bool:
        """Whether its lines hold nothing but the number."""
        return self.example.strip().isdecimal()

    @property
    def is_table(self) -> bool:
        """Whether its lines hold nothing but numbers."""
        return self.holds_values and not re.search("[A-Za-z]", self.lead)

    @property
    def is_bare_bar(self) -> bool:
        """Whether it is a progress bar that does not say what it is about."""
        named = self.is_train_named or self.is_of_epoch or self.has_loss
        return self.slot.is_bar and self.kind is Kind.FRACTION and not named

    @property
    def is_unnamed_bar(self) -> bool:
        """Whether it is a progress bar without any words before it."""
        return self.is_bare_bar and not self.is_described

    @property
    def is_on_its_way(self) -> bool:
        """Whether it is such a bar, has moved several times and has not come to its end. An outer
        bar over epochs has not moved when the first bar of steps begins."""
        return self.is_unnamed_bar and self.growth.ups >= MOVES_ON_ITS_WAY and not self.is_complete

    @property
    def is_fraction_of_epoch(self) -> bool:
        """Whether it is the whole number in a row such as 0.5, 1.0, 1.5."""
        return self.kind is Kind.EPOCH and self.is_decimal

    @property
    def tells_length_of_epoch(self) -> bool:
        """Whether its total is the steps of an epoch, should it be the same in each."""
        if self.kind in (Kind.STEP, Kind.ITERATION, Kind.BATCH):
            return bool(self.slot.total)
        is_part = self.kind is Kind.FRACTION and self.is_of_epoch and not self.has_percent
        return is_part and 0 < self.growth.last <= (self.slot.total or 0)

    def may_stay_at_samples(self, batch_size: int | None) -> bool:
        """Whether this number, which is the same in each epoch, may count samples."""
        if self.kind is not Kind.FRACTION or batch_size in (None, 1):
            return False
        return self.is_complete or self.growth.last % (batch_size or 1) == 0

    @property
    def is_complete(self) -> bool:
        return bool(self.slot.total) and self.growth.last >= (self.slot.total or 0)

    @property
    def is_young(self) -> bool:
        return self.growth.lines <= YOUNG_LINES

    @property
    def is_refuted(self) -> bool:
        """Whether it falls to anywhere, as an amount does, and is no counter."""
        return self.is_young and (self.is_amount or self.growth.falls_anywhere)

    @property
    def is_steady_step(self) -> bool:
        """Whether it is called a step and rises by the same amount with each line."""
        return self.kind in (Kind.STEP, Kind.ITERATION) and self.growth.rises_steadily

    @property
    def has_evidence(self) -> bool:
        """Whether something beside the number tells of training."""
        has_loss = self.has_loss or self.losses_beside > 0
        return has_loss or self.has_optimizer or self.has_loss_term

    @property
    def counts_environment(self) -> bool:
        """Whether it counts the steps of an environment: its lines tell the return of an episode,
        which ends at any step, or several at once, and nothing of training."""
        steadily = self.growth.rises_steadily and not self.growth.stays
        is_step = self.kind is Kind.STEP and not self.slot.is_bar
        return is_step and self.has_return and not self.has_evidence and not steadily

    @property
    def is_near(self) -> bool:
        """Whether it lacks nothing but another line or two to be ready."""
        counts = self.kind in (Kind.STEP, Kind.ITERATION, Kind.BATCH) or bool(self.slot.total)
        return counts and self.has_loss and self.growth.ups <= 1 and self.growth.is_monotone

    @property
    def is_starting(self) -> bool:
        """Whether it is a progress bar that has just begun and is taken once it has moved on."""
        named = self.is_train_named or self.is_of_epoch or self.has_loss
        may_be_taken = named or not self.is_described
        far = START_SHARE * (self.slot.total or 0)
        return self.slot.is_bar and may_be_taken and self.growth.last <= far

    @property
    def is_excluded(self) -> bool:
        """Whether it can be no counter of steps, however it grows."""
        return self.is_amount or self.is_inside or self.counts_environment

    def is_ready(self, batch_size: int | None) -> bool:
        """Whether enough lines were seen to say that this number counts."""
        growth, kind = self.growth, self.kind
        if self.is_excluded or not growth.ups or not growth.is_monotone:
            return False
        has_loss, evidence = self.has_loss or self.losses_beside > 0, self.has_evidence
        if self.is_sum and evidence and kind is not Kind.SAMPLE:
            return True
        if kind is Kind.STEP:
            if evidence or self.slot.is_bar or (self.has_speed and not self.tails_differ):
                return growth.ups >= (1 if evidence else 3)
            return growth.ups >= 2 and growth.is_roughly_even and not self.tails_differ
        if kind is Kind.SAMPLE:
            return batch_size is not None and has_loss and growth.ups >= 2
        if self.slot.is_bar and kind in (Kind.FRACTION, Kind.ITERATION, Kind.BATCH):
            return self._is_ready_bar(has_loss)
        if not growth.is_even:
            return False
        if kind is Kind.BARE:
            return growth.ups >= 3 if self.has_loss else self._is_ready_table()
        if kind is Kind.EPOCH:
            return growth.ups >= (2 if has_loss or self.slot.total else 3)
        if evidence:
            is_clear = has_loss and self.has_speed and self.slot.total and not self.tails_differ
            return growth.ups >= (1 if is_clear else 2)
        if kind is Kind.FRACTION and self.is_of_epoch and self.has_decimals:
            return growth.ups >= 6 and not self.has_evaluation
        if kind is Kind.FRACTION:
            return self.is_train_named and self.has_speed and growth.ups >= 4
        return growth.ups >= (4 if self.has_speed else 6) and not self.tails_differ

    def _is_ready_table(self) -> bool:
        growth = self.growth
        return (
            self.is_table
            and growth.ups >= _TABLE_MOVES
            and growth.largest == growth.smallest
            and not growth.restarts
            and len({sighting.at_s for sighting in self.recent}) >= _TABLE_MOMENTS
        )

    def _is_ready_bar(self, has_loss: bool) -> bool:
        ups = self.growth.ups
        if has_loss:
            return ups >= 2
        if self.is_train_named or self.is_of_epoch:
            return ups >= 4
        if (self.is_announced or self.has_inner) and not self.is_described:
            return ups >= 4
        if self.is_described and self.kind is Kind.FRACTION:
            return False  # nothing says that "Reading entries" trains anything
        slow = self.bar_per_s is not None and self.bar_per_s <= _SLOW_PER_S
        return (
            ups >= (8 if self.kind is not Kind.FRACTION else 20) and slow and not self.is_complete
        )


def track_of(slot: Slot, line: OutputLine, raw: str, *, is_announced: bool) -> Track | None:
    """A candidate for this number; ``None`` for one that cannot count steps, by its words."""
    kind = kind_of(slot.name)
    lead = line.text[: slot.start]
    in_braces = line.text.lstrip().startswith("{")
    unit = slot.unit.lower()
    if unit in TIME_UNITS or unit in SIZE_UNITS:
        return None
    if _MODULE.search(line.text):
        return None
    lead_words = words_of(lead if not in_braces else slot.name)
    train_named = is_training(lead_words)
    if (is_evaluation(lead_words) and not train_named) or is_preparation(lead_words):
        return None
    if slot.is_bar:
        per = rate_unit(line.text[slot.end :])
        rate_kind = kind_of(per) if per else None
        if rate_kind is Kind.SAMPLE or per in SAMPLE_RATES:
            kind = Kind.SAMPLE
        elif per is not None and per not in STEP_RATES:
            return None
        if kind is Kind.OTHER or kind is None:
            kind = Kind.FRACTION
    elif kind is None:
        kind = Kind.FRACTION if slot.total else Kind.BARE
    elif kind is Kind.OTHER and slot.total and train_named:
        kind = Kind.FRACTION
    if kind is Kind.OTHER and "loss" in lead_words[-1:] and _DECIMAL.match(line.text, slot.end):
        kind = Kind.BARE  # "loss 12 0.54": the step, then the loss
    if kind is Kind.OTHER:
        return None
    if is_preparation(words_of(line.text[slot.end : slot.end + 40])[:1]):
        return None
    return Track(
        slot,
        line.rank,
        kind,
        is_announced,
        train_named,
        any(len(word) > 2 and kind_of(word) is not Kind.EPOCH for word in lead_words),
        any(kind_of(word) is Kind.EPOCH for word in lead_words),
        raw.strip(),
        lead,
        CounterGrowth(slot.total),
        in_braces,
        "." in line.text[slot.start : slot.end],
        line.is_row,
    )
