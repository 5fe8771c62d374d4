"""How many samples there are, where nobody said so."""

from __future__ import annotations

import pytest

from probes.black_box.data_size import counted_size, seen_size
from probes.black_box.discovery.counter import EpochSteps
from probes.black_box.discovery.finder import StepFinder
from probes.black_box.discovery.lengths import PrintedLengths
from probes.black_box.steps import OutputSteps
from probes.ignored import AllSamples
from tests.probes.black_box import corpus


def printed(*lines: str) -> PrintedLengths:
    lengths = PrintedLengths()
    for line in lines:
        lengths.read(line)
    return lengths


def exactly(**totals: int) -> dict[int, EpochSteps]:
    return {int(b.removeprefix("b")): EpochSteps(t, t) for b, t in totals.items()}


@pytest.mark.parametrize(
    "line",
    [
        "Number of training data points: 8000",
        "Train on 8000 samples, validate on 2000 samples, 63 steps per epoch",
        "train 8000",
        "  Num examples = 8,000",
        "#train: 8000",
        "Training set size: 8000",
        "Generating train split: 8000 examples [00:00, 459498.69 examples/s]",
        "    num_rows: 8000",
        "loaded 8000 training images",
    ],
)
def test_a_length_is_read_as_programs_print_it(line: str) -> None:
    found = printed(line).within(7000, 9000)
    assert found is not None and found.samples == 8000


@pytest.mark.parametrize(
    "line",
    ["Epoch 3 train 8000.5", "val 8000 samples", "step 8000", "train loss 0.8", "seed: 8000"],
)
def test_other_numbers_are_no_lengths(line: str) -> None:
    assert printed(line).within(1, 10**9) is None


def test_steps_of_an_epoch_at_two_batches_tell_it_and_a_printed_length_makes_it_exact() -> None:
    epochs = exactly(b8=500, b72=56)
    about = counted_size(epochs, printed("nothing"))
    exact = counted_size(epochs, printed("train 4000", "test 500"))
    assert about is not None and about.samples == 3993
    assert exact is not None and exact.samples == 4000 and "`train 4000`" in exact.source


def test_one_batch_is_enough_where_a_printed_length_of_training_gives_as_many_steps() -> None:
    sizes = printed("Train on 4000 samples, validate on 900 samples")
    one = counted_size(exactly(b32=125), sizes)
    assert one is not None and one.samples == 4000
    assert counted_size(exactly(b32=100), sizes) is None
    assert counted_size({32: EpochSteps(100, 199)}, sizes) is None


def test_memory_that_grows_no_more_tells_it() -> None:
    found = AllSamples(256, 8192, 5100, "the same memory")
    about, exact = seen_size(found, {}, printed("x")), seen_size(found, {}, printed("train 5000"))
    assert about is not None and about.samples == 5100 and "dataset_size=N" in about.source
    assert exact is not None and exact.samples == 5000
    assert seen_size(found, exactly(b8192=3), printed("train 5000")) is None


def epoch_of(finder: StepFinder) -> EpochSteps | None:
    return None if finder.counter is None else finder.counter.epoch


@pytest.mark.parametrize(("first", "stride", "epoch"), [(0, 1, 47), (1, 1, 47), (0, 10, 47)])
def test_a_counter_that_starts_again_tells_the_steps_of_an_epoch(
    first: int, stride: int, epoch: int
) -> None:
    finder = StepFinder(8)
    for number in range(3):
        for step in range(first, epoch + first, stride):
            finder.read(f"loss in epoch {number} iteration {step}: 1.3957", 0.0)
    found = epoch_of(finder)
    assert found is not None and found.least <= epoch <= found.most < found.least + stride


def test_a_line_per_epoch_counts_its_steps_where_the_size_of_the_data_is_known() -> None:
    finder = StepFinder(32, 320, epoch_steps=10)
    steps = [s for e in range(6) for s in finder.read(f"Epoch {e}: loss 0.{9 - e}", float(e))]
    assert [b.number - a.number for a, b in zip(steps, steps[1:]) if b.number and a.number] == (
        [10] * (len(steps) - 2)
    )
    assert finder.choice is not None and "epoch of 10 steps" in finder.choice.description


@pytest.mark.parametrize(
    ("before", "line"),
    [
        ("Train on 8000 samples, validate on 2000, 32 steps per epoch", "Epoch {}/9"),
        ("Batches per epoch: 32", "Epoch {}/9"),
        ("", "[GPU0] Epoch {} | Batchsize: 250 | Steps: 32"),
        ("", "Epoch: {0} cost time: 0.9\nEpoch: {0}, Steps: 32 | Train Loss: 0.41 Vali Loss: 0.5"),
        ("", "epoch {} / 500, step 0 / 32; loss 0.4510"),
    ],
)
def test_a_line_per_epoch_counts_its_steps_where_the_output_says_how_many(
    before: str, line: str
) -> None:
    finder = StepFinder(250)
    for text in (before, *(part for e in range(1, 7) for part in line.format(e).splitlines())):
        finder.read(text, 0.0)
    assert epoch_of(finder) == EpochSteps(32, 32)


def test_a_second_run_counts_the_steps_of_an_epoch_and_not_the_epochs() -> None:
    """Although it knows which number to look for before the output has told them."""
    line = "Epoch: {0} cost time: 0.9\nEpoch: {0}, Steps: {1} | Train Loss: 0.41"
    earlier, counted = None, {}
    for steps in (32, 64):
        finder = StepFinder(250, earlier=earlier)
        for e in range(1, 7):
            for text in line.format(e, steps).splitlines():
                for step in finder.read(text, float(e)):
                    counted[steps] = step.number
        earlier = finder.learned
    assert counted == {32: 6 * 32, 64: 6 * 64}


@pytest.mark.parametrize("steps", ["32", "{}"])
def test_a_number_of_steps_that_grows_is_not_that_of_an_epoch(steps: str) -> None:
    finder = StepFinder(250)
    for e in range(1, 7):
        finder.read(f"Epoch {e}, loss 0.5, Steps: {steps.format(100 * e)}", 0.0)
    assert epoch_of(finder) == (EpochSteps(32, 32) if steps == "32" else None)


@pytest.mark.parametrize("name", ["transformers5_no_bar", "transformers_no_bar"])
@pytest.mark.parametrize("is_printed", [False, True])
def test_fractions_of_an_epoch_tell_steps_where_its_steps_are_known(
    name: str, is_printed: bool
) -> None:
    entry = next(entry for entry in corpus.entries() if entry.name == name)
    per_epoch = {"transformers5_no_bar": 500, "transformers_no_bar": 115}[name]
    finder = StepFinder(8, epoch_steps=None if is_printed else per_epoch)
    if is_printed:
        samples = f"{8 * per_epoch - 3:,}"
        finder.read(f"  Num examples = {samples}", 0.0)
        finder.read("  Total train batch size (w. parallel & accumulation) = 8", 0.0)
    found = [(n, s) for n, text in enumerate(entry.lines, 1) for s in finder.read(text, float(n))]
    truth = dict(entry.truth["steps"])
    assert len({step.at_s for _, step in found}) == len(truth)
    for _, step in found:
        assert step.number == pytest.approx(truth[round(step.at_s)], abs=1)
    assert finder.choice is not None and f"{per_epoch} steps" in finder.choice.description
    seen = OutputSteps(finder.choice.pattern, 8, per_epoch).read(entry.data + b"\n", 0.0)
    assert len(seen) == len(truth)
