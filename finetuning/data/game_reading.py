"""A game log of ours or of another program, read and turned into training rows.

Logs of other programs rarely say where the snake began. It is taken from
``detailed_history.initial_snake`` (head first) or from the first of ``dataset_game_states``; where
there is neither, the snake is one cell at (grid_size // 2, grid_size // 2), which is how the
programs start that leave it out. A wrong assumption is found out: the replay then runs into a wall
or the body, or eats another number of apples than the score says, and the game is rejected.

Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from finetuning.data.game_log import (
    DECISION,
    SKIPPED_MOVES,
    Game,
    GameLogError,
    completion,
    decision,
    prompt,
)
from finetuning.data.snake_state import Cell

DEFAULT_GRID_SIZE = 10
"""Of logs that name no grid size: the only size of the programs that leave it out."""


def is_game_log(value: Any) -> bool:
    """Whether a JSON value is a game log, right or wrong."""
    return isinstance(value, Mapping) and "detailed_history" in value


def read_game(log: Mapping[str, Any]) -> Game:
    """The game of a log. Raises ``GameLogError`` that names the field which is wrong."""
    history = log.get("detailed_history")
    if not isinstance(history, Mapping):
        raise GameLogError("detailed_history is missing or no table")
    apples, moves = history.get("apple_positions"), history.get("moves")
    if not isinstance(moves, list) or not all(isinstance(move, str) for move in moves):
        raise GameLogError("detailed_history.moves is missing or no list of texts")
    grid_size = _grid_size(log, apples if isinstance(apples, list) else [])
    cells = _cells(apples, "detailed_history.apple_positions", grid_size)
    info, metadata = log.get("heuristic_info"), log.get("metadata")
    algorithm = info.get("algorithm") if isinstance(info, Mapping) else None
    number = metadata.get("game_number") if isinstance(metadata, Mapping) else None
    explanations = _explanations(log, history, len(moves))
    return Game(
        grid_size=grid_size,
        start=_start(log, history, grid_size),
        apples=cells,
        moves=tuple(move.strip().upper() for move in moves),
        algorithm=str(algorithm or log.get("algorithm") or "UNKNOWN"),
        number=number if isinstance(number, int) else 0,
        end_reason=str(log.get("game_end_reason") or ""),
        explanations=explanations,
        score=_score(log),
    )


def _score(log: Mapping[str, Any]) -> int | None:
    score = log.get("score")
    return score if isinstance(score, int) and not isinstance(score, bool) else None


def _grid_size(log: Mapping[str, Any], apples: Sequence[Any]) -> int:
    places = [log, *(log.get(name) for name in ("heuristic_info", "metadata", "configuration"))]
    for place in places:
        size = place.get("grid_size") if isinstance(place, Mapping) else None
        if isinstance(size, int) and not isinstance(size, bool):
            if not 2 <= size <= 1000:
                raise GameLogError(f"grid_size is {size}; it must be from 2 to 1000")
            return size
    return DEFAULT_GRID_SIZE


def _cells(value: Any, name: str, grid_size: int) -> tuple[Cell, ...]:
    if not isinstance(value, list) or not value:
        raise GameLogError(f"{name} is missing or empty")
    cells = []
    for index, one in enumerate(value):
        pair = [one.get("x"), one.get("y")] if isinstance(one, Mapping) else one
        if not (isinstance(pair, list) and len(pair) == 2 and all(type(n) is int for n in pair)):
            raise GameLogError(f"{name}[{index}] is {one!r}; give x and y as whole numbers")
        if not all(0 <= n < grid_size for n in pair):
            raise GameLogError(
                f"{name}[{index}] is {one!r}, outside a {grid_size}x{grid_size} grid"
            )
        cells.append((pair[0], pair[1]))
    return tuple(cells)


def _start(log: Mapping[str, Any], history: Mapping[str, Any], grid_size: int) -> tuple[Cell, ...]:
    if history.get("initial_snake") is not None:
        return _cells(history["initial_snake"], "detailed_history.initial_snake", grid_size)
    states = log.get("dataset_game_states")
    numbers = [key for key in states if str(key).isdigit()] if isinstance(states, Mapping) else []
    if numbers and isinstance(states, Mapping):
        name = min(numbers, key=int)
        first = states[name] if isinstance(states[name], Mapping) else {}
        body = _cells(first.get("snake_positions"), f"dataset_game_states.{name}", grid_size)
        head = first.get("head_position")
        return body[::-1] if head == list(body[-1]) else body
    return ((grid_size // 2, grid_size // 2),)


def _explanations(
    log: Mapping[str, Any], history: Mapping[str, Any], moves: int
) -> tuple[str, ...]:
    """The explanations of a log, where it has exactly one text for each move."""
    texts = history.get("move_explanations", log.get("move_explanations"))
    if isinstance(texts, list) and len(texts) == moves and all(isinstance(t, str) for t in texts):
        return tuple(texts)
    return ()


# -- training rows ----------------------------------------------------------------------------


@dataclass(frozen=True)
class GameRow:
    """One move as a training row."""

    prompt: str
    completion: str
    move_index: int
    algorithm: str


@dataclass
class Replay:
    """What a game gave: its rows, and how many entries of its moves gave none."""

    rows: list[GameRow] = field(default_factory=list)
    skipped: int = 0
    """Entries in which the snake stood still."""
    illegal: int = 0
    """1 where the game was lost by its last move: no model should learn that move."""


def replay(game: Game) -> Replay:
    """The rows of a game. Raises ``GameLogError`` where the replay contradicts the log."""
    result = Replay()
    eaten = 0
    for index, state, move in game.positions():
        eaten += state.eats(move)
        reason = game.explanations[index] if game.explanations else ""
        text = reason if decision(reason) == move else completion(move, _unconcluded(reason))
        result.rows.append(GameRow(prompt(state), text, index, game.algorithm))
    made = sum(move not in SKIPPED_MOVES for move in game.moves)
    result.skipped = len(game.moves) - made
    result.illegal = made - len(result.rows)
    if game.score is not None and eaten != game.score:
        raise GameLogError(
            f"the replay eats {eaten} apples and the log's score is {game.score}: "
            "the log leaves out where the snake began, or its moves are incomplete"
        )
    return result


def _unconcluded(explanation: str) -> str:
    """An explanation without a conclusion that names another move."""
    return DECISION.sub("", explanation)
