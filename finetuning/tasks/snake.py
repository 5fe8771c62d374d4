"""The task ``snake``: the model plays real games, and what it decides is compared with a heuristic.

Standard library only; the model is asked through ``LanguageModel``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from finetuning.data.game_log import decision, prompt
from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import EvaluationRow
from finetuning.tasks.snake_game import GRID_SIZES, SnakeGame
from finetuning.tasks.snake_heuristics import HEURISTICS
from finetuning.tasks.task import LanguageModel
from probes.errors import InputError
from probes.space import unknown_name

EXAMPLES_KEPT = 3
"""Answers that were no legal move which a row shows to a person."""

METRICS = (
    Metric("win_rate", "win", Direction.HIGHER, "Share of games in which the board was filled"),
    Metric("score", "score", Direction.HIGHER, "Apples eaten per game", unit="apples"),
    Metric("steps", "steps", Direction.HIGHER, "Moves made per game", unit="moves"),
    Metric(
        "decision_accuracy",
        "agreement",
        Direction.HIGHER,
        "Share of the model's answers that are the heuristic's move in the same position",
        weight="decisions",
    ),
    Metric(
        "illegal_share",
        "illegal_share",
        Direction.LOWER,
        "Share of the model's answers that name no move, reverse, or run into wall or body",
        weight="decisions",
    ),
    Metric("illegal_moves", "illegal_moves", Direction.LOWER, "Such answers per game"),
)


@dataclass(frozen=True)
class SnakeItem:
    """One game to be played: its grid and its seed."""

    name: str
    grid_size: int
    seed: int


@dataclass
class _Play:
    """A game in progress, and what is counted in it."""

    item: SnakeItem
    game: SnakeGame
    decisions: int = 0
    agreed: int = 0
    illegal: int = 0
    examples: list[str] = field(default_factory=list)


class SnakeTask:
    """Plays ``games`` games on each grid with seeds ``seed``, ``seed + 1``, …

    The seeds fix where the snake starts and where apples appear, so two models meet the same games.
    In each position the model reads the prompt that training rows have, and answers greedily. An
    answer that names no move, or reverses, is counted as illegal and the snake goes straight on.

    ``heuristic``: whose move counts as right for the decision accuracy. ``patience``: moves without
    an apple after which a game ends as ``starved`` (default: the number of cells).
    ``concurrent``: games that are played side by side, one batch of prompts per move. It changes
    the speed, not the games.

    Raises ``InputError`` for an option out of its range.
    """

    name = "snake"
    noun = "game"
    metrics: Sequence[Metric] = METRICS

    def __init__(
        self,
        *,
        games: int = 40,
        grid_size: int | Sequence[int] = 8,
        seed: int = 0,
        heuristic: str = "bfs",
        patience: int | None = None,
        concurrent: int = 32,
        max_new_tokens: int = 48,
    ) -> None:
        self.grid_sizes = (grid_size,) if isinstance(grid_size, int) else tuple(grid_size)
        wrong = [size for size in self.grid_sizes if size not in GRID_SIZES]
        if wrong or not self.grid_sizes:
            raise InputError(f"grid_size={grid_size}: give sizes from 8 to 20.")
        if heuristic not in HEURISTICS:
            raise InputError(unknown_name("heuristic", heuristic, HEURISTICS))
        if heuristic == "hamiltonian" and any(size % 2 for size in self.grid_sizes):
            raise InputError("heuristic=hamiltonian: an odd grid has no Hamiltonian cycle.")
        at_least_one = {"games": games, "concurrent": concurrent, "max_new_tokens": max_new_tokens}
        if patience is not None:
            at_least_one["patience"] = patience
        for option, value in at_least_one.items():
            if value < 1:
                raise InputError(f"{option}={value}: give at least 1.")
        self.games, self.seed, self.heuristic = games, seed, heuristic
        self.patience, self.concurrent, self.max_new_tokens = patience, concurrent, max_new_tokens

    def items(self) -> Sequence[SnakeItem]:
        """Every game, grid by grid, in the order of seeds."""
        seeds = range(self.seed, self.seed + self.games)
        return [
            SnakeItem(f"{size}x{size}-{seed}", size, seed)
            for size in self.grid_sizes
            for seed in seeds
        ]

    def evaluate(
        self,
        model: LanguageModel,
        items: Sequence[SnakeItem],
        done: frozenset[str] = frozenset(),
    ) -> Iterator[EvaluationRow]:
        """One row per game that is not in ``done``, as each game ends."""
        waiting = deque(item for item in items if item.name not in done)
        playing: list[_Play] = []
        while waiting or playing:
            while waiting and len(playing) < self.concurrent:
                item = waiting.popleft()
                playing.append(_Play(item, SnakeGame(item.grid_size, item.seed, self.patience)))
            asked = [prompt(play.game.state) for play in playing]
            answers = model.generate(asked, max_new_tokens=self.max_new_tokens)
            for play, answer in zip(playing, answers):
                self._decide(play, answer)
            yield from (self._row(play) for play in playing if play.game.end_reason)
            playing = [play for play in playing if not play.game.end_reason]

    def _decide(self, play: _Play, answer: str) -> None:
        game, move = play.game, decision(answer)
        objection = "none named" if move is None else game.state.objection(move)
        play.decisions += 1
        play.agreed += move == HEURISTICS[self.heuristic](game.state)
        if objection:
            play.illegal += 1
            if len(play.examples) < EXAMPLES_KEPT:
                play.examples.append(f"{objection}: {answer}")
        harmless = move is None or objection == "reversal"
        game.move(game.ahead if move is None or harmless else move)

    def _row(self, play: _Play) -> EvaluationRow:
        game, decisions = play.game, play.decisions
        size = f"{game.grid_size}x{game.grid_size}"
        return EvaluationRow(
            task=self.name,
            item=play.item.name,
            group=play.item.name,
            source=size,
            values={
                "win": float(game.end_reason == "won"),
                "score": float(game.score),
                "steps": float(len(game.moves)),
                "decisions": float(decisions),
                "agreement": play.agreed / decisions,
                "illegal_moves": float(play.illegal),
                "illegal_share": play.illegal / decisions,
            },
            details={
                "seed": game.seed,
                "grid_size": game.grid_size,
                "heuristic": self.heuristic,
                "end_reason": game.end_reason,
                "moves": "".join(move[0] for move in game.moves),
                "illegal_answers": play.examples,
            },
        )
