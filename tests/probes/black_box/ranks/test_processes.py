"""Which processes are ranks, of process trees that are made up after those of real launchers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from probes.black_box.ranks.processes import RankFinder

GUARDIAN = 1


@dataclass
class Facts:
    """By process id."""

    environs: dict[int, dict[str, str]] = field(default_factory=dict)
    programs: dict[int, list[str]] = field(default_factory=dict)
    sockets: dict[int, set[Any]] = field(default_factory=dict)

    def environ(self, pid: int) -> Mapping[str, str]:
        return self.environs.get(pid, {})

    def words(self, pid: int) -> list[str]:
        return self.programs.get(pid, ["python"])

    def started_s(self, pid: int) -> float:
        return float(-pid) if pid > 100 else float(pid)

    def connections(self, pid: int) -> set[Any]:
        return self.sockets.get(pid, set())


def numbered(*numbers: int, names: tuple[str, ...] = ("RANK", "LOCAL_RANK")) -> Facts:
    """Processes 10, 11 … with these ranks."""
    return Facts({10 + n: dict.fromkeys(names, str(rank)) for n, rank in enumerate(numbers)})


def test_ranks_of_torchrun_own_their_processes_and_the_launcher_owns_none() -> None:
    facts = numbered(0, 1)
    facts.environs[20] = facts.environs[21] = facts.environs[11]  # its data loaders
    finder = RankFinder(2, facts)
    owners = finder.assign({2: GUARDIAN, 10: 2, 11: 2, 20: 11, 21: 20})
    assert owners == {10: 0, 11: 1, 20: 1, 21: 1}
    assert (finder.found, finder.lost) == (2, [])


@pytest.mark.parametrize("name", ["LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"])
def test_other_launchers_name_the_number_otherwise(name: str) -> None:
    owners = RankFinder(2, numbered(0, 1, names=(name,))).assign({2: 1, 10: 2, 11: 2})
    assert owners == {10: 0, 11: 1}


def test_a_number_that_was_there_before_is_no_rank() -> None:
    facts = Facts({pid: {"SLURM_PROCID": "0", "RANK": "0"} for pid in (GUARDIAN, 2, 3)})
    finder = RankFinder(2, facts)
    assert finder.assign({2: GUARDIAN, 3: 2}) == {} and finder.found == 0


def test_lightning_trains_as_rank_0_in_the_process_that_starts_the_others() -> None:
    facts = Facts({11: {"LOCAL_RANK": "1"}, 12: {"LOCAL_RANK": "2"}})
    finder = RankFinder(3, facts)
    owners = finder.assign({2: GUARDIAN, 11: 2, 12: 2, 20: 2})
    assert owners == {2: 0, 11: 1, 12: 2, 20: 0}
    assert finder.found == 3


def test_a_launcher_does_not_become_rank_0_when_that_has_died() -> None:
    finder = RankFinder(2, numbered(0, 1))
    finder.assign({2: GUARDIAN, 10: 2, 11: 2})
    assert finder.assign({2: GUARDIAN, 11: 2}) == {11: 1}
    assert finder.lost == [0]


def test_a_rank_is_lost_although_its_launcher_has_not_noticed() -> None:
    facts = numbered(0, 1)
    finder = RankFinder(2, facts)
    finder.assign({2: GUARDIAN, 10: 2, 11: 2})
    facts.programs[11] = []  # it is a zombie
    finder.assign({2: GUARDIAN, 10: 2, 11: 2})
    assert finder.lost == [1]


def test_a_rank_that_was_started_again_is_not_lost() -> None:
    facts = numbered(0, 1)
    facts.environs[12] = facts.environs[10]
    finder = RankFinder(2, facts)
    finder.assign({2: GUARDIAN, 10: 2, 11: 2})
    assert finder.assign({2: GUARDIAN, 12: 2, 11: 2}) == {12: 0, 11: 1}
    assert finder.lost == []


def spawned(parent: int, *pids: int) -> Facts:
    """Processes of ``torch.multiprocessing.spawn``, and the tracker that it starts beside them."""
    facts = Facts(programs={parent: ["python", "train.py"], 5: ["python", "-c", "tracker"]})
    for pid in pids:
        facts.programs[pid] = ["python", "-c", "spawn_main()", "--multiprocessing-fork"]
    return facts


def test_spawned_ranks_are_numbered_by_their_start_once_all_are_connected() -> None:
    facts = spawned(2, 101, 102)
    finder = RankFinder(2, facts)
    parents = {2: GUARDIAN, 5: 2, 101: 2, 102: 2}
    facts.sockets[101] = {"a"}
    assert finder.assign(parents) == {}
    facts.sockets[102] = {"b"}
    assert finder.assign(parents) == {102: 0, 101: 1}  # 102 was started first
    assert finder.assign({2: GUARDIAN, 101: 2, 103: 101}) == {101: 1, 103: 1}
    assert (finder.found, finder.lost) == (2, [0])


def test_forked_ranks_have_connections_that_their_parent_has_not() -> None:
    facts = Facts(programs={pid: ["python", "train.py"] for pid in (2, 10, 11)})
    facts.sockets = {2: {"log"}, 10: {"log", "a"}, 11: {"log", "b"}}
    assert RankFinder(2, facts).assign({2: GUARDIAN, 10: 2, 11: 2}) == {10: 0, 11: 1}


def test_the_workers_of_a_data_loader_are_no_ranks() -> None:
    facts = Facts(programs={pid: ["python", "train.py"] for pid in (2, 10, 11)})
    facts.sockets = {pid: {"log"} for pid in (2, 10, 11)}
    finder = RankFinder(2, facts)
    assert finder.assign({2: GUARDIAN, 10: 2, 11: 2}) == {}
    assert finder.found == 0


def test_more_spawned_ranks_than_devices_are_counted_until_there_are_steps() -> None:
    facts = spawned(2, 10, 11, 12)
    facts.sockets = {10: {"a"}, 11: {"b"}}
    finder = RankFinder(2, facts)
    parents = {2: GUARDIAN, 10: 2, 11: 2, 12: 2}
    finder.assign(parents)
    facts.sockets[12] = {"c"}
    finder.assign(parents)
    assert finder.found == 3
    finder.settle()
    facts.sockets.clear()
    assert finder.assign(parents) == {10: 0, 11: 1}


@pytest.mark.parametrize(("sockets", "together"), [({10: {"a"}, 11: {"b"}}, True), ({}, False)])
def test_ranks_that_train_together_hold_connections(
    sockets: dict[int, set[Any]], together: bool
) -> None:
    facts = numbered(0, 1)
    facts.sockets = sockets
    finder = RankFinder(2, facts)
    finder.assign({2: GUARDIAN, 10: 2, 11: 2})
    assert finder.are_connected is None
    finder.settle()
    assert finder.are_connected is together


def test_of_ranks_that_have_died_it_is_not_known_whether_they_were_connected() -> None:
    finder = RankFinder(2, numbered(0, 1))
    finder.assign({2: GUARDIAN, 10: 2, 11: 2})
    finder.assign({2: GUARDIAN, 10: 2})
    finder.settle()
    assert finder.are_connected is None


def test_a_group_of_one_may_train_without_a_number() -> None:
    finder = RankFinder(1, Facts())
    assert finder.assign({2: GUARDIAN, 3: 2}) == {2: 0, 3: 0}
    assert RankFinder(1, numbered(0)).assign({2: GUARDIAN, 10: 2}) == {10: 0}
