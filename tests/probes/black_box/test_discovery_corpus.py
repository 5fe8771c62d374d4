"""The output of well-known training programs, read unasked.

The logs were written in four parts. The rules were made on the first ("seen"); the others were
written afterwards and read once before anything was changed: 30 of 35 programs of the second part,
10 of 16 of the third and 12 of 18 of the fourth ("tried") were read right then. The fourth was
written after public scripts had been run; wrong numbers had been taken in three of its programs.
What was missing was added as general rules, none of which names a program. The logs of the part
"excerpts" have the form of excerpts of other programs from which wrong numbers had been taken.
"""

from __future__ import annotations

import pytest

from probes.black_box.steps import OutputSteps
from tests.probes.black_box import corpus, program_table
from tests.probes.black_box.corpus import Entry

ENTRIES = corpus.entries()
PROGRAMS = [entry for entry in ENTRIES if entry.has_steps]
NEGATIVE = [entry for entry in ENTRIES if not entry.has_steps]
RECOGNISED_SHARE = 0.95


def named(entry: Entry) -> str:
    return entry.name


def test_the_corpus_is_large_enough_and_its_truth_fits_its_lines() -> None:
    assert len(PROGRAMS) >= 60
    assert len(NEGATIVE) >= 8
    for entry in ENTRIES:
        lines = entry.lines
        assert len(lines) >= 20, entry.name
        numbered = [*entry.truth["steps"], *entry.truth["losses"]]
        assert all(1 <= line <= len(lines) for line, _ in numbered), entry.name
        for line, step in entry.truth["steps"]:
            assert any(c.isdigit() for c in lines[line - 1]), (entry.name, line, step)


@pytest.mark.parametrize("entry", ENTRIES, ids=named)
def test_no_wrong_number_is_taken_for_the_step(entry: Entry) -> None:
    reading = corpus.read_entry(entry)
    assert corpus.mistakes(entry, reading) == []


def test_the_table_in_the_page_is_that_of_the_corpus() -> None:
    """``python -m tests.probes.black_box.program_table`` writes it."""
    assert program_table.in_page(program_table.PAGE.read_text()) == program_table.table()


def test_nearly_all_programs_are_recognised_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    results = [(entry, corpus.read_entry(entry)) for entry in PROGRAMS]
    recognised = [entry.name for entry, reading in results if corpus.is_recognised(entry, reading)]
    with capsys.disabled():
        print(f"\nrecognised {len(recognised)} of {len(PROGRAMS)} programs")
    print(corpus.table(results))
    assert len(recognised) >= RECOGNISED_SHARE * len(PROGRAMS)


@pytest.mark.parametrize("entry", PROGRAMS, ids=named)
def test_the_loss_beside_a_step_is_the_one_that_was_printed(entry: Entry) -> None:
    reading = corpus.read_entry(entry)
    assert corpus.wrong_losses(entry, reading) <= 0.1 * len(reading.taken)


@pytest.mark.parametrize("entry", PROGRAMS, ids=named)
def test_the_pattern_that_is_kept_finds_the_same_lines(entry: Entry) -> None:
    """A number that a pattern sees twice counts once, so more lines do no harm."""
    reading = corpus.read_entry(entry)
    choice = reading.finder.choice
    if choice is None:
        pytest.skip("not recognised")
    steps = OutputSteps(choice.pattern)
    lines = entry.lines
    for line, _, _ in reading.taken:
        assert steps.read(lines[line - 1].encode() + b"\n", 0.0), (choice.pattern, lines[line - 1])


@pytest.mark.parametrize("entry", PROGRAMS, ids=named)
def test_the_decision_comes_early(entry: Entry) -> None:
    """Within the first thirty lines that tell of steps."""
    reading = corpus.read_entry(entry)
    if reading.finder.choice is None:
        assert reading.finder.explanation()
        return
    before = sum(line <= reading.decided_at for line, _ in entry.truth["steps"])
    assert before <= 30
