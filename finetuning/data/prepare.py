"""From sources to ``data/``: read, clean, limit, split, balance, shuffle, write.

Everything is written to a folder of its own, which is renamed when it is complete: a kill at any
point leaves nothing that looks prepared, and the next call starts over.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finetuning.data import differences, notes
from finetuning.data.balance import Balanced, balance, sample_groups
from finetuning.data.card import write_card
from finetuning.data.cleaning import Drops, clean
from finetuning.data.fingerprint import Inputs, inputs_of, sha256_of
from finetuning.data.game_files import read_games
from finetuning.data.prepared_folder import (
    FOLDER,
    is_current,
    kept,
    move_into_place,
    own_folder,
    prepared,
    refuse_other_contents,
    remove_leftovers,
)
from finetuning.data.progress import OnProgress, Progress
from finetuning.data.row_store import RowStore, SourceIndex
from finetuning.data.sources import Kind, Source, SourceFiles, find_files
from finetuning.data.split import EVAL, SPLITS, TEST, TRAIN, Split, split
from finetuning.data.summary import DataSummary, SourceSummary, SplitFile, read_summary
from finetuning.data.table_reading import Item, read_table
from finetuning.data.tokens import COUNTED_ROWS, token_lengths, tokenizer_name
from finetuning.settings.fields import to_plain
from finetuning.settings.model import DataSettings, FineTuningSettings
from probes.errors import InputError


def prepare(
    sources: Sequence[Source],
    settings: FineTuningSettings,
    out: Path,
    on_progress: OnProgress | None = None,
    *,
    tokenizer: Any = None,
    overwrite: bool = False,
    keep: bool = False,
) -> DataSummary:
    """Prepare ``out/data`` for a fine-tuning, or return what was prepared there before.

    The folder is used as it is where it was made from the same files, data settings and seed. With
    a ``tokenizer`` the card also states lengths in tokens. ``overwrite`` replaces data that was
    prepared from others; anything else in ``out/data`` is never removed. ``keep`` uses what was
    prepared, with a note, though its sources have changed since or are gone.

    Raises ``InputError`` for sources that cannot be read, for splits that cannot be filled, and
    where ``out/data`` holds something else.
    """
    progress = Progress(on_progress)
    folder = out / FOLDER
    remove_leftovers(out)
    summary = kept(folder, settings) if keep else None
    since = [] if summary is None else _changes_since(summary, sources, settings, progress)
    if summary is None:
        summary = _prepared(sources, settings, folder, progress, overwrite)
    if tokenizer is not None:
        summary = _with_lengths(summary, tokenizer, settings.training.max_length, progress)
    progress.finish()
    return replace(summary, notes=(*summary.notes, *since))


def _changes_since(
    summary: DataSummary,
    sources: Sequence[Source],
    settings: FineTuningSettings,
    progress: Progress,
) -> list[str]:
    """What a person should know of the sources of rows that are kept."""
    try:
        found = [find_files(source) for source in sources]
        inputs = inputs_of(found, settings.data, settings.training.seed, progress)
    except InputError as error:
        return [f"{error} The run goes on with the rows that were prepared before."]
    if inputs.key == summary.fingerprint:
        return []
    return [
        f"{text[0].upper()}{text[1:]} since the rows were prepared. The run goes on with the rows "
        "as they were."
        for text in differences.of_sources(summary, inputs.sources) or [differences.SOME_SOURCE]
    ]


def _prepared(
    sources: Sequence[Source],
    settings: FineTuningSettings,
    folder: Path,
    progress: Progress,
    overwrite: bool,
) -> DataSummary:
    """What these sources give: as it was prepared before, or made now."""
    found = [find_files(source) for source in sources]
    if not found:
        raise InputError("No data was given. Name at least one source: --data NAME=PATH.")
    inputs = inputs_of(found, settings.data, settings.training.seed, progress)
    if overwrite:
        refuse_other_contents(folder)
    outdated = overwrite and not is_current(folder, inputs.key)
    summary = None if outdated else prepared(folder, inputs, settings)
    if summary is not None:
        return summary
    try:
        _make(sources, found, settings, folder, inputs, progress, overwrite)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return replace(read_summary(folder), reused=False)


# -- making it --------------------------------------------------------------------------------


def _make(
    sources: Sequence[Source],
    found: Sequence[SourceFiles],
    settings: FineTuningSettings,
    folder: Path,
    inputs: Inputs,
    progress: Progress,
    overwrite: bool,
) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = own_folder(folder.parent)
    try:
        _fill(sources, found, settings, partial, inputs, progress)
        move_into_place(partial, folder, inputs.key, overwrite)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _fill(
    sources: Sequence[Source],
    found: Sequence[SourceFiles],
    settings: FineTuningSettings,
    partial: Path,
    inputs: Inputs,
    progress: Progress,
) -> None:
    data, seed = settings.data, settings.training.seed
    progress.phase("reading", sum(file.stat().st_size for one in found for file in one.files()))
    with RowStore(partial / "rows") as store:
        readings = [_Reading(one, data, store, progress) for one in found]
        indexes = [reading.index for reading in readings]
        some = {index.name: _limited(index, data.max_samples_per_source, seed) for index in indexes}
        divided = split(indexes, some, data, seed)
        balanced = balance(indexes, divided.rows[TRAIN], data.balance, seed)
        rows = {name: divided.rows[name] for name in (EVAL, TEST)}
        rows[TRAIN] = {name: list(one.rows) for name, one in balanced.items()}
        progress.phase("writing", sum(len(some) for one in rows.values() for some in one.values()))
        files = {}
        for name in SPLITS:
            offsets = [at for index in indexes for at in _offsets(index, rows[name][index.name])]
            random.Random(f"shuffle/{seed}/{name}").shuffle(offsets)
            files[name] = _write(partial / f"{name}.jsonl", store, offsets, progress)
    store.path.unlink()
    summary = DataSummary(
        fingerprint=inputs.key,
        seed=seed,
        settings=to_plain(data),
        sources=tuple(
            replace(
                _summary_of(
                    source, reading, len(some[source.name]), divided, balanced[source.name]
                ),
                sha256=inputs.sources[source.name],
            )
            for source, reading in zip(sources, readings)
        ),
        splits=files,
        contradictory=notes.contradictory(indexes),
        shared=notes.shared(indexes),
        notes=(),
    )
    examples = {reading.index.name: reading.index for reading in readings}
    told = notes.of(
        summary, [note for one in found for note in one.notes] + divided.notes, examples
    )
    write_card(partial, replace(summary, notes=tuple(told)))


class _Reading:
    """A source that has been read and cleaned into the store."""

    def __init__(
        self, files: SourceFiles, settings: DataSettings, store: RowStore, progress: Progress
    ) -> None:
        self.files = files
        self.drops = Drops()
        self.taken: dict[str, None] = {}
        self.index = SourceIndex(files.name)
        writer = store.writer(self.index)
        for row in clean(self._items(progress), settings, self.drops):
            writer.add(row)
        if not len(self.index):
            dropped = ", ".join(f"{reason}: {n:,}" for reason, n in self.drops.counts.items())
            raise InputError(
                f"The data source {files.name} has no row that can be used ({dropped or 'empty'})."
                f"{self._first_dropped()}"
            )

    def _first_dropped(self) -> str:
        """The first row that was dropped, as a sentence; empty without one."""
        if not self.drops.examples:
            return ""
        first = next(iter(self.drops.examples.values()))[0]
        return f" {first.place}: {first.text.rstrip('.')}."

    def _items(self, progress: Progress) -> Iterator[Item]:
        if self.files.kind is Kind.GAMES:
            yield from read_games(self.files.paths, progress.advance)
            return
        for path in self.files.paths:
            yield from read_table(path, self.files.kind, progress.advance, self._take)

    def _take(self, text: str) -> None:
        self.taken[text] = None


def _limited(index: SourceIndex, limit: int | None, seed: int) -> list[int]:
    everything = range(len(index))
    if limit is None:
        return list(everything)
    rng = random.Random(f"limit/{seed}/{index.name}")
    return sample_groups(index, everything, limit, rng, exact=False)


def _offsets(index: SourceIndex, positions: Sequence[int]) -> list[int]:
    return [index.offsets[position] for position in positions]


def _write(path: Path, store: RowStore, offsets: Sequence[int], progress: Progress) -> SplitFile:
    """Write the rows at these offsets; a copy of a row gets an id of its own (``bfs-7#2``)."""
    copies: dict[int, int] = {}
    with path.open("wb") as file:
        for offset in offsets:
            line = store.line(offset)
            copies[offset] = number = copies.get(offset, 0) + 1
            if number > 1:
                row = json.loads(line)
                row["id"] += f"#{number}"
                line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
            file.write(line)
            progress.advance()
        file.flush()
        os.fsync(file.fileno())
        size_bytes = file.tell()
    return SplitFile(len(offsets), size_bytes, sha256_of(path))


def _summary_of(
    source: Source, reading: _Reading, limited: int, divided: Split, balanced: Balanced
) -> SourceSummary:
    name, drops, kept = source.name, reading.drops, len(reading.index)
    rows = {one: len(divided.rows[one][name]) for one in SPLITS}
    return SourceSummary(
        name=name,
        patterns=source.patterns,
        kind=reading.files.kind.value,
        files=len(reading.files.paths),
        taken=tuple(reading.taken),
        read=kept + sum(drops.counts.values()),
        kept=kept,
        dropped=dict(drops.counts),
        examples={
            reason: [{"place": one.place, "text": one.text} for one in some]
            for reason, some in drops.examples.items()
        },
        over_limit=kept - limited,
        leaked={
            one: sum(source_name == name for source_name, _ in rows_out)
            for one, rows_out in divided.leaked.items()
        },
        groups={one: divided.groups[one][name] for one in SPLITS},
        rows=rows,
        left_out=balanced.left_out,
        repeated=balanced.repeated,
    )


def _with_lengths(
    summary: DataSummary, tokenizer: Any, max_length: int, progress: Progress
) -> DataSummary:
    before = summary.tokens
    name = tokenizer_name(tokenizer)
    if before and (before.tokenizer, before.max_length) == (name, max_length):
        return summary
    paths = [summary.path(one) for one in SPLITS if summary.splits[one].rows]
    counted = [min(COUNTED_ROWS, summary.splits[one].rows) for one in SPLITS]
    progress.phase("counting tokens", sum(counted))
    summary = replace(summary, tokens=token_lengths(paths, tokenizer, max_length, progress))
    summary = replace(summary, notes=tuple(notes.with_lengths(summary)))
    write_card(summary.folder, summary)
    return summary
