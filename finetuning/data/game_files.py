"""The rows of game log files. A log that is no game, or contradicts itself, is rejected whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from finetuning.data.game_log import GameLogError
from finetuning.data.game_reading import read_game, replay
from finetuning.data.rows import Rejected, SourceRow
from finetuning.data.table_reading import Advance, Item, lines
from probes.errors import InputError

NO_GAME = "game rejected"
STOOD_STILL = "no move was made"
LOSING_MOVE = "move lost the game"


def read_games(paths: Sequence[Path], advance: Advance) -> Iterator[Item]:
    """One row per move that was made; the group is the game.

    Raises ``InputError`` where none of the logs is a game, or a file is not UTF-8.
    """
    names: set[str] = set()
    first: Rejected | None = None
    good = False
    for path in paths:
        text = "".join(lines(path, advance))
        try:
            rows = list(_rows_of(path, text, names))
        except (GameLogError, ValueError, RecursionError) as error:
            rejected = Rejected(NO_GAME, str(path), str(error))
            first = first or rejected
            yield rejected
            continue
        good = True
        yield from rows
    if first is not None and not good:
        raise InputError(f"{first.place} is not a game that can be replayed: {first.text}.")


def _rows_of(path: Path, text: str, names: set[str]) -> Iterator[Item]:
    log = json.loads(text)
    if not isinstance(log, dict):
        raise GameLogError("it is not a table of names and values")
    result = replay(read_game(log))
    group = _unique(f"{path.parent.name}/{path.stem}", names)
    for row in result.rows:
        yield SourceRow(row.prompt, row.completion, group, f"{path}, move {row.move_index}")
    if result.skipped:
        yield Rejected(STOOD_STILL, str(path), "", result.skipped)
    if result.illegal:
        yield Rejected(LOSING_MOVE, str(path), "into a wall or the snake", result.illegal)


def _unique(name: str, names: set[str]) -> str:
    """Two folders of one name, in different places, hold different games."""
    number, unique = 1, name
    while unique in names:
        number += 1
        unique = f"{name}~{number}"
    names.add(unique)
    return unique
