"""The table of programs in ``docs/black-box.md``, as the corpus of logs has it.

``python -m tests.probes.black_box.program_table`` writes it into the page.
"""

from __future__ import annotations

import re
from pathlib import Path

from probes.black_box.discovery.choice import CounterChoice
from probes.black_box.discovery.losses import loss_in
from probes.black_box.discovery.vocabulary import Kind
from tests.probes.black_box import corpus
from tests.probes.black_box.corpus import Entry, Reading

PAGE = Path(__file__).parents[3] / "docs" / "black-box.md"
BEGIN, END = "<!-- programs: begin -->\n", "<!-- programs: end -->\n"
SHOWN_CHARACTERS = 64
BEFORE_CHARACTERS = 28
"""Characters of a longer line that are shown before the number."""


def table() -> str:
    """A sentence with the counts, and a row for each program."""
    programs = sorted(
        (entry for entry in corpus.entries() if entry.has_steps),
        key=lambda entry: str(entry.truth["program"]).lower(),
    )
    readings = [corpus.read_entry(entry) for entry in programs]
    found = sum(map(corpus.is_recognised, programs, readings))
    wrong = sum(bool(corpus.mistakes(*pair)) for pair in zip(programs, readings))
    rows = [
        f"{found} of {len(programs)} programs ({100 * found / len(programs):.0f} %) are recognised "
        f"unasked; a wrong number is taken in {wrong or 'none'} of them.",
        "",
        "| Program | A line that is taken | Counts | Loss | Recognised |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(rows + list(map(_row, programs, readings))) + "\n"


def _row(entry: Entry, reading: Reading) -> str:
    choice = reading.finder.choice
    if choice is None:
        return f"| {_cell(entry.truth['program'])} | none | – | – | no |"
    said = "yes" if corpus.is_recognised(entry, reading) else "in part"
    line = _cell(f"`{_around(choice)}`")
    return (
        f"| {_cell(entry.truth['program'])} | {line} | {_counts(reading)} "
        f"| {_loss(entry, reading)} | {said} |"
    )


def _counts(reading: Reading) -> str:
    choice = reading.finder.choice
    assert choice is not None
    if choice.samples_per_step > 1:
        return "samples"
    if choice.kind is Kind.EPOCH:
        return "epochs"
    if all(number is None for _, number, _ in reading.taken):
        return "lines"
    return "steps, a bar" if choice.is_bar else "steps"


def _loss(entry: Entry, reading: Reading) -> str:
    """The name of the loss in the line that is taken, or else in another line."""
    if all(loss is None for _, _, loss in reading.taken):
        return "not found" if entry.truth["losses"] else "none named"
    choice = reading.finder.choice
    assert choice is not None
    found = loss_in(choice.example)
    if found is not None:
        return f"`{found[0]}`"
    at, value = next((at, loss) for at, _, loss in reading.taken if loss is not None)
    printed = (loss_in(line) for line in reversed(entry.lines[:at]))
    name = next((found[0] for found in printed if found is not None and found[1] == value), "")
    return f"`{name}`, beside it" if name else "by its heading"


def _around(choice: CounterChoice) -> str:
    """The part of the line in which the number stands."""
    match = re.search(choice.pattern, choice.example, re.IGNORECASE)
    groups = match.groupdict() if match else {}
    number = next((name for name in ("step", "samples") if name in groups), None)
    at = match.start(number) if match and number else 0
    head, tail = _plain(choice.example[:at]), _plain(choice.example[at:])
    if len(head) + len(tail) > SHOWN_CHARACTERS and len(head) > BEFORE_CHARACTERS:
        head = f"…{head[1 - BEFORE_CHARACTERS :]}"
    line = (head + tail).strip()
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"


def _plain(text: str) -> str:
    short = re.sub(r"([^\w\s])\1{7,}", r"\1\1\1\1", text)
    return re.sub(r"\s+", " ", short.replace("`", "'"))


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def in_page(page: str) -> str:
    """What the page has for the table."""
    return page.partition(BEGIN)[2].partition(END)[0]


if __name__ == "__main__":
    text = PAGE.read_text()
    PAGE.write_text(text.replace(BEGIN + in_page(text), BEGIN + table()))
