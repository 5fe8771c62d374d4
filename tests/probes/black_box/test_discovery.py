"""Which number counts the steps, and what is said about it."""

from __future__ import annotations

import math
import re
import signal
import time
from dataclasses import dataclass

import pytest

from probes.black_box.discovery.candidates import MOST_TRACKS
from probes.black_box.discovery.counter import CounterGrowth
from probes.black_box.discovery.finder import StepFinder
from probes.black_box.discovery.losses import loss_in
from probes.black_box.discovery.text import LineSplitter, without_details
from probes.black_box.discovery.vocabulary import Kind
from probes.black_box.step_reader import StepReader
from probes.black_box.steps import OutputSteps
from tests.probes.black_box.corpus import read


@dataclass(frozen=True)
class Piece:
    """Output, as it arrives."""

    text: str
    at_s: float
    stream: str = "stdout"

    @property
    def data(self) -> bytes:
        return self.text.encode()


def numbers(lines: list[str], batch_size: int | None = None) -> list[int | None]:
    return [step.number for step in read(lines, batch_size).steps]


def test_training_lines_win_over_evaluations_that_say_step() -> None:
    lines = [f"step {i}: train loss 4.0, val loss 4.1" for i in (0, 10, 20)]
    lines += [f"iter {i}: loss 3.{i}, time 46.30ms, mfu 8.0%" for i in range(20, 100, 5)]
    reading = read(lines)
    assert reading.finder.choice is not None
    assert reading.finder.choice.example.startswith("iter")
    assert reading.finder.revision == 2
    assert reading.taken[0][1] == 20


def test_the_first_lines_are_not_lost_when_it_is_decided() -> None:
    reading = read([f"epoch 1 batch {i} loss {1 / i:.3f}" for i in (10, 20, 30, 40)])
    assert [number for _, number, _ in reading.taken] == [10, 20, 30, 40]
    assert reading.decided_at == 3
    assert reading.finder.choice is not None
    assert reading.finder.choice.stride == 10
    assert "every 10 steps" in reading.finder.choice.description


def test_numbers_go_on_where_an_epoch_starts_again() -> None:
    lines = [f"Epoch [{e}/3], Step [{i}/50], Loss: 0.5" for e in (1, 2) for i in range(10, 51, 10)]
    assert numbers(lines) == list(range(10, 101, 10))


