"""The worked example: heuristics play snake, a model learns from their games, and plays itself.

    python examples/snake/run.py --output build/snake

1. BFS, A*, DFS and the Hamiltonian cycle play, and log their games.
2. A small Llama is built, with a tokenizer trained on the logs.
3. ``mixed``: it is trained on equal parts of the four players (all weights; the base of what
   follows).
4. ``lora`` and ``full``: ``mixed`` is fine-tuned on BFS alone, with adapters and with all weights.
5. The three answer the same held-out positions and play the same games, with seeds that no log has.
6. They are compared, with intervals and Holm's correction, in ``report/``.

Everything runs on the CPU, offline. What is done is kept: started again, it continues.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import transformers
from model import build_model
from play import write_games

from finetuning import FineTuning, compare, evaluate, presets
from finetuning.comparison.report import write
from finetuning.data.game_reading import read_game, replay
from finetuning.tasks.snake_heuristics import HEURISTICS

GRID = 8
LOGGED_GAMES = 60
LOG_SEED = 100_000
"""Far from the seeds that are played in the evaluation, which begin at 0."""
ALL_WEIGHTS: dict[str, Any] = {
    "training.learning_rate": 3e-3,
    "training.batch_size": 24,
    "training.effective_batch_size": 24,
    "training.eval_batch_size": 64,
    "training.max_length": 128,
    "reporting.logging_steps": 50,
    "reporting.eval_steps": 400,
    "reporting.save_steps": 400,
    "data.max_samples_per_source": 5000,
    "data.balance": "down",
    "data.eval_share": 0.02,
    "data.test_share": 0.1,
}
MIXED = {**ALL_WEIGHTS, "training.max_steps": 1100}
FULL = {
    **ALL_WEIGHTS,
    "training.max_steps": 300,
    "training.learning_rate": 1e-3,
    "data.test_share": 0.2,  # a test over games needs more than a handful of them
}
LORA = {**FULL, "training.learning_rate": 3e-3, "lora.r": 8, "lora.alpha": 16}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("build/snake"))
    parser.add_argument("--games", type=int, default=40, help="that each model plays")
    parser.add_argument("--rows", type=int, default=200, help="held-out positions to answer")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    out: Path = asked.output
    begin = time.monotonic()

    logs = {name: out / "logs" / name for name in HEURISTICS}
    for name, folder in logs.items():
        if not (folder / f"game_{LOGGED_GAMES}.json").is_file():
            scores = write_games(name, LOGGED_GAMES, GRID, LOG_SEED, folder)
            say(begin, f"{name} played {len(scores)} games, mean score {mean(scores):.1f}")
    model = out / "model"
    if not (model / "tokenizer.json").is_file():
        count = build_model(texts(logs), model)
        say(begin, f"built a model of {count:,} weights")

    device = asked.device
    mixed = train("full_small", model, MIXED, logs, out / "mixed", device, begin)
    bfs = {"bfs": logs["bfs"]}
    lora = train("quick_lora", mixed / "model", LORA, bfs, out / "lora", device, begin)
    full = train("full_small", mixed / "model", FULL, bfs, out / "full", device, begin)

    transformers.utils.logging.disable_progress_bar()
    options = {"snake": {"games": asked.games, "grid_size": GRID, "max_new_tokens": 8}}
    for run, baseline in ((lora, "base"), (full, None)):
        evaluate(
            run,
            ["language", "snake"],
            baseline,
            limit=max(asked.rows, asked.games),
            options=options,
            device=device,
            batch_size=64,
        )
        who = run.name if baseline is None else f"{run.name} and its base"
        say(begin, f"{who} answered positions and played {asked.games} games")

    base = lora / "baseline"
    comparison = compare(lora, full, baseline=base)
    write(comparison, out / "report")
    print()
    for run in (base, lora, full):
        print(figures(run))
    print()
    print("\n".join(comparison.sentences))
    print()
    say(begin, f"the report is in {out / 'report'}")


def train(
    preset: str,
    model: Path,
    changes: Mapping[str, Any],
    logs: Mapping[str, Path],
    output: Path,
    device: str,
    begin: float,
) -> Path:
    """Fine-tune a model on logs; what was done before is kept. Returns the run's folder."""
    outcome = FineTuning(
        settings=presets[preset].settings(str(model.resolve()), changes),
        data={name: str(folder) for name, folder in logs.items()},
        output=output,
        device=device,
        on_event=lambda event: tell(begin, output.name, event),
    ).run()
    if outcome.state.value != "done":
        raise SystemExit(f"{output}: {outcome.state.value}. {outcome.reason}")
    say(begin, f"{output.name}: trained on {', '.join(logs)}")
    return output


def tell(begin: float, name: str, event: Mapping[str, Any]) -> None:
    """Say what the run is doing: how it was fitted, and the loss every 100 steps."""
    if event["phase"] == "fit":
        say(begin, f"{name}: {event['line']}")
    elif "loss" in event and event["step"] % 100 == 0:
        say(begin, f"{name}: step {event['step']} of {event['of']}, loss {event['loss']:.3f}")


def texts(logs: Mapping[str, Path]) -> list[str]:
    """Prompts and completions of the first games of each heuristic, for the tokenizer."""
    found = []
    for folder in logs.values():
        for number in range(1, 6):
            log = json.loads((folder / f"game_{number}.json").read_text(encoding="utf-8"))
            found += [row.prompt + row.completion for row in replay(read_game(log)).rows]
    return found


def figures(run: Path) -> str:
    """One line: how a model played and answered, each figure with its 95 % interval."""
    parts = []
    for task, names in (
        ("snake", ("score", "win_rate", "decision_accuracy", "illegal_share")),
        ("language", ("exact_match", "perplexity")),
    ):
        summary = json.loads((run / "evaluation" / task / "summary.json").read_text())
        for name in names:
            one = summary["figures"][name]
            text = f"{one['value']:.3g}"
            if one["low"] is not None:
                text += f" [{one['low']:.3g}, {one['high']:.3g}]"
            parts.append(f"{name.replace('_', ' ')} {text}")
    return f"{run.name}: {'; '.join(parts)}"


def mean(values: list[int]) -> float:
    return sum(values) / len(values)


def say(begin: float, text: str) -> None:
    print(f"{time.monotonic() - begin:6.0f} s  {text}", flush=True)


if __name__ == "__main__":
    main()
