"""A snake game that is really played: where it starts, where apples appear, and when it ends.

The rules of a single move are in ``finetuning.data.snake_state``. Standard library only.
"""

from __future__ import annotations

import random

from finetuning.data.game_log import Game
from finetuning.data.snake_state import STEPS, Cell, SnakeState
from finetuning.tasks.snake_heuristics import cycle
from probes.errors import InputError

GRID_SIZES = range(8, 21)
START_LENGTH = 3


class SnakeGame:
    """One game on a square grid, decided by its seed and the moves that are made.

    The snake starts with three cells along the Hamiltonian cycle (where the grid has one), at a
    place that the seed chooses. Apple k appears at the first free cell of an order of all cells
    that depends on the seed and k only: two players of one seed meet the same apples for as long as
    their bodies do not lie on them.

    A game ends when the board is full (``won``), at the wall (``wall``), in the snake (``body``),
    with no free cell around the head (``trapped``), or after ``patience`` moves without an apple
    (``starved``; by default as many as the grid has cells, which is what the cycle needs at most).

    Raises ``InputError`` for a grid size that is not from 8 to 20.
    """

    def __init__(self, grid_size: int, seed: int, patience: int | None = None) -> None:
        if grid_size not in GRID_SIZES:
            raise InputError(f"grid_size={grid_size}: give a size from 8 to 20.")
        self.grid_size, self.seed = grid_size, seed
        self.patience = grid_size**2 if patience is None else patience
        self.moves: list[str] = []
        self.apples: list[Cell] = []
        self.end_reason: str | None = None
        self._hungry = 0
        self.start = self._start()
        self.state = SnakeState(grid_size, self.start, None)
        self.state = SnakeState(grid_size, self.start, self._apple(self.start))

    @property
    def score(self) -> int:
        """Apples eaten."""
        return len(self.state.body) - START_LENGTH

    @property
    def ahead(self) -> str:
        """The move that goes straight on."""
        (x, y), (neck_x, neck_y) = self.state.body[:2]
        return next(move for move, step in STEPS.items() if step == (x - neck_x, y - neck_y))

    def move(self, move: str) -> None:
        """Make a move; an illegal one ends the game. A reversal counts as running into the body."""
        if self.end_reason is not None:
            raise ValueError("The game is over.")
        self.moves.append(move)
        objection = self.state.objection(move)
        if objection:
            self.end_reason = "wall" if objection == "wall" else "body"
            return
        eats = self.state.eats(move)
        body = (self.state.target(move), *self.state.body)
        self.state = self.state.after(move, self._apple(body) if eats else None)
        self._hungry = 0 if eats else self._hungry + 1
        if self.state.apple is None:
            self.end_reason = "won"
        elif not self.state.legal_moves():
            self.end_reason = "trapped"
        elif self._hungry >= self.patience:
            self.end_reason = "starved"

    def log(self, algorithm: str, number: int, explanations: tuple[str, ...] = ()) -> Game:
        """The game as it is logged."""
        return Game(
            grid_size=self.grid_size,
            start=self.start,
            apples=tuple(self.apples),
            moves=tuple(self.moves),
            algorithm=algorithm,
            number=number,
            end_reason=self.end_reason or "",
            explanations=explanations,
        )

    def _start(self) -> tuple[Cell, ...]:
        place = random.Random(f"{self.seed} start").randrange(self.grid_size**2)
        if self.grid_size % 2:
            row = place % self.grid_size
            return tuple((START_LENGTH - 1 - i, row) for i in range(START_LENGTH))
        way = cycle(self.grid_size)
        return tuple(way[place - i] for i in range(START_LENGTH))

    def _apple(self, body: tuple[Cell, ...]) -> Cell | None:
        """The next apple; none where the body fills the board."""
        cells = [(x, y) for x in range(self.grid_size) for y in range(self.grid_size)]
        random.Random(f"{self.seed} apple {len(self.apples)}").shuffle(cells)
        taken = set(body)
        apple = next((cell for cell in cells if cell not in taken), None)
        if apple is not None:
            self.apples.append(apple)
        return apple