@pytest.mark.parametrize("batch", [3, 16, 64])
def test_samples_are_divided_by_the_batch_size(batch: int) -> None:
    lines = [
        f"Train Epoch: {e} [{i * batch}/6000 ({100 * i * batch // 6000}%)]\tLoss: 0.5"
        for e in (1, 2)
        for i in range(0, -(-6000 // batch), 10)
    ]
    per_epoch = -(-6000 // batch)
    expected = [e * per_epoch + i for e in (0, 1) for i in range(0, per_epoch, 10)]
    assert numbers(lines, batch) == expected
    assert numbers(lines) != expected


@pytest.mark.parametrize("line", ["step {:,}, loss 1.39", "<iter: {:,}> loss: 1.39"])
def test_a_comma_after_a_number_with_commas_ends_it(line: str) -> None:
    """As BasicSR writes them: ``<epoch: 86, iter: 107,200, lr:2.500e-05>``."""
    steps = [*range(999_000, 1_004_000, 1_000)]
    lines = [line.format(step) for step in steps]
    reading = read(lines)
    assert [number for _, number, _ in reading.taken] == steps
    assert reading.finder.choice is not None
    by_pattern = OutputSteps(reading.finder.choice.pattern)
    seen = by_pattern.read("\n".join([*lines, ""]).encode(), 0.0)
    assert [step.number for step in seen] == steps


def test_commas_between_values_are_no_part_of_a_number() -> None:
    lines = [f"{i},123,456,0.5" for i in range(1, 9)]
    assert numbers(["iter,a,b,loss", *lines]) == [*range(1, 9)]


def test_batches_of_an_epoch_are_not_samples() -> None:
    lines = [f"Epoch: [0][{i:5d}/5005]\tTime 0.3 (0.4)\tLoss 7.0" for i in range(0, 200, 10)]
    assert numbers(lines, 64) == list(range(0, 200, 10))
    assert numbers(lines, 10) == list(range(0, 200, 10))


def test_a_doubt_between_samples_and_batches_is_said_with_both_patterns() -> None:
    lines = [f"Train: 0 [{i:4d}/1251 ({i // 13}%)]  Loss: 6.9 (6.9)" for i in range(0, 500, 50)]
    choice = read(lines, batch_size=50).finder.choice
    assert choice is not None
    assert choice.samples_per_step == 50
    assert "(?P<step>" in choice.rival and "(?P<samples>" in choice.pattern
    known = read(lines, batch_size=50, dataset_size=62_550).finder.choice
    assert known is not None
    assert (known.samples_per_step, known.rival) == (1, "")


def test_optimizer_steps_win_over_the_micro_batches_on_the_same_line() -> None:
    lines = [f"iter {i} step {i // 4} | loss train: 2.5, val: n/a" for i in range(1, 30)]
    assert numbers(lines) == list(range(8))


def test_a_step_that_prints_no_loss_gets_the_loss_printed_beside_it() -> None:
    lines = []
    for i in range(1, 30):
        lines.append(f"{i:3d}%|{'#' * (i // 10):10s}| {i}/100 [00:01<00:10,  9.80it/s]")
        if i % 5 == 0:
            lines.append(f"{{'loss': {'nan' if i == 20 else 0.5}, 'epoch': 0.{i}}}")
    steps = {step.number: step.loss for step in read(lines).steps}
    assert steps[6] == 0.5
    assert math.isnan(steps[21] or 0.0)


def test_a_loss_that_is_not_finite_is_seen_in_any_column() -> None:
    lines = [f"[0/25][{i}/782] Loss_D: 0.4 Loss_G: {'nan' if i > 5 else 3.2}" for i in range(9)]
    losses = [step.loss for step in read(lines).steps]
    assert losses[5] == 0.4
    assert all(loss is not None and math.isnan(loss) for loss in losses[6:])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("step 3 loss 0.5", ("loss", 0.5)),
        ("train_loss=1e-3, lr=0.1", ("train_loss", 1e-3)),
        ("lm loss: 1.04E+01 | loss scale: 65536.0", ("loss", 10.4)),
        ("{'loss': '2.5', 'epoch': 1}", ("loss", 2.5)),
        ("Loss_D: 1.2 Loss_G: inf", ("Loss_G", math.inf)),
        ("loss_ctc=3.0, loss_att=4.0, loss=3.5", ("loss", 3.5)),
        ("reduced_train_loss: 11.03", ("reduced_train_loss", 11.03)),
        ("nll -12.5", ("nll", -12.5)),
        ("loss: tensor(0.25, device='cuda:0')", ("loss", 0.25)),
        ("dice_loss - 0.8, iou 0.2", ("dice_loss", 0.8)),
        ("train_loss -0.8", ("train_loss", -0.8)),
        ("loss1: nan loss2: 0.31", ("loss1", math.nan)),
        ("loss1: 0.52 loss2: 0.31", ("loss1", 0.52)),
        ("loss_1=0.52 loss_2=nan", ("loss_2", math.nan)),
        ("loss_d1: 0.52, lr 0.1", ("loss_d1", 0.52)),
        ("Loss 1: 0.52, Loss 2: 0.31", ("Loss 1", 0.52)),
        ("loss0.570-|Sample", ("loss", 0.57)),
        ("loss12.5 lr 0.1", ("loss", 12.5)),
        ("loss1 and loss2 are added", None),
        ("cls loss: 0.52, box loss: 0.31, total loss: 0.83", ("loss", 0.83)),
        ("cls loss: 0.52, box loss: 0.31, loss: 0.83", ("loss", 0.83)),
        ("aux_loss=0.31 mean loss=0.83", ("loss", 0.83)),
        ("train/CrossEntropyLoss=2.1, z loss=0.3", ("train/CrossEntropyLoss", 2.1)),
        ("'objective/kl': 6.9, 'loss/policy_avg': 0.2", ("loss/policy_avg", 0.2)),
        ("kl loss 0.3", None),
        ("4.40 s run, 11.8750 loss, 0.000005 LR", ("loss", 11.875)),
        ("9: 2089.8, 2093.3 avg loss, 0.001 rate", ("avg loss", 2093.3)),
        ("3 of 5 losses, 0.5 loss scale", None),
        ("val_loss: 0.3", None),
        ("Validation loss 0.3", None),
        ("Test: [1/2] loss: 0.3", None),
        ("loss scale 1024", None),
        ("no losses here", None),
    ],
)
def test_losses(line: str, expected: tuple[str, float] | None) -> None:
    found = loss_in(line)
    assert (found and found[:2]) == (expected and pytest.approx(expected, nan_ok=True))


def test_a_script_that_speaks_for_itself_is_believed_at_once() -> None:
    finder = StepFinder()
    assert [step.number for step in finder.read("tonnage step", 1.0)] == [None]
    assert finder.read("step 12 loss 0.3", 2.0) == []
    assert len(finder.read("tonnage step loss 0.3", 3.0)) == 1


def test_lines_with_a_loss_and_no_counter_are_one_step_each() -> None:
    reading = read([f"loss: {1 / i:.4f}" for i in range(1, 12)])
    assert len(reading.steps) == 11
    assert {step.number for step in reading.steps} == {None}
    assert reading.finder.choice is not None
    assert "(?P<loss>" in reading.finder.choice.pattern


def test_an_epoch_is_a_step_only_where_nothing_else_is_counted() -> None:
    epochs = [f"Epoch: {i:03d}, Loss: 1.9, Train: 0.2, Val: 0.3, Test: 0.3" for i in range(1, 9)]
    choice = read(epochs).finder.choice
    assert choice is not None
    assert choice.kind is Kind.EPOCH
    assert "epoch" in choice.description


def test_what_is_not_understood_is_shown_with_what_would_be_taken() -> None:
    finder = read(["loading", *[f"Item {i} done, score 0.{i}" for i in range(20)]]).finder
    assert finder.choice is None
    text = finder.explanation()
    assert "21 lines" in text
    assert "Item 19 done" in text
    assert "--step" in text


def test_the_likeliest_counter_is_offered_before_it_is_certain() -> None:
    finder = read([f"[{i}/1000]\t[PSNR: 12.{i}]" for i in range(0, 90, 10)]).finder
    assert finder.choice is None
    assert "(?P<step>" in finder.explanation()


def test_one_line_of_training_is_enough_to_offer_its_number() -> None:
    finder = read(["tokens per iteration: 256", "iter 0: loss 4.5, time 5905.9ms"]).finder
    assert finder.choice is None
    likely = finder.likeliest()
    assert likely is not None
    assert likely.pattern.startswith(r"^\s*iter\s*(?P<step>")


def test_one_rank_counts() -> None:
    lines = [f"[rank{r}]: step {i} loss 0.5" for i in range(1, 20) for r in (0, 1, 2)]
    assert numbers(lines) == list(range(1, 20))


def test_memory_stays_bounded_on_output_of_ever_new_shapes() -> None:
    finder = StepFinder()
    for i in range(3000):
        finder.read(f"{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{i} value x{'y' * (i % 50)} {i}", i)
    assert len(finder._candidates) <= MOST_TRACKS
    assert len(finder._examples) <= 50


def test_lines_are_split_at_returns_and_stripped_of_colours() -> None:
    splitter = LineSplitter()
    assert splitter.lines(b"\x1b[31mstep 1\x1b[0m\r\n") == ["step 1"]
    assert splitter.lines(b"ab") == []
    assert splitter.lines("c\r 5%|█▏  | 1/20\r".encode()) == ["abc", " 5%|█▏  | 1/20"]


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("2025-03-14 10:00:00,123 step 3", "⏱ step 3"),
        ("[03/14 10:00:00 d2.utils.events]: iter: 19", "[⏱ §]: iter: 19"),
        ("eta: 1 day, 3:04:05  iter 9", "eta: ⏱  iter 9"),
        (" 12%|█▏   | 12/100 [00:01<00:08,", " 12%▌ 12/100 [⏱<⏱,"),
        ("12/500 [====>....] - ETA: 3s", "12/500 ▌ - ETA: 3s"),
        ("train.py:96 saved /tmp/a/b.pt", "§ saved §"),
    ],
)
def test_times_bars_and_files_are_no_numbers(line: str, left: str) -> None:
    assert without_details(line) == left


