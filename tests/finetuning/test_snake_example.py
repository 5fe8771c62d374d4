"""The parts of the snake example: logs that the data reader takes, and a model that is built."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from finetuning.data.game_log import decision
from finetuning.data.game_reading import read_game, replay

EXAMPLE = Path(__file__).parents[2] / "examples" / "snake"


def part(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"snake_example_{name}", EXAMPLE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_logs_games_that_can_be_replayed(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            str(EXAMPLE / "play.py"),
            *("--algorithm", "hamiltonian", "--games", "2", "--grid", "8", "--seed", "5"),
            *("--out", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(EXAMPLE.parents[1])},
    )
    assert "2 won" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["game_1.json", "game_2.json"]
    for path in tmp_path.iterdir():
        log = json.loads(path.read_text())
        assert log["score"] == 61
        assert log["heuristic_info"]["algorithm"] == "HAMILTONIAN"
        rows = replay(read_game(log)).rows
        assert len(rows) == log["steps"] == len(log["detailed_history"]["moves"])


def test_games_of_other_seeds_are_other_games(tmp_path: Path) -> None:
    play = part("play")
    assert play.write_games("bfs", 2, 8, 1, tmp_path) == play.write_games("bfs", 2, 8, 1, tmp_path)
    one, two = (read_game(json.loads(path.read_text())) for path in sorted(tmp_path.iterdir()))
    assert one.start != two.start


def test_the_built_model_has_one_token_per_cell_and_a_pad_token_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    play = part("play")
    play.write_games("bfs", 2, 8, 1, tmp_path / "logs")
    log = json.loads((tmp_path / "logs" / "game_1.json").read_text())
    texts = [row.prompt + row.completion for row in replay(read_game(log)).rows]
    count = part("model").build_model(texts, tmp_path / "model")
    assert 200_000 < count < 400_000
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert max(len(tokenizer(text)["input_ids"]) for text in texts) < 120
    for text in texts[:5]:
        back = tokenizer.decode(tokenizer(text)["input_ids"], clean_up_tokenization_spaces=False)
        assert back == text
        assert decision(back) is not None
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert model.config.max_position_embeddings >= 256
