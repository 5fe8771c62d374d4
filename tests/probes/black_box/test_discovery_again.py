"""What one run of a program teaches is used in the next, and given up where it does not fit."""

from __future__ import annotations

import pytest

from probes.black_box.discovery.earlier import MOVES_LET_PASS, EarlierRun
from tests.probes.black_box import corpus
from tests.probes.black_box.corpus import Entry, read

PROGRAMS = [entry for entry in corpus.entries() if entry.has_steps]


@pytest.mark.parametrize("entry", PROGRAMS, ids=lambda entry: str(entry.name))
def test_a_second_run_reads_the_same_steps_no_later(entry: Entry) -> None:
    first = corpus.read_entry(entry)
    second = corpus.read_again(entry, first.finder.learned)
    assert corpus.mistakes(entry, second) == []
    assert corpus.coverage(entry, second) >= corpus.coverage(entry, first)
    assert second.decided_at <= first.decided_at
    if first.finder.learned is not None:
        assert second.finder.revision == 1


def test_what_an_earlier_run_took_is_taken_with_its_second_line() -> None:
    known = EarlierRun("iter", has_total=False, is_bar=False, counts_samples=None)
    lines = [f"iter {n} loss 0.5" for n in range(1, 30)]
    assert read(lines, earlier=known).decided_at == 2 < read(lines).decided_at


def test_another_number_is_taken_where_the_earlier_one_does_not_come() -> None:
    unknown = EarlierRun("tick", has_total=False, is_bar=False, counts_samples=None)
    lines = [f"step {n} loss 0.5" for n in range(60)]
    reading = read(lines, earlier=unknown)
    assert MOVES_LET_PASS < reading.decided_at <= MOVES_LET_PASS + 2
    assert len(reading.steps) >= 59


def test_whether_samples_are_counted_is_known_from_another_batch_size() -> None:
    def lines(batch: int) -> list[str]:
        return [f"[{n * 100 * batch}/60000] loss: 2.3 " for n in range(5)]

    first = read(lines(64), batch_size=64).finder.learned
    assert first is not None
    assert first.counts_samples
    again = read(lines(50), batch_size=50, earlier=first)
    assert [step.number for step in again.steps] == [0, 100, 200, 300, 400]


def test_what_to_add_where_only_a_fraction_of_an_epoch_is_told() -> None:
    entry = next(entry for entry in PROGRAMS if entry.name == "transformers_no_bar")
    text = corpus.read_entry(entry).finder.explanation()
    assert "fraction of an epoch" in text
    assert "disable_tqdm" in text
    assert "(?P<step>" not in text


def quiet_trainer(steps: int, every: int, batches: int) -> list[str]:
    """A ``Trainer`` that logs nothing: the bar of each evaluation has no words either."""
    lines = [f"  0%|          | 0/{steps} [00:00<?, ?it/s]"]
    for step in range(1, steps + 1):
        share = f"{100 * step // steps:3d}%"
        lines.append(f"{share}|██        | {step}/{steps} [00:0{step % 10}<00:59,  1.05it/s]")
        for batch in range(0, batches + 1, 2) if step % every == 0 else ():
            share = f"{100 * batch // batches:3d}%"
            lines.append(f"{share}|█▊        | {batch}/{batches} [00:02<00:08, 15.40it/s]\x1b[A")
    return lines


@pytest.mark.parametrize("every", [4, 8, 16])
def test_the_bar_of_an_evaluation_inside_of_that_of_the_training_is_not_taken(every: int) -> None:
    reading = read(quiet_trainer(40, every, 200))
    assert reading.finder.choice is not None
    assert "/40 [" in reading.finder.choice.example
    assert [number for _, number, _ in reading.taken] == [*range(1, 41)]
    assert reading.finder.revision == 1
    assert reading.decided_at <= 2 + max(every, 4)


def test_a_bar_of_epochs_does_not_hide_the_bar_of_their_steps() -> None:
    lines = ["  0%|          | 0/5 [00:00<?, ?it/s]"]
    for epoch in range(1, 6):
        lines += [f" 10%|█         | {i}/60 [00:01<00:08, 15.40it/s]\x1b[A" for i in range(61)]
        lines.append(f" 20%|██        | {epoch}/5 [00:10<00:59, 10.05s/it]")
    reading = read(lines)
    assert reading.finder.choice is not None
    assert "/60 [" in reading.finder.choice.example