def test_durations_in_changing_units_belong_to_one_kind_of_line() -> None:
    times = ["900ms", "1s20ms", "2s", "59s900ms", "1m3s", "1h2m"]
    lines = [f"took {t} | Loss: 0.5 | {i}/391 " for i, t in enumerate(times, 1)]
    reading = read(lines, 128)
    assert [step.number for step in reading.steps] == [1, 2, 3, 4, 5, 6]


def test_two_lines_are_enough_with_a_total_a_loss_and_a_speed() -> None:
    lines = [f"Epoch: [0][{i}/5005]\tTime 0.3 (0.4)\tLoss 7.0" for i in range(0, 100, 10)]
    assert read(lines).decided_at == 2


def test_a_number_before_a_value_counts_where_lines_come_one_by_one() -> None:
    lines = [f"{i}: {1 / (i + 1)}" for i in range(0, 300, 10)]
    reading = read(lines)
    assert [step.number for step in reading.steps] == list(range(0, 300, 10))
    at_once = StepFinder()
    assert [at_once.read(line, 1.0) for line in lines] == [[]] * 30


def test_lines_with_a_loss_win_over_a_bar_that_is_drawn_now_and_then() -> None:
    lines = []
    for i in range(60):
        lines.append(f"training loss: {1 / (i + 1):.4f}")
        if i % 10 == 0:
            lines.append(f"training:   0%|          | {i}/100000 [00:{i}<1:00:00,  1.3it/s]")
    reading = read(lines)
    assert len(reading.steps) == 60
    assert reading.finder.choice is not None
    assert not reading.finder.choice.is_bar


