"""Reading molecules, their neighbour lists and their batches."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from probes.errors import InputError
from probes.workloads.molecules import (
    ATOM_COST,
    MAX_NEIGHBOURS,
    Molecule,
    MoleculeSet,
    load,
    neighbours,
)

ase = pytest.importorskip("ase")
pytest.importorskip("vesin")
from ase.calculators.singlepoint import SinglePointCalculator  # noqa: E402
from ase.io import write  # noqa: E402


def cluster(atoms: int, seed: int = 0, spacing: float = 1.9) -> Tensor:
    """Positions of a dense blob without symmetry, [N, 3], Å."""
    generator = torch.Generator().manual_seed(seed)
    side = torch.arange(round(atoms ** (1 / 3)) + 1) * spacing
    grid = torch.cartesian_prod(side, side, side)
    grid = grid[torch.randperm(len(grid), generator=generator)[:atoms]]
    return grid + 0.3 * torch.randn(atoms, 3, generator=generator)


def brute_force(pos: Tensor, cutoff: float, cap: int = MAX_NEIGHBOURS) -> set[tuple[int, int]]:
    """Edges (source, target) by looking at every pair; the ``cap`` nearest, self included."""
    distance = torch.cdist(pos.double(), pos.double())
    edges = set()
    for target, row in enumerate(distance.tolist()):
        near = sorted((d, source) for source, d in enumerate(row) if d < cutoff)
        edges |= {(source, target) for _, source in near[:cap]}
    return edges


def pairs(edge_index: Tensor) -> set[tuple[int, int]]:
    source, target = edge_index.tolist()
    return set(zip(source, target, strict=True))


def structure(atoms: int, **extra: Any) -> Any:
    return ase.Atoms(f"C{atoms}", positions=cluster(atoms).numpy(), **extra)


def g2() -> MoleculeSet:
    return MoleculeSet(load("g2").molecules, cutoff=5.0)


# --- neighbour lists --------------------------------------------------------------------------


@pytest.mark.parametrize("cutoff", [2.5, 5.0])
def test_neighbours_equal_a_brute_force_radius_graph(cutoff: float) -> None:
    pos = cluster(90)
    edge_index = neighbours(pos, cutoff)
    assert pairs(edge_index) == brute_force(pos, cutoff)
    assert edge_index.shape[1] == len(pairs(edge_index)), "an edge is listed twice"


def test_no_atom_receives_more_edges_than_radius_graph_gives_it() -> None:
    incoming = neighbours(cluster(200), cutoff=5.0)[1].bincount()
    assert incoming.max() == MAX_NEIGHBOURS


def test_every_atom_has_one_self_loop_even_when_alone() -> None:
    assert neighbours(torch.zeros(1, 3), cutoff=5.0).tolist() == [[0], [0]]
    source, target = neighbours(cluster(50), cutoff=5.0)
    assert (source == target).sum() == 50


def test_atoms_at_the_same_place_get_no_edge_because_it_has_no_direction() -> None:
    pos = torch.tensor([[0.0, 0, 0], [0.0, 0, 0], [1.0, 0, 0]])
    assert pairs(neighbours(pos, cutoff=5.0)) == brute_force(pos, 5.0) - {(0, 1), (1, 0)}


# --- G2 ---------------------------------------------------------------------------------------


def test_g2_has_162_species_with_enthalpies_in_ev() -> None:
    loaded = load("g2")
    assert len(loaded.molecules) == 162
    assert loaded.notes == []
    methane = next(m for m in loaded.molecules if m.z.tolist() == [6, 1, 1, 1, 1])
    assert methane.energy == pytest.approx(-17.9 * 0.0433641, rel=1e-5)


def test_targets_are_standardised() -> None:
    y = g2().collate(torch.arange(162)).y
    assert y.mean().item() == pytest.approx(0, abs=1e-5)
    assert y.std(correction=0).item() == pytest.approx(1, rel=1e-5)


def test_a_g2_entry_without_enthalpy_is_kept_and_not_a_target(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ase.data import g2 as source

    monkeypatch.setitem(source.data, "CH4", {**source.data["CH4"], "enthalpy": None})
    loaded = load("g2")
    assert len(loaded.molecules) == 162
    assert "1 of 162" in loaded.notes[0]
    batch = MoleculeSet(loaded.molecules, cutoff=5.0).collate(torch.arange(162))
    assert batch.weight.sum() == 161
    assert batch.y[batch.weight == 0].tolist() == [0.0]


# --- files ------------------------------------------------------------------------------------


def test_every_frame_of_an_extxyz_is_a_molecule_with_its_energy(tmp_path: Path) -> None:
    frames = []
    for atoms, energy in ((4, -1.5), (9, -7.25), (6, 3.0)):
        frame = structure(atoms)
        frame.calc = SinglePointCalculator(frame, energy=energy)
        frames.append(frame)
    write(tmp_path / "frames@1.extxyz", frames)

    loaded = load(str(tmp_path / "frames@1.extxyz"))

    assert [len(m.z) for m in loaded.molecules] == [4, 9, 6]
    assert [m.energy for m in loaded.molecules] == [-1.5, -7.25, 3.0]
    assert loaded.notes == []


def test_an_energy_under_another_name_is_found(tmp_path: Path) -> None:
    frame = structure(3)
    frame.info["REF_energy"] = -2.5
    write(tmp_path / "one.extxyz", frame)
    assert load(str(tmp_path / "one.extxyz")).molecules[0].energy == -2.5


def test_no_energies_give_zero_targets_that_count_and_a_note(tmp_path: Path) -> None:
    write(tmp_path / "plain.xyz", [structure(5), structure(7)])
    loaded = load(str(tmp_path / "plain.xyz"))
    batch = MoleculeSet(loaded.molecules, cutoff=5.0).collate(torch.arange(2))
    assert batch.y.tolist() == [0, 0]
    assert batch.weight.tolist() == [1, 1]
    assert "no energies" in loaded.notes[0]


def test_a_pdb_is_cut_to_the_atoms_nearest_to_its_centre_of_mass(tmp_path: Path) -> None:
    protein = structure(300)
    write(tmp_path / "pocket.pdb", protein)
    whole = load(str(tmp_path / "pocket.pdb")).molecules[0]
    loaded = load(str(tmp_path / "pocket.pdb"), max_atoms=120)
    (pocket,) = loaded.molecules

    distance = (whole.pos - whole.pos.mean(0)).norm(dim=1)
    expected = distance.argsort()[:120].sort().values
    assert torch.equal(pocket.pos, whole.pos[expected])
    assert any("max_atoms=120 cut 1 of 1" in note for note in loaded.notes)


def test_a_cut_structure_loses_its_energy() -> None:
    molecules = load("g2", max_atoms=5).molecules
    assert max(len(m.z) for m in molecules) == 5
    small = [m for m in load("g2").molecules if len(m.z) <= 5]
    assert sum(m.energy is not None for m in molecules) == len(small)


def test_a_periodic_structure_says_that_its_images_are_left_out(tmp_path: Path) -> None:
    write(tmp_path / "cell.extxyz", structure(8, cell=[4, 4, 4], pbc=True))
    assert any("periodic" in note for note in load(str(tmp_path / "cell.extxyz")).notes)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("broken.xyz", "not a\nstructure\n", "could not read"),
        ("empty.extxyz", "", "Check that the file is complete|no structure"),
        ("noatoms.extxyz", "0\n\n", "no atoms"),
        ("nan.xyz", "1\n\nC nan 0 0\n", "finite"),
        ("picture.png", "PNG", "could not read"),
    ],
)
def test_a_file_that_is_not_molecules_is_refused(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said):
        load(str(tmp_path / name))


def test_a_missing_file_is_named_with_its_full_path() -> None:
    with pytest.raises(InputError, match=r"there is no file /.*nowhere\.pdb.*'g2'"):
        load("nowhere.pdb")


# --- batches ----------------------------------------------------------------------------------


def test_collation_shifts_each_molecule_s_edges_to_its_own_atoms() -> None:
    molecules = [Molecule(torch.full((n,), 6), cluster(n, seed=n), float(n)) for n in (3, 40, 1)]
    batch = MoleculeSet(molecules, cutoff=5.0).collate(torch.tensor([2, 1, 1, 0]))

    assert batch.molecules == 4
    assert batch.molecule.bincount().tolist() == [1, 40, 40, 3]
    expected = set()
    first = 0
    for index in (2, 1, 1, 0):
        edges = brute_force(molecules[index].pos, 5.0)
        expected |= {(source + first, target + first) for source, target in edges}
        first += len(molecules[index].z)
    assert pairs(batch.edge_index) == expected
    assert torch.equal(batch.pos[1:41], molecules[1].pos)


@pytest.mark.parametrize("batch_size", [1, 7, 100, 162, 163, 500])
def test_every_batch_has_exactly_the_size_asked_for_and_the_first_is_the_worst(
    batch_size: int,
) -> None:
    first, *others = itertools.islice(g2().batches(batch_size, seed=0), 30)
    for batch in others:
        assert batch.molecules == len(batch.y) == batch_size
        assert demand(batch) <= demand(first)


def demand(batch: Any) -> int:
    return int(batch.edge_index.shape[1] + ATOM_COST * len(batch.z))


def test_the_first_batch_holds_the_molecules_with_the_most_edges() -> None:
    dataset = g2()
    first = next(dataset.batches(10, seed=0))
    assert first.edge_index.shape[1] == dataset.edges.sort(descending=True).values[:10].sum()


def test_a_batch_larger_than_the_data_holds_every_molecule() -> None:
    first, second = itertools.islice(g2().batches(400, seed=0), 2)
    for batch in (first, second):
        copies = batch.y.unique(return_counts=True)[1]
        assert len(copies) == len(g2().collate(torch.arange(162)).y.unique())
        assert copies.min() >= 2


def test_an_epoch_shows_no_molecule_twice() -> None:
    dataset = g2()
    batches = itertools.islice(dataset.batches(81, seed=3), 1, 3)
    seen = torch.cat([batch.pos for batch in batches])
    assert len(seen) == dataset.atoms.sum()


def test_the_seed_decides_the_order() -> None:
    def atoms(seed: int) -> list[list[int]]:
        return [b.z.tolist() for b in itertools.islice(g2().batches(8, seed=seed), 1, 5)]

    assert atoms(1) == atoms(1)
    assert atoms(1) != atoms(2)


def test_moving_a_batch_leaves_the_original() -> None:
    batch = next(g2().batches(2, seed=0))
    moved = batch.to("meta")
    assert moved.pos.device.type == moved.edge_index.device.type == "meta"
    assert batch.pos.device.type == "cpu"
    assert moved.molecules == 2
