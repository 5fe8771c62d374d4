"""The same training, printed in other ways, is read alike."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from probes.black_box.discovery.text import LineSplitter
from tests.probes.black_box import corpus
from tests.probes.black_box.corpus import SECONDS_PER_LINE, read

Writer = Callable[[int, float], str]
ENTRIES = corpus.entries()
LINES_TO_TELL = 3
"""Lines of training from which on an evaluation that says nothing of itself is told from it."""


def plain(step: int, loss: float) -> str:
    return f"step {step}: loss {loss:.4f}, lr 0.001"


def key_value(step: int, loss: float) -> str:
    return f"step={step} loss={loss:.4f} lr=0.001"


def as_json(step: int, loss: float) -> str:
    return json.dumps({"step": step, "loss": round(loss, 4), "lr": 0.001})


def as_csv(step: int, loss: float) -> str:
    return f"{step},{loss:.4f},0.001"


def bar(step: int, loss: float) -> str:
    drawn = "█" * (step // 200)
    rate = "00:05<00:09, 8.1it/s"
    return f"\r{step // 20:3d}%|{drawn:10s}| {step}/2000 [{rate}, loss={loss:.4f}]"


WRITERS: list[Writer] = [plain, key_value, as_json, as_csv, bar]
HEADINGS = {as_csv: "step,loss,lr"}
COLOURS = ["", "\x1b[31m", "\x1b[1m", "\x1b[38;5;245m"]
PREFIXES = [
    "",
    "2025-03-14 10:00:{second:02d},123 - INFO - ",
    "[2025-03-14 10:00:{second:02d}] ",
    "INFO:root:",
    "[03/14 10:00:{second:02d} train.loop]: ",
    "I0314 10:00:{second:02d} ",
]
losses = st.floats(0.01, 20, allow_nan=False)


@st.composite
def trainings(draw: st.DrawFn) -> list[tuple[int, float]]:
    """Steps with their losses, at equal distances."""
    first, stride = draw(st.integers(0, 20)), draw(st.integers(1, 50))
    count = draw(st.integers(8, 30))
    return [(first + stride * i, draw(losses)) for i in range(count)]


def printed(training: list[tuple[int, float]], writer: Writer) -> list[str]:
    heading = [HEADINGS[writer]] if writer in HEADINGS else []
    text = "\n".join(heading + [writer(step, loss) for step, loss in training])
    return LineSplitter().lines(text.encode() + b"\n")


def steps_of(lines: list[str]) -> list[tuple[int | None, float | None]]:
    return [(number, loss) for _, number, loss in read(lines).taken]


def expected(training: list[tuple[int, float]], writer: Writer) -> list[tuple[int, float]]:
    """A bar at 0 has not moved."""
    return [(step, round(loss, 4)) for step, loss in training if not (writer is bar and step == 0)]


@settings(max_examples=60, deadline=None)
@given(trainings(), st.sampled_from(WRITERS))
def test_the_same_training_in_other_formats(
    training: list[tuple[int, float]], writer: Writer
) -> None:
    assert steps_of(printed(training, writer)) == expected(training, writer)


@settings(max_examples=60, deadline=None)
@given(
    trainings(),
    st.sampled_from([plain, key_value]),
    st.sampled_from(PREFIXES),
    st.sampled_from(COLOURS),
)
def test_colours_and_prefixes_with_times_change_nothing(
    training: list[tuple[int, float]], writer: Writer, prefix: str, colour: str
) -> None:
    text = "".join(
        f"{colour}{prefix.format(second=i % 60)}\x1b[0m{writer(step, loss)}\n"
        for i, (step, loss) in enumerate(training)
    )
    lines = LineSplitter().lines(text.encode())
    assert steps_of(lines) == expected(training, writer)


@settings(max_examples=40, deadline=None)
@given(trainings(), st.integers(2, 8), st.booleans(), st.randoms(use_true_random=False))
def test_ranks_that_print_the_same_step_count_once(
    training: list[tuple[int, float]], ranks: int, named: bool, random: object
) -> None:
    lines = []
    for step, loss in training:
        order = list(range(ranks))
        random.shuffle(order)  # type: ignore[attr-defined]
        lines += [f"[rank{r}]: {plain(step, loss)}" if named else plain(step, loss) for r in order]
    assert steps_of(lines) == expected(training, plain)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(ENTRIES), st.lists(st.integers(1, 4000), max_size=30))
def test_lines_may_arrive_in_any_pieces(entry: corpus.Entry, cuts: list[int]) -> None:
    splitter, lines, data = LineSplitter(), [], entry.data
    for cut in cuts:
        lines += splitter.lines(data[:cut])
        data = data[cut:]
    lines += splitter.lines(data + b"\n")
    assert [line.strip() for line in lines] == [line.strip() for line in entry.lines]


@settings(max_examples=80, deadline=None)
@given(st.sampled_from(ENTRIES), st.floats(0, 1))
def test_a_choice_made_on_a_part_is_right_or_revised_later(
    entry: corpus.Entry, share: float
) -> None:
    lines = entry.lines
    part = lines[: int(share * len(lines))]
    batch, samples = entry.truth.get("batch_size"), entry.truth.get("dataset_size")
    early, whole = read(part, batch, samples), read(lines, batch, samples)
    if early.finder.choice is not None and corpus.mistakes(entry, early):
        assert whole.finder.revision > early.finder.revision
    assert corpus.mistakes(entry, whole) == []


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ENTRIES), st.integers(1, 60))
def test_a_log_that_begins_in_the_middle_is_never_read_wrong(
    entry: corpus.Entry, skipped: int
) -> None:
    """As long as some lines of training are left before an evaluation, which may look the same."""
    training = {line for line, _ in entry.truth["steps"]}
    evaluation = set(entry.truth["not_steps"].get("evaluation", [])) - training
    begins_at = min((line for line in evaluation if line > skipped), default=math.inf)
    assume(sum(skipped < line < begins_at for line in training) >= LINES_TO_TELL)
    lines = entry.lines[skipped:]
    reading = read(lines, entry.truth.get("batch_size"))
    taken = {round(step.at_s / SECONDS_PER_LINE) + skipped for step in reading.steps}
    assert not taken & evaluation