def test_a_bar_wins_over_losses_that_are_printed_more_often_than_steps() -> None:
    lines = []
    for i in range(60):
        lines += [f"loss: {1 / (i + 1):.4f}"] * 4  # of micro-batches
        lines.append(f"training:   0%|          | {i}/1000 [00:{i:02d}<1:00:00,  1.3it/s]")
    choice = read(lines).finder.choice
    assert choice is not None
    assert choice.is_bar


@pytest.mark.parametrize("term", ["L1", "BCE", "KL", "GAN"])
def test_a_loss_may_be_called_by_its_formula(term: str) -> None:
    lines = [f"[{i}/16000]\t[{term}: 5.7672]\t12.0+0.4s" for i in range(1600, 16001, 1600)]
    assert numbers(lines, 16) == list(range(100, 1001, 100))


def test_scores_of_an_evaluation_are_no_loss() -> None:
    lines = [f"[{i}/100] PSNR: 31.2, SSIM: 0.9" for i in range(10, 101, 10)]
    assert read(lines).finder.choice is None


def test_whole_epochs_among_fractions_are_no_counter() -> None:
    lines = [f"{{'loss': '0.6', 'lr': '4e-05', 'epoch': '{i / 4:g}'}}" for i in range(1, 60)]
    assert read(lines).finder.choice is None


def test_lines_with_a_loss_are_no_steps_where_an_unnamed_number_grows_beside_them() -> None:
    lines = []
    for i in range(50, 1000, 50):
        lines += [f"run [{i}]:", f"Style Loss : 0.{i} Content Loss: 0.5"]
    assert read(lines).finder.choice is None
    assert len(read(lines[1::2]).steps) == 19


def test_a_part_of_an_epoch_with_values_counts_without_a_loss() -> None:
    lines = [f"Epoch 1:\t[{i * 8}/82783]\tcontent: 1.5\tstyle: 0.4" for i in range(500, 6000, 500)]
    assert numbers(lines, 8) == list(range(500, 6000, 500))
    assert read([line + " val_acc: 0.5" for line in lines], 8).finder.choice is None


def test_a_part_of_the_loss_makes_way_for_the_total_on_a_later_line() -> None:
    """YOLOv3's blocks, in which every part is called a loss."""
    lines = [
        line
        for epoch in range(1, 9)
        for line in (
            f"****epoch: {epoch} ****",
            "cls loss: 0.5",
            f"total loss: {80 + epoch}.5",
            "conf loss: 16.5",
        )
    ]
    losses = [loss for _, _, loss in read(lines).taken]
    assert losses[1:] == [80.5 + epoch for epoch in range(1, 8)]


