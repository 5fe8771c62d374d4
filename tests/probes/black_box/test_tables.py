"""Tables without borders, by the programs that print them."""

from __future__ import annotations

import pytest

from probes.black_box.discovery.vocabulary import Kind
from probes.black_box.steps import OutputSteps
from tests.probes.black_box.corpus import Reading, read

ROWS = range(1, 13)


def chainer() -> list[str]:
    heading = "epoch       iteration   main/loss   lr          validation/main/loss"
    return [heading, *(f"0           {100 * n:<11} 2.{n:<9} 3.08566e-05    " for n in ROWS)]


def notebook() -> list[str]:
    rows = (f"{100 * n} | 2.{n} | 4.566135 | 0.715900 | 6.984000" for n in ROWS)
    heading = "Step | Training Loss | Validation Loss | Runtime | Samples Per Second"
    return [heading, "-- | -- | -- | -- | --", *rows]


def lightning() -> list[str]:
    rows = (f"2.{n},0.0017,{100 * n}.0,0,2025-11-07 06:{n:02d}:10.484610" for n in ROWS)
    return ["train/loss_step,train/loss_vlb_step,global_step,epoch,created_at", *rows]


def hyphens() -> list[str]:
    rows = (f"{n}.000000\t0.009999\t2.{n}\t8.452000\t" for n in ROWS)
    return ["Epoch-Num\tLearning-Rate\tTrain-Loss\tTrain-acc-B\t", *rows]


def dates() -> list[str]:
    rows = (f"   {n} ,04.29_01:45:{n + 10} ,0.001 , 2.{n} ,1103.956" for n in ROWS)
    return ["Epoch ,FinishTime     ,LR    ,Train_Loss ,RMSE_Val", *rows]


def numbers(reading: Reading) -> list[int | None]:
    return [number for _, number, _ in reading.taken]


@pytest.mark.parametrize("lines", [chainer(), notebook(), lightning()])
def test_the_column_of_the_steps_counts(lines: list[str]) -> None:
    reading = read(lines)
    assert numbers(reading) == [100 * n for n in ROWS]
    assert [loss for _, _, loss in reading.taken] == [float(f"2.{n}") for n in ROWS]


@pytest.mark.parametrize("lines", [hyphens(), dates()])
def test_the_column_of_the_epochs_counts_epochs(lines: list[str]) -> None:
    reading = read(lines)
    assert reading.finder.choice is not None
    assert reading.finder.choice.kind is Kind.EPOCH
    assert numbers(reading) == [*ROWS]
    assert [loss for _, _, loss in reading.taken] == [float(f"2.{n}") for n in ROWS]


@pytest.mark.parametrize("lines", [chainer(), notebook(), lightning(), hyphens(), dates()])
def test_the_pattern_finds_the_same_column(lines: list[str]) -> None:
    reading = read(lines)
    assert reading.finder.choice is not None
    steps = OutputSteps(reading.finder.choice.pattern)
    seen = [sign.number for line in lines for sign in steps.read(f"{line}\n".encode(), 0.0)]
    assert seen == numbers(reading)


def test_fractions_of_epochs_in_a_table_are_no_counter() -> None:
    rows = [f"{n / 2}\t0.009999\t2.{n}" for n in range(20)]
    assert read(["epoch\tlr\tloss", *rows]).finder.choice is None


def test_words_before_numbers_are_no_heading_for_lines_of_another_form() -> None:
    lines = ["Finished | loading", *(f"step {n} | loss 0.5" for n in ROWS)]
    assert numbers(read(lines)) == [*ROWS]
