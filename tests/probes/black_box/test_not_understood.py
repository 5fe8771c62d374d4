"""What a person is shown whose output is not understood, or not yet."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from probes.black_box.discovery.earlier import EarlierRun
from probes.black_box.step_reader import UNDERSTOOD_WITHIN_S, StepReader
from probes.black_box.steps import OutputSteps
from tests.probes.black_box.corpus import read

TRAINING = "Epoch: [0][ 1/80073]\tTime 1.345 ( 1.345)\tLoss 6.9367e+00 (6.9367e+00)"
TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "/home/me/train.py", line 117, in <module>',
    "    main(sys.argv[1:])",
    "/home/me/data.py:759: UserWarning: 4 workers are too many",
]


@dataclass(frozen=True)
class Printed:
    data: bytes
    at_s: float
    stream: str = "stdout"


def explanation(lines: list[str]) -> str:
    finder = read(lines).finder
    assert finder.choice is None
    return finder.explanation()


def test_one_line_of_training_needs_only_more_of_its_kind() -> None:
    text = explanation(["=> creating model", TRAINING])
    assert "Epoch: [0][ 1/80073]" in text
    assert "seem to count steps" in text
    assert "not recognised" not in text and "none of them" not in text
    assert "--step" in text


def test_numbers_that_are_places_in_source_files_are_not_shown() -> None:
    text = explanation([*TRACEBACK, "Item 3 of 8 done"])
    assert "Item 3 of 8 done" in text
    assert not any(place in text for place in ("117", "argv[1:]", "759"))


def test_lines_with_nothing_but_decimal_numbers_are_shown() -> None:
    lines = [f"{{'loss': '0.{i}', 'grad_norm': '1.{i}', 'epoch': '0.0{i}'}}" for i in range(1, 9)]
    text = explanation(
        [*lines, "{'train_runtime': '94.81', 'train_loss': '0.69', 'epoch': '0.09'}"]
    )
    assert "'epoch': '0.08'" in text
    assert "fraction of an epoch" in text
    assert r"--step '\bloss" in text


def test_lines_without_numbers_are_shown_where_there_are_no_others() -> None:
    text = explanation([f"{word} the data" for word in ("finding", "opening", "reading")])
    assert "reading the data" in text
    assert "3 lines were printed" in text


def test_a_single_line_is_counted_as_one() -> None:
    assert explanation(["begun"]).startswith("1 line was printed, and it was not recognised")


BAR = "  {}%|█         | {}/1250 [00:0{}<15:09,  1.37it/s]"


@pytest.mark.parametrize(
    ("lines", "is_starting"),
    [
        ([BAR.format(0, n, n) for n in range(1, 6)], True),
        ([BAR.format(8 * n, 100 * n, n) for n in range(1, 6)], False),
        ([f"Loading {BAR.format(0, n, n).strip()}" for n in range(1, 6)], False),
    ],
)
def test_a_bar_that_has_just_begun_may_still_become_the_steps(
    lines: list[str], is_starting: bool
) -> None:
    text = explanation(["Map: 100%|████| 2000/2000 [00:00<00:00, 3313.95 examples/s]", *lines])
    assert text.startswith("It may still be starting") is is_starting
    assert ("none of them was" in text) is not is_starting


@pytest.mark.parametrize("is_known", [False, True])
def test_output_is_explained_after_15_s_unless_an_earlier_run_was_understood(
    is_known: bool,
) -> None:
    known = EarlierRun("Epoch:[#][", has_total=True, is_bar=False, counts_samples=False)
    reader = StepReader("", 64, None, known if is_known else None)
    reader.read([Printed(f"{TRAINING}\n".encode(), 100.0)])
    assert reader.overdue(100 + UNDERSTOOD_WITHIN_S - 1) == ""
    assert bool(reader.overdue(100 + UNDERSTOOD_WITHIN_S + 1)) is not is_known
    assert reader.overdue(100 + UNDERSTOOD_WITHIN_S + 2) == ""


def test_steps_without_a_number_are_understood_in_the_next_run_too() -> None:
    """Its first lines may take more than 15 s."""
    lines = [f"training loss: 5.7{n}" for n in range(9)]
    learned = read(lines).finder.learned
    assert learned is not None
    reader = StepReader("", 64, None, learned)
    reader.read([Printed(b"training loss: 5.9\n", 100.0)])
    assert reader.overdue(100 + UNDERSTOOD_WITHIN_S + 1) == ""
    assert len(reader.read([Printed("\n".join([*lines, ""]).encode(), 120.0)])) == 10


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("training loss: 5.7{n}", "validation loss: 5.8"),
        ("loss: 5.7{n}", "val loss: 5.8"),
        ("12:03:1{n} train loss 5.7{n}", "12:04:00 val loss 5.8"),
        ("{{'loss.a': 5.7{n}, 'lr': 0.1}}", "{'lossxa': 5.8}"),
    ],
)
def test_the_pattern_of_lines_without_a_number_takes_no_others(line: str, other: str) -> None:
    lines = [line.format(n=n) for n in range(9)]
    choice = read(lines).finder.choice
    assert choice is not None
    steps = OutputSteps(choice.pattern)
    seen = [sign for each in (*lines, other) for sign in steps.read(f"{each}\n".encode(), 0.0)]
    assert [sign.loss for sign in seen] == [pytest.approx(5.7 + n / 100) for n in range(9)]


def test_a_size_of_the_data_set_that_is_known_is_not_asked_for() -> None:
    line = "Epoch 1 done, loss 0.5"
    for size, asked in ((None, True), (640, False)):
        reader = StepReader("", 64, size)
        reader.read([Printed(f"{line}\n".encode(), 100.0)])
        text = reader.explanation()
        assert ("--option dataset_size" in text) is asked
        assert ("10 steps" in text) is not asked


def test_a_number_without_a_name_that_counts_to_a_total_may_count_epochs() -> None:
    heading = "     Epoch   gpu_mem       box       obj"
    text = explanation([heading, *(f"     {n}/4999     55.1G   0.05461" for n in range(5))])
    assert "(?P<epoch>" in text


def test_a_decimal_number_that_does_not_grow_is_not_offered_as_the_step() -> None:
    lines = ["| > G_adv_loss: 0.00000  (0.00000)", "| > avg_loss_0: 16.02957  (+0.00000)"]
    assert "(?P<step>" not in explanation([line for line in lines for _ in range(3)])


@pytest.mark.parametrize(
    "noise", ["\ufffd\x7f\x05\ufffd\ufffd 12 \ufffd\ufffd\ufffd\ufffd", "▄ ▀▄ ▌▐ ▄ 12 ▀▄"]
)
def test_lines_that_are_no_text_are_not_shown(noise: str) -> None:
    text = explanation([noise, "Item 3 of 8 done", "  5%|██████████▏         | 1/20"])
    assert "12" not in text.partition("Lines with numbers:")[2]
    assert "Item 3 of 8 done" in text
    assert "1/20" in text


def test_output_without_the_end_of_a_line_is_shown_too() -> None:
    reader = StepReader("", 64, None)
    for second in range(4):
        reader.read([Printed(b".", 100.0 + second)])
    text = reader.overdue(101 + UNDERSTOOD_WITHIN_S)
    assert "`....`" in text and "--step" in text
