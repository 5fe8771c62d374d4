"""Four players that need no learning. Each chooses a move by the position alone.

``bfs`` walks the shortest path to the apple, ``astar`` finds one of the same length with fewer
cells looked at and other choices among equals, ``dfs`` the first path that it meets when it always
tries the cell nearest to the apple first, ``hamiltonian`` the fixed way over all cells, which wins
every game. Where there is no path, the first three make the move that leaves the most room.

Standard library only.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from functools import lru_cache

from finetuning.data.snake_state import STEPS, Cell, SnakeState
from probes.errors import InputError

Heuristic = Callable[[SnakeState], str]
Parents = dict[Cell, Cell]


def bfs(state: SnakeState) -> str:
    """The first move of the shortest path to the apple."""
    parents: Parents = {}
    around = _neighbours(state)
    queue, seen = deque([state.head]), {state.head}
    while queue:
        cell = queue.popleft()
        if cell == state.apple:
            break
        for near in around(cell):
            if near not in seen:
                seen.add(near)
                parents[near] = cell
                queue.append(near)
    return _first_move(state, parents)


def astar(state: SnakeState) -> str:
    """The first move of a shortest path, looked for in the direction of the apple."""
    parents: Parents = {}
    around = _neighbours(state)
    cost = {state.head: 0}
    heap = [(_distance(state.head, state), 0, state.head)]
    while heap:
        _, _, cell = heapq.heappop(heap)
        if cell == state.apple:
            break
        for near in around(cell):
            if near not in cost or cost[cell] + 1 < cost[near]:
                cost[near] = cost[cell] + 1
                parents[near] = cell
                left = _distance(near, state)
                heapq.heappush(heap, (cost[near] + left, left, near))
    return _first_move(state, parents)


def dfs(state: SnakeState) -> str:
    """The first move of the path that a depth-first search meets first."""
    parents: Parents = {}
    around = _neighbours(state)
    stack, seen = [(state.head, state.head)], set()
    while stack:
        cell, parent = stack.pop()
        if cell in seen:
            continue
        seen.add(cell)
        if cell != state.head:
            parents[cell] = parent
        if cell == state.apple:
            break
        nearest_last = sorted(around(cell), key=lambda near: -_distance(near, state))
        stack.extend((near, cell) for near in nearest_last)
    return _first_move(state, parents)


def hamiltonian(state: SnakeState) -> str:
    """The next move along the cycle. Raises ``InputError`` on an odd grid, which has none."""
    following = _following(state.grid_size)[state.head]
    return next(move for move in STEPS if state.target(move) == following)


HEURISTICS: dict[str, Heuristic] = {
    "bfs": bfs,
    "astar": astar,
    "dfs": dfs,
    "hamiltonian": hamiltonian,
}


@lru_cache
def cycle(grid_size: int) -> tuple[Cell, ...]:
    """A way over all cells of an even grid that ends beside its first cell.

    Column 0 leads down; the other columns are walked row by row, to and fro, from the bottom up.
    Raises ``InputError`` for an odd grid size.
    """
    if grid_size % 2:
        raise InputError(
            f"A {grid_size}x{grid_size} grid has no Hamiltonian cycle; give an even size."
        )
    way: list[Cell] = []
    for y in range(grid_size):
        row = [(x, y) for x in range(1, grid_size)]
        way += row if y % 2 == 0 else row[::-1]
    return (*way, *((0, y) for y in reversed(range(grid_size))))


@lru_cache
def _following(grid_size: int) -> dict[Cell, Cell]:
    way = cycle(grid_size)
    return dict(zip(way, (*way[1:], way[0])))


def _neighbours(state: SnakeState) -> Callable[[Cell], list[Cell]]:
    """Gives the cells beside one that are free once the tail has moved on."""
    size, taken = range(state.grid_size), frozenset(state.body[:-1])

    def around(cell: Cell) -> list[Cell]:
        near = ((cell[0] + dx, cell[1] + dy) for dx, dy in STEPS.values())
        return [one for one in near if one[0] in size and one[1] in size and one not in taken]

    return around


def _distance(cell: Cell, state: SnakeState) -> int:
    apple = state.apple or cell
    return abs(cell[0] - apple[0]) + abs(cell[1] - apple[1])


def _first_move(state: SnakeState, parents: Parents) -> str:
    """The move that the path to the apple begins with; without one, the roomiest move."""
    cell = state.apple
    if cell is None or cell not in parents:
        return _roomiest(state)
    while parents[cell] != state.head:
        cell = parents[cell]
    return next(move for move in STEPS if state.target(move) == cell)


def _roomiest(state: SnakeState) -> str:
    legal = state.legal_moves()
    if not legal:
        return "UP"  # every move ends the game
    return max(legal, key=lambda move: _room(state.target(move), state))


def _room(start: Cell, state: SnakeState) -> int:
    around = _neighbours(state)
    stack, seen = [start], {start}
    while stack:
        for near in around(stack.pop()):
            if near not in seen:
                seen.add(near)
                stack.append(near)
    return len(seen)
