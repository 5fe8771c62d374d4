"""Real snake games: the rules, the four heuristics, and a model that plays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from finetuning.data.game_log import completion, decision, prompt
from finetuning.data.game_reading import read_game, replay
from finetuning.data.snake_state import SnakeState
from finetuning.evaluation.rows import EvaluationRow
from finetuning.tasks.registry import load_task
from finetuning.tasks.snake import SnakeTask
from finetuning.tasks.snake_game import SnakeGame
from finetuning.tasks.snake_heuristics import HEURISTICS, cycle
from finetuning.tasks.task import Task
from probes.errors import InputError

SIZES = (8, 10, 12, 16, 20)


def played(heuristic: str, grid_size: int, seed: int) -> SnakeGame:
    game = SnakeGame(grid_size, seed)
    while game.end_reason is None:
        game.move(HEURISTICS[heuristic](game.state))
    return game


class Player:
    """A language model that reads the prompt and answers as a heuristic would, or otherwise."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        self.answer = answer
        self.batches: list[int] = []

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int) -> list[str]:
        self.batches.append(len(prompts))
        return [self.answer(prompt) for prompt in prompts]

    def nll(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int]]:
        raise NotImplementedError


def state_of(text: str) -> SnakeState:
    """The position that a prompt describes: what a model that understood it would know."""
    lines = dict(line.split(": ", 1) for line in text.splitlines()[1:-1])

    def cells(words: str) -> list[tuple[int, int]]:
        return [tuple(map(int, word.strip("(),").split(","))) for word in words.split()]  # type: ignore[misc]

    size = int(text.split(" grid", maxsplit=1)[0].rpartition("x")[2])
    body = (*cells(lines["Head"]), *cells(lines["Body"]))
    return SnakeState(size, body, cells(lines["Apple"].split(", ")[0])[0])


def rows_of(
    task: SnakeTask, model: Player, done: frozenset[str] = frozenset()
) -> dict[str, EvaluationRow]:
    return {row.item: row for row in task.evaluate(model, task.items(), done)}


@pytest.mark.parametrize("grid_size", SIZES)
def test_the_cycle_visits_every_cell_and_closes(grid_size: int) -> None:
    way = cycle(grid_size)
    assert len(set(way)) == grid_size**2
    steps = [abs(a[0] - b[0]) + abs(a[1] - b[1]) for a, b in zip(way, (*way[1:], way[0]))]
    assert set(steps) == {1}


@pytest.mark.parametrize(("grid_size", "games"), [(8, 12), (10, 4), (20, 1)])
def test_hamiltonian_always_wins(grid_size: int, games: int) -> None:
    for seed in range(games):
        game = played("hamiltonian", grid_size, seed)
        assert (game.end_reason, game.score) == ("won", grid_size**2 - 3)


@pytest.mark.parametrize("heuristic", ["bfs", "astar", "dfs"])
def test_a_heuristic_loses_only_where_no_move_is_left(heuristic: str) -> None:
    ends = Counter(played(heuristic, 8, seed).end_reason for seed in range(30))
    assert set(ends) <= {"trapped", "won", "starved"}
    assert ends["trapped"] > 20
    scores = [played(heuristic, 8, seed).score for seed in range(30)]
    assert 15 < sum(scores) / len(scores) < 30


def test_bfs_and_astar_walk_paths_of_the_same_length() -> None:
    """Without a long body in the way, both need as many moves as the apple is cells away."""
    for seed in range(20):
        game = SnakeGame(12, seed)
        assert game.state.apple is not None
        for name in ("bfs", "astar"):
            state, moves = game.state, 0
            while not state.eats(move := HEURISTICS[name](state)):
                state, moves = state.after(move), moves + 1
            (x, y), (ax, ay) = game.state.head, game.state.apple
            around_the_body = 2 * (moves + 1 > abs(x - ax) + abs(y - ay))
            assert moves + 1 == abs(x - ax) + abs(y - ay) + around_the_body


def test_a_seed_fixes_the_start_and_the_apples() -> None:
    one, other = played("bfs", 10, 7), played("bfs", 10, 7)
    assert (one.moves, one.apples, one.start) == (other.moves, other.apples, other.start)
    assert len({SnakeGame(10, seed).start for seed in range(20)}) > 15


def test_two_players_of_one_seed_meet_the_same_apples() -> None:
    pairs = [
        (a, b)
        for seed in range(10)
        for a, b in zip(played("bfs", 12, seed).apples[:6], played("astar", 12, seed).apples[:6])
    ]
    same = sum(a == b for a, b in pairs)
    assert same > 0.8 * len(pairs)  # another apple only where a body lies on the cell


def test_a_game_ends_by_patience() -> None:
    game = SnakeGame(8, 0, patience=5)
    while game.end_reason is None:
        away = [move for move in game.state.legal_moves() if not game.state.eats(move)]
        game.move(away[0])
    assert game.end_reason in ("starved", "trapped")
    assert len(game.moves) <= 5


def test_running_into_the_wall_ends_a_game() -> None:
    game = SnakeGame(8, 0)
    while game.end_reason is None:
        game.move(game.ahead)
    assert game.end_reason == "wall"
    with pytest.raises(ValueError, match="over"):
        game.move("UP")


@pytest.mark.parametrize("grid_size", [7, 21])
def test_a_grid_outside_8_to_20_is_refused(grid_size: int) -> None:
    with pytest.raises(InputError, match=f"grid_size={grid_size}"):
        SnakeGame(grid_size, 0)


