"""What a person should know about prepared data, though nothing is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from finetuning.data.row_store import SourceIndex
from finetuning.data.summary import DataSummary, SourceSummary
from probes.formatting import plural

MOST_DROPPED = 0.5
"""Share of a source's rows; if more are dropped, its pattern or columns are probably not meant."""
MOST_COPIES = 4
"""Copies of each training row, beyond which balancing by repetition deserves a word."""
CUT_OFF = "are longer than max_length"


def contradictory(indexes: Sequence[SourceIndex]) -> int:
    """Kept rows whose prompt came before, in any source, with another completion."""
    first: dict[int, int] = {}
    count = 0
    for index in indexes:
        for prompt, pair in zip(index.prompts, index.pairs):
            count += first.setdefault(prompt, pair) != pair
    return count


def shared(indexes: Sequence[SourceIndex]) -> int:
    """Kept rows that an earlier source has too, prompt and completion."""
    seen: set[int] = set()
    count = 0
    for index in indexes:
        count += sum(pair in seen for pair in index.pairs)
        seen.update(index.pairs)
    return count


def of(summary: DataSummary, first: Iterable[str], indexes: Mapping[str, SourceIndex]) -> list[str]:
    """All notes, those found earlier ``first``."""
    told = list(first)
    for source in summary.sources:
        told += _of_source(source, indexes[source.name])
    if summary.contradictory:
        told.append(
            f"{_rows(summary.contradictory, 'repeats', 'repeat')} an earlier prompt with another "
            "completion. Where several answers are right this is as it should be."
        )
    if summary.shared:
        told.append(
            f"{_rows(summary.shared, 'is', 'are')} in an earlier source too. None is dropped for "
            "that, so that no source loses rows to another."
        )
    return told


def _of_source(source: SourceSummary, index: SourceIndex) -> Iterable[str]:
    dropped = source.read - source.kept
    if dropped > MOST_DROPPED * source.read:
        yield (
            f"{source.name}: {dropped:,} of {plural(source.read, 'row')} were dropped. See the "
            "reasons, and check the pattern."
        )
    if index.unseamed:
        yield (
            f"{source.name}: {_rows(index.unseamed, 'has', 'have')} no white space between prompt "
            "and completion; the model reads them joined. End the prompts with a newline or space."
        )
    for name, count in source.leaked.items():
        if count:
            yield (
                f"{source.name}: {_rows(count, 'was', 'were')} taken out of {name}, because the "
                "same prompts are held out elsewhere."
            )
    copies = source.repeated / source.rows["train"] if source.rows["train"] else 0
    if copies >= MOST_COPIES:
        yield (
            f"Each training row of {source.name} is repeated about {copies:.0f} times to match the "
            "largest source. The model may learn these rows by heart; more of them would help."
        )
    if not source.rows["train"]:
        yield f"No row of {source.name} trains: all of its prompts are held out elsewhere."
    if 0 < index.ungrouped < len(index):
        yield (
            f"{source.name}: {_rows(index.ungrouped, 'names', 'name')} no group. Such a row is "
            "grouped with the rows of the same prompt."
        )


def _rows(count: int, one: str, several: str) -> str:
    """The beginning of a sentence: ``1 row is``, ``2 rows are``."""
    return f"{plural(count, 'row')} {one if count == 1 else several}"


def with_lengths(summary: DataSummary) -> list[str]:
    """The notes, and one about rows that are cut off, if there are any."""
    told = [note for note in summary.notes if CUT_OFF not in note]
    tokens = summary.tokens
    if tokens and tokens.truncated:
        told.append(
            f"{tokens.truncated:.1%} of the rows {CUT_OFF}={tokens.max_length:,}; their "
            "completions lose their end. The longest row has "
            f"{tokens.longest:,} tokens: raise training.max_length, or lower data.max_chars."
        )
    return told
