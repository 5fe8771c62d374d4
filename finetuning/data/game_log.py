"""A snake game as a log file ``game_N.json``, as and as a series of positions.

The log's fields are those of the snake systems that write such files::

    score, steps, snake_length, game_over, game_end_reason, round_count, grid_size,
    heuristic_info {algorithm}, metadata {timestamp, game_number},
    detailed_history {apple_positions [{x, y}], moves, rounds_data, initial_snake [{x, y}]}

``game_reading`` reads them, those of other programs too.

Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from finetuning.data.snake_state import STEPS, Cell, SnakeState

SKIPPED_MOVES = frozenset({"INVALID_REVERSAL", "EMPTY", "SOMETHING_IS_WRONG", "NO_PATH_FOUND"})
"""Entries of ``moves`` that record a round in which the snake stood still."""
CONCLUSION = "Conclusion: The move is: "
DECISION = re.compile(r"Conclusion:\s*The move is:\s*([A-Za-z]+)")


class GameLogError(ValueError):
    """A log that is no game: a field is missing, or the replay contradicts what the log says."""


# -- the text that a model reads and writes ---------------------------------------------------


def prompt(state: SnakeState) -> str:
    """What a model is asked in a position.

    It holds the grid, head, apple, body and length, and two facts that follow from them: where the
    apple lies as seen from the head, and which moves are free.
    """
    body = " ".join(cell_text(cell) for cell in state.body[1:]) or "none"
    free = ", ".join(state.legal_moves()) or "none"
    return (
        f"Snake on a {state.grid_size}x{state.grid_size} grid. (0,0) is bottom left, UP is y+1.\n"
        f"Head: {cell_text(state.head)}\n"
        f"Apple: {cell_text(state.apple) if state.apple else 'none'}{_bearing(state)}\n"
        f"Body: {body}\n"
        f"Length: {len(state.body)}\n"
        f"Free: {free}\n"
        "Which move is next: UP, DOWN, LEFT or RIGHT?\n"
    )


def completion(move: str, explanation: str = "") -> str:
    """What a model is taught to answer: an explanation if there is one, then the conclusion."""
    reason = explanation.strip()
    return (f"{reason}\n" if reason else "") + CONCLUSION + move


def decision(answer: str) -> str | None:
    """The move that an answer concludes with. None where it names none of the four moves."""
    found = DECISION.findall(answer)
    move = found[-1].upper() if found else None
    return move if move in STEPS else None


def cell_text(cell: Cell) -> str:
    return f"({cell[0]},{cell[1]})"


def _bearing(state: SnakeState) -> str:
    if state.apple is None:
        return ""
    dx, dy = state.apple[0] - state.head[0], state.apple[1] - state.head[1]
    parts = [f"{abs(dx)} {'RIGHT' if dx > 0 else 'LEFT'}"] if dx else []
    parts += [f"{abs(dy)} {'UP' if dy > 0 else 'DOWN'}"] if dy else []
    return f", {' and '.join(parts)} of the head" if parts else ""


# -- a game, from its log and back ------------------------------------------------------------


@dataclass(frozen=True)
class Game:
    """All that is needed to play a game again, move by move."""

    grid_size: int
    start: tuple[Cell, ...]
    """The snake before the first move, head first."""
    apples: tuple[Cell, ...]
    """In order of appearance; each but the last was eaten, and the last too if the game was won."""
    moves: tuple[str, ...]
    """Every entry of the log, those of ``SKIPPED_MOVES`` included."""
    algorithm: str = "UNKNOWN"
    number: int = 0
    end_reason: str = ""
    explanations: tuple[str, ...] = ()
    """One per entry of ``moves``, or none at all."""
    score: int | None = None
    """As the log states it; None where it does not."""

    def positions(self) -> Iterator[tuple[int, SnakeState, str]]:
        """Each move that was made: its index in ``moves``, the position before it, the move.

        Raises ``GameLogError`` at an unknown or illegal move, except that the last move of a game
        may be the one it was lost by: it is then left out.
        """
        apples = iter(self.apples)
        state = SnakeState(self.grid_size, self.start, next(apples, None))
        last = max((i for i, move in enumerate(self.moves) if move not in SKIPPED_MOVES), default=0)
        for index, move in enumerate(self.moves):
            if move in SKIPPED_MOVES:
                continue
            if move not in STEPS:
                raise GameLogError(f"move {index} is {move!r}, which is not a move")
            if state.apple is None:
                raise GameLogError(f"move {index} follows the last apple that the log names")
            objection = state.objection(move)
            if objection and index == last:
                return
            if objection:
                raise GameLogError(
                    f"move {index} ({move} from {cell_text(state.head)}) runs into: {objection}"
                )
            yield index, state, move
            state = state.after(move, next(apples, None) if state.eats(move) else None)

    def eaten(self) -> int:
        """How many apples the replay eats. Raises ``GameLogError`` as ``positions`` does."""
        return sum(state.eats(move) for _, state, move in self.positions())

    def to_log(self, timestamp: str = "") -> dict[str, Any]:
        """The log of this game, ready for ``json.dump`` into ``game_N.json``."""
        score = self.eaten()
        steps = sum(move not in SKIPPED_MOVES for move in self.moves)
        history: dict[str, Any] = {
            "apple_positions": [{"x": x, "y": y} for x, y in self.apples],
            "moves": list(self.moves),
            "rounds_data": {},
            "initial_snake": [{"x": x, "y": y} for x, y in self.start],
        }
        if self.explanations:
            history["move_explanations"] = list(self.explanations)
        return {
            "score": score,
            "steps": steps,
            "snake_length": len(self.start) + score,
            "game_over": True,
            "game_end_reason": self.end_reason,
            "round_count": len(self.apples),
            "grid_size": self.grid_size,
            "heuristic_info": {"algorithm": self.algorithm},
            "metadata": {"timestamp": timestamp, "game_number": self.number},
            "detailed_history": history,
        }