def test_of_the_losses_between_two_steps_the_total_is_kept() -> None:
    lines = []
    for i in range(20):
        value = "nan" if i == 15 else "-1.4"
        lines += ["| entropy_loss    | -0.6 |", "| loss     | 23.5 |", f"| value_loss | {value} |"]
        lines.append(f"| iterations | {i} |")
    losses = [step.loss for step in read(lines).steps]
    assert losses[:15] == [23.5] * 15
    assert math.isnan(losses[15] or 0.0)
    assert losses[16:] == [23.5] * 4


def test_a_drawn_bar_does_not_push_the_number_out_of_the_line_that_is_shown() -> None:
    lines = [f" [{'=' * i}>{'.' * (70 - i)}] Loss: 0.5 | Acc: 9 % {i}/391 " for i in range(1, 40)]
    choice = read(lines).finder.choice
    assert choice is not None
    assert "1/391" in choice.description


def test_a_loss_of_zero_with_a_gradient_that_is_nan_is_not_finite() -> None:
    found = loss_in("{'loss': '0', 'grad_norm': 'nan', 'learning_rate': '2e-05', 'epoch': '0.05'}")
    assert found is not None
    assert math.isnan(found[1])


@pytest.mark.parametrize("line", ["loss: 0.7 grad_norm: nan", "loss: 0.0 grad_norm: 0.0"])
def test_a_gradient_that_overflows_or_vanishes_leaves_the_loss_as_it_is(line: str) -> None:
    found = loss_in(line)
    assert found is not None
    assert math.isfinite(found[1])


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("loss in epoch 1 iteration 19: 1.3957", 1.3957),
        ("2025-03-14 10:00:12,000 INFO     Training average loss at step 100: 0.9017", 0.9017),
        ("Loss after iteration 1000: nan", math.nan),
    ],
)
def test_a_loss_may_say_of_which_step_it_is_before_its_value(line: str, value: float) -> None:
    found = loss_in(line)
    assert found is not None
    assert found[1] == pytest.approx(value, nan_ok=True)


def test_the_loss_of_an_evaluation_in_this_form_is_none() -> None:
    assert loss_in("Valid loss at step 100: 0.3") is None


def test_a_number_without_words_that_grows_is_offered_and_never_taken() -> None:
    lines = [text for i in range(1, 9) for text in (f"{i}", f"{12 + 0.1 * i}", "Hits @10: 0.01")]
    finder = read(lines).finder
    assert finder.choice is None
    assert r"^\s*(?P<step>\d+)\s*$" in finder.explanation()
    assert "(?P<epoch>" in finder.explanation()


def bar(step: int, total: int, rate: float = 9.5) -> str:
    done = 10 * step // total
    return f"{10 * done:3d}%|{'#' * done:10s}| {step}/{total} [{rate}it/s]"


def test_a_bar_of_training_is_kept_where_another_one_evaluates_between_epochs() -> None:
    lines = ["Start training..."]
    for _ in range(6):
        lines += [bar(i, 20) for i in range(21)] + [bar(i, 8, 40.0) for i in range(9)]
    reading = read(lines)
    assert reading.finder.choice is not None and "/20 " in reading.finder.choice.example
    assert reading.finder.revision <= 3, "the bars take turns"
    assert reading.steps[-1].number == 6 * 20


def test_a_bar_that_begins_again_ends_an_epoch() -> None:
    """It shows 0 before it shows a step."""
    reader, evaluated = StepReader("", 8, None), []
    lines = ["Start training..."] + [bar(i, 24) for _ in range(4) for i in range(25)]
    for at_s, line in enumerate(lines):
        evaluated += [s.number for s in reader.read([Piece(f"{line}\n", at_s)]) if s.evaluated]
    assert evaluated == [25, 49, 73]


def test_the_bar_that_trains_is_found_after_others_that_have_loaded() -> None:
    loading = [bar(i, 30, 20.0) for i in range(31)] * 2
    lines = ["Start training...", *loading, *(bar(i, 200) for i in range(100))]
    choice = read(lines).finder.choice
    assert choice is not None and "/200" in choice.example


