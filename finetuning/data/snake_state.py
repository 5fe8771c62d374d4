"""One position of a snake game, and the rules that lead to the next one. Standard library only.

The origin is bottom left: ``UP`` is y + 1, ``RIGHT`` is x + 1.
"""

from __future__ import annotations

from dataclasses import dataclass

Cell = tuple[int, int]

STEPS: dict[str, Cell] = {"UP": (0, 1), "DOWN": (0, -1), "LEFT": (-1, 0), "RIGHT": (1, 0)}
"""Every move, with the change of x and y."""
OPPOSITE = {"UP": "DOWN", "DOWN": "UP", "LEFT": "RIGHT", "RIGHT": "LEFT"}


@dataclass(frozen=True)
class SnakeState:
    """A position. ``body`` begins with the head, so ``len(body)`` is the snake's length."""

    grid_size: int
    body: tuple[Cell, ...]
    apple: Cell | None
    """None: the snake fills the board, and the game is won."""
    direction: str | None = None
    """The move that led here; None at the start of a game."""

    @property
    def head(self) -> Cell:
        """The cell of the head."""
        return self.body[0]

    def target(self, move: str) -> Cell:
        """The cell that the head would enter, on the board or not."""
        (x, y), (dx, dy) = self.head, STEPS[move]
        return x + dx, y + dy

    def objection(self, move: str) -> str | None:
        """Why a move is illegal: ``wall``, ``reversal`` or ``body``. None: it is legal.

        The tail's cell may be entered, since the tail moves on in the same step.
        """
        cell = self.target(move)
        if not (0 <= cell[0] < self.grid_size and 0 <= cell[1] < self.grid_size):
            return "wall"
        if len(self.body) > 1 and cell == self.body[1]:
            return "reversal"
        return "body" if cell in self.body[:-1] else None

    def legal_moves(self) -> list[str]:
        """The moves that neither leave the board nor enter the snake, in the order of ``STEPS``."""
        return [move for move in STEPS if self.objection(move) is None]

    def eats(self, move: str) -> bool:
        """Whether the move reaches the apple; the snake then grows by one cell."""
        return self.target(move) == self.apple

    def after(self, move: str, next_apple: Cell | None = None) -> SnakeState:
        """The position after a legal move. ``next_apple`` replaces an apple that is eaten.

        Raises ``ValueError`` for an illegal move.
        """
        objection = self.objection(move)
        if objection:
            raise ValueError(f"{move} from {self.head} runs into: {objection}")
        eats = self.eats(move)
        body = (self.target(move), *(self.body if eats else self.body[:-1]))
        return SnakeState(self.grid_size, body, next_apple if eats else self.apple, move)
