"""Snake positions, their prompts, and game logs of this and other programs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetuning.data.game_log import Game, GameLogError, completion, decision, prompt
from finetuning.data.game_reading import read_game, replay
from finetuning.data.snake_state import STEPS, SnakeState
from tests.finetuning.data.helpers import FEW, random_game

STATE = SnakeState(8, ((5, 5), (5, 4), (4, 4)), (2, 7))
GAME = Game(8, ((3, 3), (2, 3)), ((5, 3), (5, 5), (0, 0)), ("RIGHT", "RIGHT", "UP", "UP", "LEFT"))


def foreign_log(moves: list[str], apples: list[tuple[int, int]], **fields: object) -> dict:
    """As other programs write it: nothing says where the snake begins."""
    history = {"apple_positions": [{"x": x, "y": y} for x, y in apples], "moves": moves}
    return {
        "score": 0,
        "heuristic_info": {"algorithm": "ASTAR"},
        "detailed_history": history,
    } | fields


def test_up_is_y_plus_1_and_the_origin_is_bottom_left():
    assert STATE.target("UP") == (5, 6)
    assert STATE.after("LEFT").body == ((4, 5), (5, 5), (5, 4))


def test_wall_body_and_reversal_are_illegal_and_the_tail_s_cell_is_not():
    assert SnakeState(4, ((0, 0),), (3, 3)).objection("LEFT") == "wall"
    assert STATE.objection("DOWN") == "reversal"
    square = SnakeState(4, ((0, 0), (1, 0), (1, 1), (0, 1)), (3, 3))
    assert square.objection("UP") is None
    longer = SnakeState(4, ((0, 0), (1, 0), (1, 1), (0, 1), (0, 2)), (3, 3))
    assert longer.objection("UP") == "body"
    with pytest.raises(ValueError, match="wall"):
        square.after("LEFT")


def test_a_snake_of_two_cells_cannot_turn_on_the_spot_and_one_of_one_cell_can():
    assert SnakeState(4, ((1, 1), (2, 1)), (0, 0)).objection("RIGHT") == "reversal"
    assert SnakeState(4, ((1, 1),), (0, 0), "LEFT").objection("RIGHT") is None


def test_the_prompt_holds_grid_head_apple_body_and_length():
    text = prompt(STATE)
    for part in ("8x8", "Head: (5,5)", "Apple: (2,7)", "Body: (5,4) (4,4)", "Length: 3"):
        assert part in text
    assert "3 LEFT and 2 UP" in text
    assert "Free: UP, LEFT, RIGHT" in text


def test_a_completion_ends_with_the_conclusion_that_decision_reads():
    assert completion("UP", "The way is free.").endswith("\nConclusion: The move is: UP")
    assert decision(completion("LEFT", "Not Conclusion: The move is: UP")) == "LEFT"
    assert decision("conclusion missing") is None
    assert decision("Conclusion: The move is: JUMP") is None
    assert decision("Conclusion: The move is: down.") == "DOWN"


@FEW
@given(st.integers(0, 10_000), st.sampled_from([4, 6, 10]), st.integers(1, 3))
def test_a_written_game_reads_back_as_it_was(seed: int, grid_size: int, length: int):
    game = random_game(seed, grid_size, length=length)
    again = read_game(game.to_log())
    assert (again.start, again.apples, again.moves) == (game.start, game.apples, game.moves)
    assert again.score == again.eaten() == game.eaten()


@FEW
@given(st.integers(0, 10_000))
def test_every_row_of_a_game_teaches_a_move_that_is_free(seed: int):
    result = replay(read_game(random_game(seed).to_log()))
    for row in result.rows:
        free = row.prompt.partition("Free: ")[2].partition("\n")[0].split(", ")
        assert decision(row.completion) in free


def test_moves_in_which_the_snake_stood_still_are_skipped():
    still = ("EMPTY", "INVALID_REVERSAL", "SOMETHING_IS_WRONG", "NO_PATH_FOUND")
    moves = [move for pair in zip(still, GAME.moves) for move in pair]
    result = replay(read_game(GAME.to_log() | {"detailed_history": _history(moves)}))
    assert [decision(row.completion) for row in result.rows] == list(GAME.moves[:4])
    assert [row.move_index for row in result.rows] == [1, 3, 5, 7]
    assert result.skipped == 4


def _history(moves: list[str]) -> dict:
    return GAME.to_log()["detailed_history"] | {"moves": moves}


def test_the_move_that_lost_the_game_is_not_taught():
    game = Game(4, ((3, 0),), ((0, 0),), ("UP", "RIGHT"), end_reason="WALL")
    result = replay(read_game(game.to_log()))
    assert [decision(row.completion) for row in result.rows] == ["UP"]
    assert result.illegal == 1


@pytest.mark.parametrize("move", ["LEFT", "JUMP"])
def test_a_game_that_goes_on_after_an_illegal_move_is_rejected(move: str):
    with pytest.raises(GameLogError, match="move 1"):
        replay(read_game(GAME.to_log() | {"detailed_history": _history(["RIGHT", move, "UP"])}))


def test_without_a_start_the_snake_is_one_cell_in_the_middle():
    game = read_game(foreign_log(["UP", "LEFT"], [(5, 6), (0, 0)], score=1))
    assert (game.grid_size, game.start, game.algorithm) == (10, ((5, 5),), "ASTAR")
    rows = replay(game).rows
    assert "Head: (5,6)" in rows[1].prompt and "Length: 2" in rows[1].prompt


def test_a_start_that_does_not_explain_the_score_is_found_out():
    with pytest.raises(GameLogError, match="score is 3"):
        replay(read_game(foreign_log(["UP", "LEFT"], [(9, 9), (0, 0)], score=3)))


def test_the_start_is_taken_from_recorded_states_whichever_end_their_head_is_at():
    states = {"1": {"head_position": [3, 1], "snake_positions": [[1, 1], [2, 1], [3, 1]]}}
    log = foreign_log(["UP"], [(9, 9)], dataset_game_states=states)
    assert read_game(log).start == ((3, 1), (2, 1), (1, 1))
    states["1"]["head_position"] = [1, 1]
    assert read_game(log).start == ((1, 1), (2, 1), (3, 1))


def test_explanations_of_a_log_come_before_the_conclusion():
    log = foreign_log(["UP"], [(9, 9)], move_explanations=["Up is shorter."])
    (row,) = replay(read_game(log)).rows
    assert row.completion == "Up is shorter.\nConclusion: The move is: UP"


def test_an_explanation_that_concludes_otherwise_does_not_decide():
    log = foreign_log(["UP"], [(9, 9)], move_explanations=["Conclusion: The move is: LEFT"])
    (row,) = replay(read_game(log)).rows
    assert decision(row.completion) == "UP" and "LEFT" not in row.completion


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"detailed_history": None}, "detailed_history"),
        ({"detailed_history": {"apple_positions": [{"x": 1, "y": 1}]}}, "moves"),
        ({"detailed_history": {"moves": ["UP"]}}, "apple_positions"),
        ({"detailed_history": {"moves": ["UP"], "apple_positions": [{"x": 1}]}}, "apple_positions"),
        ({"grid_size": 3}, "3x3"),
        ({"grid_size": 0}, "grid_size"),
    ],
)
def test_a_wrong_field_is_named(change: dict, named: str):
    with pytest.raises(GameLogError, match=named):
        read_game(GAME.to_log() | change)


def test_all_moves_are_known():
    assert set(STEPS) == {"UP", "DOWN", "LEFT", "RIGHT"}
