"""What was done since the line before, or in one episode, is no counter."""

from __future__ import annotations

from itertools import accumulate, product

import pytest

from probes.black_box.discovery.vocabulary import Kind
from tests.probes.black_box.corpus import read

AMOUNTS = [13, 37, 46, 39, 27, 52, 18, 61, 33, 40]
SUMS = [*accumulate(AMOUNTS)]


@pytest.mark.parametrize(
    "line",
    [
        " {total}/50000: episode: {n}, duration: 1.7s, episode steps: {amount}, episode reward: "
        "{amount}.000, loss: 5.1, mean_q: 51.5",
        "[ time:{n}.0s total_exs:{n}0 ] {{'loss': 6.1, 'gnorm': 169.2, 'updates': {amount}, "
        "'lr': 3e-05, 'total_train_updates': {total}}}",
        "{{'total_train_updates': {total}, 'updates': {amount}, 'loss': 6.1, 'lr': 3e-05}}",
    ],
)
@pytest.mark.parametrize("before", [0, 39_160])
def test_a_number_by_which_another_one_grows_is_no_counter(line: str, before: int) -> None:
    """keras-rl and ParlAI, from the start or continued."""
    lines = [
        line.format(n=n, amount=amount, total=before + total)
        for n, (amount, total) in enumerate(zip(AMOUNTS, SUMS), 1)
    ]
    reading = read(lines)
    assert [number for _, number, _ in reading.taken] == [before + total for total in SUMS]
    assert reading.decided_at <= 3


def test_ranks_that_print_the_same_amounts_are_told_apart() -> None:
    lines = [
        f"[rank:  {rank}] [ time:{n}.0s ] {{'loss': 1.6, 'updates': {amount}, 'lr': 0.007, "
        f"'total_train_updates': {total}}}"
        for n, (amount, total) in enumerate(zip(AMOUNTS, SUMS), 1)
        for rank in (0, 1)
    ]
    assert [number for _, number, _ in read(lines).taken] == SUMS


@pytest.mark.parametrize("lengths", [AMOUNTS, [200, 80, 120, 120, 50, 200], [93, 94, 94, 95, 93]])
def test_the_steps_of_an_episode_are_no_counter(lengths: list[int]) -> None:
    lines = [
        f"Episode {n}: steps={steps}, reward={steps}.0, loss=0.5, epsilon=0.9"
        for n, steps in enumerate(lengths)
    ]
    reading = read(lines)
    assert reading.finder.choice is not None
    assert reading.finder.choice.kind is Kind.EPOCH
    assert [number for _, number, _ in reading.taken] == [*range(len(lengths))]


def test_a_number_that_rises_and_falls_is_given_up() -> None:
    lines = [f"steps={steps}, reward={steps}.0, loss=0.5" for steps in AMOUNTS]
    reading = read(lines)
    assert reading.finder.choice is None
    assert reading.finder.revision == 2
    assert reading.steps == []


def test_lines_with_a_refuted_number_are_steps_with_a_doubt_only() -> None:
    choice = read([f"steps={steps}, loss=0.5" for steps in AMOUNTS * 3]).finder.choice
    assert choice is not None
    assert choice.rival


def test_a_counter_that_follows_one_that_was_given_up_has_all_its_steps() -> None:
    lines = [f"steps={steps}, loss=0.5" for steps in AMOUNTS]
    lines += [f"iter {n} loss 0.5" for n in range(10)]
    assert [number for _, number, _ in read(lines).taken] == [*range(10)]


@pytest.mark.parametrize(
    "moves", [[(0, 7, 19, 23, 38, 44)] * 3, [(37 + epoch, 81 - 2 * epoch) for epoch in range(6)]]
)
def test_uneven_moves_that_begin_again_with_each_epoch_still_count(
    moves: list[tuple[int, ...]],
) -> None:
    lines = [f"epoch {e} step {n} loss 0.5" for e, steps in enumerate(moves) for n in steps]
    reading = read(lines)
    found = [number or 0 for _, number, _ in reading.taken]
    assert len(found) == len(lines)
    assert found == sorted(set(found))
    assert reading.finder.revision == 1


def epochs_of(values: tuple[int, ...], *lines: str) -> list[str]:
    """Eight epochs; a line with ``{v}`` comes once for each of the values."""
    return [
        line.format(e=epoch, v=value)
        for epoch in range(1, 9)
        for line in lines
        for value in (values if "{v" in line else (0,))
    ]


UNEVEN = [(100, 200, 250), (0, 100, 156), (1, 100, 200), (1, 10, 16)]
FORMS = [
    ("Epoch {e}/8", "step {v} loss 0.5{e}"),
    ("epoch {e} iter {v} loss 0.5{e}", "epoch {e} val loss 0.6"),
    ("Epoch [{e}/8] Iteration {v}: Loss 0.5{e}", "====> Epoch: {e} Average loss: 0.6"),
    ("[{e}, {v:5d}] loss: 0.785",),
    ("Epoch {e}", "step: {v} loss: 0.5{e}"),
    ("--------", "iter {v} loss 0.5{e}"),
]


@pytest.mark.parametrize(
    ("form", "values"),
    [*product(FORMS, UNEVEN), (FORMS[0], (1, 100, 200, 234)), (FORMS[4], (1, 100, 200, 234))],
)
def test_a_counter_of_a_few_uneven_lines_per_epoch_is_kept(
    form: tuple[str, ...], values: tuple[int, ...]
) -> None:
    reading = read(epochs_of(values, *form))
    numbers = [number or 0 for _, number, _ in reading.taken]
    assert len(numbers) == 8 * len(values)
    assert numbers == sorted(set(numbers))
    assert reading.finder.revision == 1


def test_what_such_an_epoch_has_taught_holds_for_the_next_run() -> None:
    lines = epochs_of((100, 200, 250), *FORMS[0])
    again = read(lines, earlier=read(lines[:9]).finder.learned)
    assert len(again.steps) == 24


def test_ranks_that_are_not_told_apart_count_each_step_once() -> None:
    lines = [f"iter {n + ahead} loss 0.5" for n in range(5, 204) for ahead in (2, 0)]
    reading = read(lines)
    assert reading.finder.revision == 1
    assert len(reading.steps) <= 210


@pytest.mark.parametrize("stride", [1, 10])
@pytest.mark.parametrize(
    "line",
    [
        "step {n} | tokens {total} | loss 0.5",
        "iter {n} len {n} seen {total} loss 0.5",
        "step {n} | time {total} | loss 0.5",
        "step {n} | {total}s | loss 0.5",
    ],
)
def test_a_step_by_which_another_number_grows_is_a_counter(line: str, stride: int) -> None:
    numbers = [*range(stride, 15 * stride, stride)]
    lines = [line.format(n=n, total=total) for n, total in zip(numbers, accumulate(numbers))]
    assert [number for _, number, _ in read(lines).taken] == numbers