def test_the_layers_of_a_printed_model_are_no_steps() -> None:
    lines = [f"  ({i}): Linear(in_features=8, out_features=8, bias=True)" for i in range(9)]
    lines += [f"({i}): Parameter containing: [torch.float32 of size 64]" for i in range(9)]
    reading = read(lines)
    assert reading.finder.choice is None and reading.finder.likeliest() is None


def test_a_loss_may_have_a_dot_in_its_name() -> None:
    lines = [f"step {n} train.loss: {'nan' if n == 5 else 0.5}" for n in range(8)]
    taken = read(lines).taken
    assert [loss for _, _, loss in taken if loss is not None and not math.isnan(loss)] == [0.5] * 7
    assert math.isnan(taken[5][2] or 0.0)
    assert without_details("train.py: 0.5, saved model.layers to out/model.pt: 0.5").count("§") == 3


@pytest.mark.parametrize("time", ["00:05", "1.25s", "125 ms", "1m 5s"])
def test_the_cells_of_a_table_without_borders_may_have_units(time: str) -> None:
    lines = ["step    loss    time", *(f"{10 * n}    {1 / n:.4f}    {time}" for n in range(1, 9))]
    reading = read(lines)
    assert reading.finder.choice is not None
    assert reading.taken[-1][1:] == (80, 1 / 8)
    pattern = re.compile(reading.finder.choice.pattern)
    assert all(pattern.search(line) for line in lines[1:])


def test_a_table_of_epochs_is_not_said_to_count_steps() -> None:
    lines = [
        "  epoch    train_loss    dur",
        "-------  ------------  -----",
        "      1   2.3066   18.12",
    ]
    said = read(lines).finder.explanation()
    assert "epochs" in said and "dataset_size" in said
    assert "--step" not in said
    more = read([*lines, *(f"      {n}   {2 / n:.4f}   18.12" for n in range(2, 9))])
    assert more.finder.choice is not None
    assert "(?P<epoch>" in more.finder.choice.pattern


@pytest.mark.parametrize("border", ["|", "│"])
def test_a_table_with_borders_is_read_by_its_heading(border: str) -> None:
    def row(*cells: object) -> str:
        return f"{border} " + f" {border} ".join(map(str, cells)) + f" {border}"

    heading = [row("epoch", "train loss", "val loss", "time"), row("---", "---", "---", "---")]
    lines = [*heading, *(row(n, f"{1 / n:.4f}", "0.5010", "1.2s") for n in range(1, 9))]
    reading = read(lines)
    assert reading.finder.choice is not None
    assert "one line per epoch" in reading.finder.choice.description
    assert reading.taken[0][2] == 1.0
    pattern = re.compile(reading.finder.choice.pattern)
    assert all(pattern.search(line) for line in lines[2:])
    steps = [row("step", "loss"), *(row(n, f"{1 / n:.4f}") for n in range(10, 90, 10))]
    assert numbers(steps)[-1] == 80


def test_a_counter_whose_lines_are_repeated_begins_again_with_each_epoch() -> None:
    growth = CounterGrowth(12)
    for value in (0, 10, 10, 10, 10, 0, 10, 10, 10, 10, 0, 10):
        growth.add(value)
    assert growth.restarts == 2
    assert growth.progress == 34
    lines = [
        f"Epoch: [{epoch}][{n}/12]\tTime 0.2\tLoss 2.0000"
        for epoch in range(3)
        for n in (0, 10)
        for _ in range(2)  # ranks
    ]
    assert numbers(lines)[-1] == 34


@pytest.mark.parametrize("words", ["Evaluating batch", "Testing step", "Sampling step"])
def test_an_evaluation_before_training_is_not_training(words: str) -> None:
    before = [f"{words} {n}/5000 loss 0.0003" for n in range(60)]
    assert read(before, 8).finder.choice is None
    likely = read(before, 8).finder.likeliest()
    assert likely is None or words not in likely.example
    lines = [*before, *(f"Training epoch 0 batch {n}/5000 loss 0.0003" for n in range(30))]
    reading = read(lines, 8)
    assert reading.finder.choice is not None
    assert reading.finder.choice.example.startswith("Training")


