"""Let a heuristic play snake and log its games, one ``game_N.json`` each.

    python examples/snake/play.py --algorithm bfs --games 60 --grid 8 --seed 1000 --out logs/bfs

The logs are what ``tonnage finetune run --data bfs=logs/bfs`` reads. Game N is played with the seed
``--seed`` + N - 1; play with other seeds than those that a model will be evaluated on.
"""

from __future__ import annotations

import argparse
import json
import statistics
from datetime import datetime, timezone
from pathlib import Path

from finetuning.tasks.snake_game import SnakeGame
from finetuning.tasks.snake_heuristics import HEURISTICS


def play(algorithm: str, grid_size: int, seed: int) -> SnakeGame:
    """A game from its first move to its last."""
    game = SnakeGame(grid_size, seed)
    while game.end_reason is None:
        game.move(HEURISTICS[algorithm](game.state))
    return game


def write_games(algorithm: str, games: int, grid_size: int, seed: int, out: Path) -> list[int]:
    """Play and log games. Returns their scores."""
    out.mkdir(parents=True, exist_ok=True)
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    scores = []
    for number in range(1, games + 1):
        game = play(algorithm, grid_size, seed + number - 1)
        log = game.log(algorithm.upper(), number).to_log(timestamp=now)
        (out / f"game_{number}.json").write_text(json.dumps(log) + "\n", encoding="utf-8")
        scores.append(game.score)
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--algorithm", choices=list(HEURISTICS), required=True)
    parser.add_argument("--games", type=int, default=60)
    parser.add_argument("--grid", type=int, default=8, help="side of the grid, 8 to 20")
    parser.add_argument("--seed", type=int, default=1000, help="of the first game")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    scores = write_games(asked.algorithm, asked.games, asked.grid, asked.seed, asked.out)
    full = asked.grid**2 - 3
    print(
        f"{asked.algorithm}: {len(scores)} games in {asked.out}, mean score "
        f"{statistics.fmean(scores):.1f} of {full}, {sum(one == full for one in scores)} won"
    )


if __name__ == "__main__":
    main()