def test_an_odd_grid_can_be_played_but_not_by_the_cycle() -> None:
    assert played("bfs", 9, 0).score > 5
    with pytest.raises(InputError, match="9x9"):
        HEURISTICS["hamiltonian"](SnakeGame(9, 0).state)


@pytest.mark.parametrize("heuristic", list(HEURISTICS))
def test_a_logged_game_is_replayed_to_the_same_moves(heuristic: str) -> None:
    game = played(heuristic, 8, 1)
    log = game.log(heuristic.upper(), 1).to_log()
    assert log["score"] == game.score
    result = replay(read_game(log))
    assert [decision(row.completion) for row in result.rows] == game.moves
    assert (result.skipped, result.illegal) == (0, 0)


@pytest.mark.parametrize("heuristic", ["bfs", "hamiltonian"])
def test_a_model_that_answers_as_the_heuristic_plays_as_the_heuristic(heuristic: str) -> None:
    model = Player(lambda text: completion(HEURISTICS[heuristic](state_of(text))))
    task = SnakeTask(games=4, heuristic=heuristic, concurrent=3)
    rows = rows_of(task, model)
    for item in task.items():
        game, values = played(heuristic, 8, item.seed), rows[item.name].values
        assert values["score"] == game.score
        assert values["steps"] == values["decisions"] == len(game.moves)
        assert values["win"] == (game.end_reason == "won")
        assert values["agreement"] == 1
        assert values["illegal_moves"] == 0
    assert max(model.batches) == 3


def test_an_answer_without_a_move_is_illegal_and_the_snake_goes_straight_on() -> None:
    rows = rows_of(SnakeTask(games=3), Player(lambda _: "I would rather not say."))
    for row in rows.values():
        assert row.values["illegal_moves"] == row.values["decisions"] == row.values["steps"]
        assert row.values["illegal_share"] == 1
        assert row.values["agreement"] == 0
        assert row.details["end_reason"] == "wall"
        assert row.details["illegal_answers"][0] == "none named: I would rather not say."


def test_a_reversal_is_illegal_and_the_snake_goes_straight_on() -> None:
    opposite = {(0, 1): "DOWN", (0, -1): "UP", (1, 0): "LEFT", (-1, 0): "RIGHT"}

    def back(text: str) -> str:
        head, neck = state_of(text).body[:2]
        return completion(opposite[head[0] - neck[0], head[1] - neck[1]])

    for row in rows_of(SnakeTask(games=3), Player(back)).values():
        assert row.values["illegal_share"] == 1
        assert row.details["end_reason"] == "wall"
        assert len(set(row.details["moves"])) == 1


def test_a_move_into_the_wall_is_played_and_counted() -> None:
    row = rows_of(SnakeTask(games=1), Player(lambda _: completion("UP"))).popitem()[1]
    assert row.details["end_reason"] in ("wall", "body")
    assert row.values["illegal_moves"] >= 1


def test_games_that_are_done_are_not_played_again() -> None:
    task = SnakeTask(games=5, grid_size=[8, 10])
    names = [item.name for item in task.items()]
    assert names[0] == "8x8-0"
    assert names[-1] == "10x10-4"
    done = frozenset(names[:7])
    assert set(rows_of(task, Player(lambda _: ""), done)) == set(names[7:])


def test_the_number_of_games_side_by_side_changes_no_game() -> None:
    model = Player(lambda text: completion(HEURISTICS["dfs"](state_of(text))))
    alone = rows_of(SnakeTask(games=4, concurrent=1), model)
    assert rows_of(SnakeTask(games=4, concurrent=4), model) == alone


def test_the_figures_are_those_of_the_rows() -> None:
    task = SnakeTask(games=6)
    model = Player(lambda text: completion(HEURISTICS["bfs"](state_of(text))))
    rows = list(rows_of(task, model).values())
    figures = {metric.name: metric.of(rows) for metric in task.metrics}
    games = [played("bfs", 8, seed) for seed in range(6)]
    assert figures["score"] == pytest.approx(sum(game.score for game in games) / 6)
    assert figures["win_rate"] == 0
    assert figures["decision_accuracy"] == 1
    assert figures["illegal_share"] == 0


def test_the_prompt_of_the_task_is_that_of_the_training_rows() -> None:
    seen: list[str] = []

    def note(text: str) -> str:
        seen.append(text)
        return completion(HEURISTICS["bfs"](state_of(text)))

    rows_of(SnakeTask(games=1, seed=9), Player(note))
    trained_on = replay(played("bfs", 8, 9).log("BFS", 9)).rows
    assert seen == [row.prompt for row in trained_on]
    assert seen[0] == prompt(SnakeGame(8, 9).state)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"games": 0}, "games=0"),
        ({"grid_size": 7}, "grid_size=7"),
        ({"grid_size": [8, 30]}, "8 to 20"),
        ({"heuristic": "bsf"}, "'bfs'"),
        ({"heuristic": "hamiltonian", "grid_size": 9}, "odd"),
        ({"patience": 0}, "patience=0"),
        ({"grids": 8}, "grid_size"),
    ],
)
def test_a_bad_option_is_named(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_task("snake", options)


def test_the_task_has_the_interface() -> None:
    assert isinstance(load_task("snake", {"games": 2}), Task)