def test_a_bar_has_the_time_at_which_it_was_drawn() -> None:
    """Its end comes with the next one, which may be long after, or right before the last."""
    splitter = LineSplitter()
    assert splitter.timed(b"\r 50%| 10/20", 1.0) == []
    assert splitter.timed(b"", 2.0) == []
    assert splitter.timed(b"\r100%| 20/20", 5.0) == [(" 50%| 10/20", 1.0)]
    assert splitter.timed(b"\nEpoch", 9.0) == [("100%| 20/20", 5.0)]
    assert splitter.timed(b" 2\nloss 1\n", 10.0) == [("Epoch 2", 10.0), ("loss 1", 10.0)]


def test_epochs_too_short_for_a_second_line_have_the_steps_that_the_samples_make() -> None:
    """One line every ten steps, as in ``vae/main.py`` of pytorch/examples."""

    def printed(batch_size: int, epochs: int) -> list[str]:
        return [
            line
            for epoch in range(1, epochs + 1)
            for line in (
                *(
                    f"Train Epoch: {epoch} [{n}/60000 ({n / 600:.0f}%)]\tLoss: {9e5 / (n + 1):.6f}"
                    for n in range(0, 60_000, 10 * batch_size)
                ),
                f"====> Epoch: {epoch} Average loss: 166.1234",
                f"====> Test set loss: {127 / epoch:.4f}",
            )
        ]

    first = read(printed(64, 1), batch_size=64)
    earlier = first.finder.learned
    assert earlier is not None and earlier.counts_samples
    short = read(printed(8192, 10), batch_size=8192, earlier=earlier)
    assert [number for _, number, _ in short.taken][-1] == 80
    assert short.finder.learned == earlier


def test_iterations_on_rollouts_are_said_to_hold_several_optimizer_steps() -> None:
    lines = [
        line
        for n in range(1, 9)
        for line in (
            "| time/                   |              |",
            f"|    iterations           | {n}            |",
            f"|    total_timesteps      | {2048 * n}         |",
            "| train/                  |              |",
            f"|    loss                 | {3 / n:.3f}        |",
        )
    ]
    choice = read(lines).finder.choice
    assert choice is not None
    assert "several optimizer steps" in choice.description


def test_the_bar_of_an_announced_evaluation_does_not_take_over_from_that_of_training() -> None:
    """transformers' Trainer, in a training too short for the first line with a loss."""

    def bar(length: int, per_s: float) -> list[str]:
        return [
            f"{100 * n // length:3}%|{'█' * (10 * n // length):10}| {n}/{length} "
            f"[00:{n / per_s:02.0f}<00:{(length - n) / per_s:02.0f}, {per_s:5.2f}it/s]"
            for n in range(length + 1)
        ]

    training = ["***** Running training *****", "  Num examples = 1,200", *bar(120, 2.7)]
    evaluation = [
        "***** train metrics *****",
        "11/30/2026 18:09:30 - INFO - __main__ - *** Evaluate ***",
        "***** Running Evaluation *****",
        "  Num examples = 400",
        *bar(50, 74.1),
    ]
    reading = read([*training, *evaluation])
    assert [number for _, number, _ in reading.taken][-1] == 120
    assert reading.finder.revision == 1


@pytest.mark.parametrize("end", ["]}.", "x.", "€ 1 x."])
@pytest.mark.parametrize(
    "piece",
    [
        "638, ",
        "0.5 ",
        "1/",
        "12:34 ",
        "a.b/",
        "tensor(1), ",
        "1e5",
        "loss_1",
        "loss 1",
        ", ",
        "a\t",
    ],
)
def test_no_line_is_hard_to_read(piece: str, end: str) -> None:
    """A list of token ids fits a careless expression in a number of ways that doubles with each."""

    def give_up(*_: object) -> None:
        raise AssertionError("the line was not read within 20 s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(20)
    try:
        for head in ("{}: ", "{}, ", "a\t", "Sample {} of the set: {{'ids': ["):
            lines = [head.format(n) + piece * 60 + end for n in range(3)]
            assert read(lines).finder.lines == 3
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("piece", ["loss_a: 1.0, ", "1 loss, "])
def test_a_long_line_is_searched_for_a_loss_in_its_beginning_only(piece: str) -> None:
    """64,000 characters took 20 s."""
    began = time.process_time()
    found = loss_in(piece * 5_000)
    assert found is not None
    assert found.value == 1.0
    assert time.process_time() - began < 1.0
