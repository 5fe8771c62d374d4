"""Small sources, written by the tests."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import hypothesis

from finetuning.data.game_log import Game
from finetuning.data.snake_state import SnakeState
from finetuning.settings.model import FineTuningSettings, ModelSettings

FEW = hypothesis.settings(
    max_examples=40, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
"""Cheap, and patient on a busy machine."""


def settings(**changes: Any) -> FineTuningSettings:
    """Settings with names of ``data`` changed; ``seed`` is the training's."""
    seed = changes.pop("seed", 42)
    named = {f"data.{name}": value for name, value in changes.items()}
    plain = FineTuningSettings(model=ModelSettings(name="any"))
    return plain.changed({**named, "training.seed": seed})


def write_lines(path: Path, rows: Iterable[Any]) -> Path:
    """JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of a prepared split."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pairs(count: int, name: str = "a", **extra: Any) -> list[dict[str, Any]]:
    """Different rows of prompt and completion."""
    return [
        {"prompt": f"{name} {i}?\n", "completion": f"answer {i}", **extra} for i in range(count)
    ]


def random_game(seed: int, grid_size: int = 6, moves: int = 30, length: int = 3) -> Game:
    """A game of random legal moves, with entries in which the snake stands still."""
    rng = random.Random(seed)
    row = rng.randrange(grid_size)
    start = tuple((length - 1 - i, row) for i in range(length))

    def free(body: Iterable[tuple[int, int]]) -> tuple[int, int]:
        cells = [(x, y) for x in range(grid_size) for y in range(grid_size)]
        return rng.choice([cell for cell in cells if cell not in set(body)])

    apples = [free(start)]
    state, made = SnakeState(grid_size, start, apples[0]), []
    while len(made) < moves and (legal := state.legal_moves()):
        if rng.random() < 0.1:
            made.append(rng.choice(["EMPTY", "INVALID_REVERSAL", "NO_PATH_FOUND"]))
            continue
        move = rng.choice(legal)
        made.append(move)
        if state.eats(move):
            apples.append(free((state.target(move), *state.body)))
        state = state.after(move, apples[-1])
    return Game(grid_size, start, tuple(apples), tuple(made), "BFS", seed, "MAX_STEPS_REACHED")


def write_games(folder: Path, seeds: Iterable[int], **options: Any) -> Path:
    """A folder of game logs, numbered from 1."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds, 1):
        write_log(folder / f"game_{number}.json", random_game(seed, **options).to_log())
    return folder


def write_log(path: Path, log: Mapping[str, Any]) -> Path:
    """One log, indented as the programs write it."""
    path.write_text(json.dumps(log, indent=2), encoding="utf-8")
    return path
