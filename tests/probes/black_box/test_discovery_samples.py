"""Whether a number counts samples or steps, where the words beside it are silent or say otherwise.

Samples that are taken for steps make a confirmation end after a fraction of the steps it says.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.probes.black_box.corpus import Reading, read

Lines = Callable[[int, int], list[str]]
"""The output of a training with a batch size and so many samples in its data set."""


def bar(batch: int, samples: int) -> list[str]:
    """``tqdm(total=len(dataset))`` and ``update(len(inputs))``."""
    counts = range(0, min(samples, 40 * batch), batch)
    return [
        f"epoch: 0/399: {100 * n // samples:3d}%|▎     | {n}/{samples} [00:00<00:10, 350.12it/s, "
        f"loss={1 / (1 + n):.6f}]"
        for n in counts
    ]


def batch_word(batch: int, samples: int) -> list[str]:
    counts = range(0, min(samples, 40 * batch), batch)
    return [
        f"Train Epoch: 1 Batch [{n}/{samples} ({100 * n // samples}%)]\tLoss: {1 / (1 + n):.6f}"
        for n in counts
    ]


def step_word(batch: int, samples: int) -> list[str]:
    return [f"Epoch: 1, Step: {n}/{samples}, Loss: 0.5" for n in range(0, 40 * batch, batch)]


def taken(reading: Reading) -> list[int | None]:
    return [number for _, number, _ in reading.taken]


def bare(batch: int, samples: int) -> list[str]:
    """labml's tracker: the samples so far, without a word."""
    counts = range(batch, 40 * batch, batch)
    return [
        f"{n:8}:  Train:  {100 * n // samples:3d}%  121ms  loss.train: {1 / n:.4f}" for n in counts
    ]


@pytest.mark.parametrize("lines", [bar, batch_word])
@pytest.mark.parametrize("batch", [8, 16, 64, 205])
def test_samples_are_found_in_the_first_run(lines: Lines, batch: int) -> None:
    reading = read(lines(batch, 200_000), batch)
    assert taken(reading) == list(range(taken(reading)[0] or 0, 40))
    assert len(taken(reading)) >= 39
    choice = reading.finder.choice
    assert choice is not None and "samples" in choice.pattern


@pytest.mark.parametrize("lines", [bar, batch_word, step_word, bare])
def test_and_are_certain_in_a_second_run_with_another_batch(lines: Lines) -> None:
    first = read(lines(8, 200_000), 8).finder.learned
    reading = read(lines(134, 199_928), 134, earlier=first)
    assert (taken(reading)[-1] or 0) == 39
    assert reading.finder.choice is not None and not reading.finder.choice.rival
    learned = reading.finder.learned
    assert learned is not None and learned.counts_samples


def test_a_bar_of_steps_that_moves_by_the_batch_size_at_first_is_one_of_steps() -> None:
    counts = [0, 8, 16, 24, 31, 38, 46, 53, 61]
    lines = [f"Epoch 1: {n}%|▎  | {n}/5000 [00:00<00:10, 75.0it/s, loss=0.5]" for n in counts]
    assert [n for n in taken(read(lines, 8)) if n] == counts[1:]


def test_a_total_that_the_data_set_has_as_batches_counts_steps() -> None:
    loading = [f"Reading: {n}%|▎ | {40 * n}/4000 [00:00<00:01, 900it/s]" for n in (0, 50, 100)]
    lines = [f"Loss 0.5:  1%|▎ | {n}/500 [00:00<00:54, 9.10it/s]" for n in range(0, 160, 8)]
    assert taken(read([*loading, *lines], 8))[-1] == 152


def test_steps_that_are_printed_at_an_interval_stay_steps_in_a_second_run() -> None:
    def lines(total: int) -> list[str]:
        return [f"Step [{n}/{total}], Loss: 0.5" for n in range(0, 2000, 40)]

    first = read(lines(7500), 8).finder.learned
    assert first is None or first.counts_samples is not True
    for batch in (16, 20, 40, 134):
        again = read(lines(60_000 // batch), batch, earlier=first)
        assert taken(again)[-1] == 1960


def test_batches_that_are_printed_at_a_multiple_of_the_batch_size_are_found_to_be_batches() -> None:
    def lines(total: int) -> list[str]:
        return [f"Batch [{n}/{total} ({100 * n // total}%)] Loss: 0.5" for n in range(0, 2000, 40)]

    first = read(lines(7500), 8).finder.learned
    assert taken(read(lines(3000), 20, earlier=first))[-1] == 1960


def test_an_epoch_that_prints_once_has_the_steps_that_its_samples_make() -> None:
    """As it does with a batch so large that no second line of an epoch is due."""
    first = read(
        [f"Train Epoch: 1 [{n}/18000 (0%)] Loss: 0.5" for n in range(0, 400, 16)], 8
    ).finder.learned
    assert first is not None and first.counts_samples
    lines = [f"Train Epoch: {epoch} [0/18000 (0%)] Loss: 0.5" for epoch in range(1, 40)]
    choice = read(lines, 2471, earlier=first).finder.choice
    assert choice is not None
    assert choice.steps_per_epoch == 8
