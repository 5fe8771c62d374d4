"""Evaluations and ends of epochs are told from the lines of a program's output."""

from __future__ import annotations

import pytest

from probes.black_box.step_reader import StepReader
from probes.processes.launch import Output

STEP = "iter {}: loss 4.47, time 46.30ms"


def evaluated_at(lines: list[str], pattern: str = "", batch_size: int = 64) -> list[int | None]:
    """The numbers of the steps before which an evaluation or the end of an epoch was seen."""
    reader = StepReader(pattern, batch_size, None)
    found: list[int | None] = []
    for number, line in enumerate(lines):
        seen = reader.read([Output("stdout", f"{line}\n".encode(), 0.1 * number)])
        found += [step.number for step in seen if step.evaluated]
    return found


def steps(first: int, last: int, text: str = STEP) -> list[str]:
    return [text.format(number) for number in range(first, last + 1)]


@pytest.mark.parametrize(
    "between",
    [
        "step 20: train loss 4.1, val loss 4.2",
        "Test set: Average loss: 0.05, Accuracy: 9800/10000 (98%)",
        "{'eval_loss': 4.2, 'eval_runtime': 3.1, 'epoch': 0.4}",
        "Validating...",
        "Validation:  50%|█████     | 4/8 [00:01<00:01,  3.9it/s]",
        "Test: [0/10]\tTime 0.1 (0.1)\tLoss 4.1e+00 (4.1e+00)",
        "| end of epoch   1 | time:  5.00s | valid loss  6.10 | valid ppl   445.86",
        "epoch 0: {'accuracy': 0.5}",
    ],
)
def test_an_evaluation_between_two_steps_is_seen_with_the_second(between: str) -> None:
    assert evaluated_at([*steps(1, 20), between, *steps(21, 30)]) == [21]


@pytest.mark.parametrize(
    "before",
    ["step 0: train loss 4.1, val loss 4.2", "Sanity Checking DataLoader 0: 100%|███| 2/2", "Test"],
)
def test_an_evaluation_before_the_first_step_proves_nothing(before: str) -> None:
    """The optimizer's state did not exist yet."""
    assert evaluated_at([before, *steps(1, 30)]) == []


@pytest.mark.parametrize(
    "between",
    [
        "saving checkpoint to out",
        "tokens per iteration will be: 768",
        "grad norm 0.3",
        "Epoch 1 lr 0.001",
        "latest learning rate 0.1",
    ],
)
def test_other_lines_are_no_evaluation(between: str) -> None:
    assert evaluated_at([*steps(1, 20), between, *steps(21, 30)]) == []


def test_an_evaluation_is_not_seen_before_training_goes_on() -> None:
    assert evaluated_at([*steps(1, 20), "Test: [0/10] Loss 4.1", "Test: [5/10] Loss 4.1"]) == []


def test_a_counter_that_begins_again_tells_the_end_of_an_epoch() -> None:
    line = "Train Epoch: {} [{}/640 (0%)]\tLoss: 0.3"
    lines = [line.format(epoch, seen) for epoch in (1, 2) for seen in range(0, 640, 64)]
    assert len(evaluated_at(lines)) == 1


def test_an_epoch_that_is_counted_beside_the_steps_tells_its_end() -> None:
    lines = [f"epoch {1 + step // 20} step {step} loss 0.4" for step in range(1, 30)]
    assert evaluated_at(lines) == [20]


def test_the_result_of_an_evaluation_may_stand_in_the_last_line_of_an_epoch() -> None:
    lines = [f"{step}/20 [=====>....] - 1s 10ms/step - loss: 0.4" for step in range(1, 20)]
    lines.append("20/20 [==========] - 1s 10ms/step - loss: 0.4 - val_loss: 0.3")
    assert evaluated_at([*lines, *lines[:3]])[:1] == [21]


def test_a_word_that_stands_in_every_line_of_a_step_is_no_evaluation() -> None:
    assert evaluated_at(steps(1, 30, "step {}: loss 0.4, best val inf")) == []


def test_with_a_pattern_of_the_user_evaluations_are_seen_too() -> None:
    lines = [*steps(1, 20), "val loss 4.2", *steps(21, 30)]
    assert evaluated_at(lines, r"iter (?P<step>\d+)") == [21]


def ahead(lines: list[str], pattern: str = "", dataset_size: int | None = None) -> int | None:
    reader = StepReader(pattern, 64, dataset_size)
    for number, line in enumerate(lines):
        reader.read([Output("stdout", f"{line}\n".encode(), 0.1 * number)])
    return reader.steps_ahead(len(lines))


def test_what_a_counter_counts_up_to_tells_how_long_the_epoch_is() -> None:
    assert ahead([f"Epoch: [0][{n}/500]\tLoss 0.4" for n in range(1, 31)]) == 470


def test_samples_are_counted_as_steps() -> None:
    lines = [f"Train Epoch: 1 [{64 * n}/6400 (0%)]\tLoss: 0.3" for n in range(30)]
    assert ahead(lines) == 71
    assert ahead(lines, r"\[(?P<samples>\d+)/") == 71


def test_a_pattern_may_stop_before_what_the_counter_counts_up_to() -> None:
    assert ahead(["| 12/ 40 batches |"], r"\| +(?P<step>\d+)") == 28


def test_the_size_of_the_data_set_tells_it_where_the_output_does_not() -> None:
    assert ahead(steps(1, 30)) is None
    assert ahead(steps(1, 30), dataset_size=6400) == 70


def test_an_epoch_may_end_long_before_the_training_that_a_bar_is_about() -> None:
    lines = [f"  0%|      | {n}/100000 [00:01<10:00, 9.9it/s, loss=0.4]" for n in range(1, 31)]
    assert ahead(lines) == 99_970
    assert ahead(lines, dataset_size=6400) == 70
