"""Molecules read with ASE, their neighbour lists, and batches that are cheap to collate.

Importable without the ``molecules`` extra (ase, vesin, torch_geometric); what needs one of them
imports it when called. Runs in the user's interpreter: Python 3.10 syntax, torch and the extra.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from probes.errors import InputError
from probes.workloads.epochs import every_sample, shuffled
from probes.workloads.extras import Extra

EXTRA = Extra("visnet", "molecules", ("ase", "vesin", "torch_geometric"))

MAX_NEIGHBOURS = 32
"""Edges that end at one atom, its self-loop included: the default of PyG's ViSNet."""

MAX_ATOMIC_NUMBER = 99
"""The largest element that ViSNet's embedding of 100 rows can hold."""

ATOM_COST = 2
"""What one atom adds to the memory of a training step, counted in edges.

Bytes saved for the backward pass, PyG 2.8, lmax 2, float32: 1 layer of 16 channels 1,992 per edge
and 6,394 per atom; 4 layers of 64 channels 51,635 and 74,227. The ratio is 3.2 and 1.4. The order
hardly depends on it, because a molecule with more atoms has many more edges.
"""

ENERGY_KEYS = ("energy", "free_energy", "ref_energy", "total_energy")
"""Where files keep a total energy, most trusted first; letter case is ignored."""


@dataclass(frozen=True)
class Molecule:
    """One structure. N atoms; periodic images are not part of it."""

    z: Tensor
    """Atomic numbers, [N], int64."""
    pos: Tensor
    """Positions in Å, [N, 3], float32."""
    energy: float | None
    """The energy to learn (eV for G2, the file's unit otherwise), or ``None``."""


@dataclass(frozen=True)
class LoadedMolecules:
    """What a data source holds, and what a person should know about it."""

    molecules: list[Molecule]
    notes: list[str]


@dataclass(frozen=True)
class MoleculeBatch:
    """B molecules as one graph of N atoms and E edges. Ask for a copy elsewhere with ``to``."""

    z: Tensor
    """Atomic numbers, [N], int64."""
    pos: Tensor
    """Positions in Å, [N, 3], float32."""
    molecule: Tensor
    """Which molecule of the batch an atom belongs to, [N], int64, ascending."""
    edge_index: Tensor
    """Source and target atom of every edge, [2, E], int64."""
    y: Tensor
    """Standardised energies, [B], float32; 0 where there is none."""
    weight: Tensor
    """1 where ``y`` is a target, 0 where the source has no energy, [B], float32."""
    molecules: int
    """B."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> MoleculeBatch:
        """The same batch on ``device``; this one stays where it is."""
        return MoleculeBatch(
            z=self.z.to(device, non_blocking=non_blocking),
            pos=self.pos.to(device, non_blocking=non_blocking),
            molecule=self.molecule.to(device, non_blocking=non_blocking),
            edge_index=self.edge_index.to(device, non_blocking=non_blocking),
            y=self.y.to(device, non_blocking=non_blocking),
            weight=self.weight.to(device, non_blocking=non_blocking),
            molecules=self.molecules,
        )


def load(data: str, max_atoms: int | None = None) -> LoadedMolecules:
    """The molecules of ``data``: ``"g2"``, or a file that ASE reads (every frame is a molecule).

    ``max_atoms`` cuts each larger structure down to the atoms nearest to its centre of mass. A
    ball has the density of the bulk, so its atoms have at least as many neighbours as those of
    any other piece of that size, and memory is not underestimated. The energy of the whole is not
    the energy of a piece, so a cut structure has none.

    Raises ``InputError`` for a file that is missing, unreadable or not made of molecules.
    """
    structures = _g2() if data == "g2" else _read(data)
    molecules: list[Molecule] = []
    cut = periodic = 0
    for number, (whole, known) in enumerate(structures):
        atoms, energy = whole, known
        where = f"data={data!r}, structure {number}"
        if max_atoms is not None and len(atoms) > max_atoms:
            atoms, energy = _centre(atoms, max_atoms), None
            cut += 1
        periodic += bool(any(atoms.pbc))
        molecules.append(_molecule(atoms, energy, where))
    return LoadedMolecules(molecules, _notes(molecules, cut, periodic, max_atoms))


def neighbours(pos: Tensor, cutoff: float, max_neighbours: int = MAX_NEIGHBOURS) -> Tensor:
    """Edges between atoms closer than ``cutoff`` (Å), [2, E] int64: source row 0, target row 1.

    The graph of ViSNet's ``Distance`` (``radius_graph`` with ``loop=True``): every atom has a
    self-loop, which counts among the at most ``max_neighbours`` edges that end at it. Where
    there are more, ``radius_graph`` keeps whichever it meets first; here the nearest are kept.
    Atoms at the same place get no edge, because it would have no direction (NaN).
    """
    import numpy as np

    points = pos.double().numpy()
    target, source, distance = (
        EXTRA.require("vesin")
        .NeighborList(cutoff=cutoff, full_list=True)
        .compute(points=points, box=np.zeros((3, 3)), periodic=False, quantities="ijd")
    )
    target, source = target.astype(np.int64), source.astype(np.int64)

    order = np.lexsort((source, distance, target))
    target, source, distance = target[order], source[order], distance[order]
    inside = (distance > 0) & (distance < cutoff)
    target, source = target[inside], source[inside]

    first = np.searchsorted(target, target, side="left")
    near = np.arange(len(target)) - first < max_neighbours - 1
    loops = np.arange(len(points))
    edges = np.stack([np.concatenate([loops, source[near]]), np.concatenate([loops, target[near]])])
    return torch.from_numpy(edges)


class MoleculeSet:
    """Molecules with their neighbour lists, laid out flat so that a batch is four gathers.

    ``demand`` ([M], int64) is the memory a molecule asks of a training step, in edges:
    edges + ``ATOM_COST`` x atoms. Energies are standardised over the molecules that have one;
    when none has, every target is 0 with weight 1, so that a step costs what it would cost.
    """

    def __init__(self, molecules: Sequence[Molecule], cutoff: float) -> None:
        edges = [neighbours(molecule.pos, cutoff) for molecule in molecules]
        self.atoms = torch.tensor([len(molecule.z) for molecule in molecules])
        self.edges = torch.tensor([edge.shape[1] for edge in edges])
        self.demand = self.edges + ATOM_COST * self.atoms
        self._first_atom = self.atoms.cumsum(0) - self.atoms
        self._first_edge = self.edges.cumsum(0) - self.edges
        self._z = torch.cat([molecule.z for molecule in molecules])
        self._pos = torch.cat([molecule.pos for molecule in molecules])
        self._edge_index = torch.cat(edges, dim=1)
        self._y, self._weight = _targets([molecule.energy for molecule in molecules])

    def __len__(self) -> int:
        return len(self.atoms)

    def collate(self, indices: Tensor) -> MoleculeBatch:
        """The molecules at ``indices`` ([B], repeats allowed) as one batch, in that order."""
        atoms, edges = self.atoms[indices], self.edges[indices]
        atom = _ranges(self._first_atom[indices], atoms)
        edge = _ranges(self._first_edge[indices], edges)
        shift = (atoms.cumsum(0) - atoms).repeat_interleave(edges)
        return MoleculeBatch(
            z=self._z[atom],
            pos=self._pos[atom],
            molecule=torch.arange(len(indices)).repeat_interleave(atoms),
            edge_index=self._edge_index[:, edge] + shift,
            y=self._y[indices],
            weight=self._weight[indices],
            molecules=len(indices),
        )

    def batches(self, batch_size: int, seed: int) -> Iterator[MoleculeBatch]:
        """Endless batches of exactly ``batch_size``; none asks for more memory than the first.

        The first holds the most demanding molecules. The others are shuffled epochs without the
        last, partial batch. A batch larger than the set holds every molecule equally often, plus
        a random draw without repetition to fill it; the first, plus the most demanding.
        """
        everything, rest = every_sample(len(self), batch_size)
        largest_first = torch.argsort(self.demand, descending=True, stable=True)
        generator = torch.Generator().manual_seed(seed)

        yield self.collate(torch.cat([everything, largest_first[:rest]]))
        for order in shuffled(len(self), batch_size, generator):
            yield self.collate(order)


def _g2() -> list[tuple[Any, float | None]]:
    """ASE's 162 G2 species with their experimental enthalpy of formation in eV.

    ASE lists kcal/mol, at 298 K for molecules and at 0 K for the 14 single atoms. Sources:
    Staroverov et al., J. Chem. Phys. 119, 12129 (2003); Curtiss et al., 106, 1063 (1997).
    """
    ase, units = EXTRA.require("ase"), EXTRA.require("ase.units")
    to_ev = units.kcal / units.mol
    return [
        (
            ase.Atoms(entry["symbols"], positions=entry["positions"]),
            None if entry.get("enthalpy") is None else entry["enthalpy"] * to_ev,
        )
        for entry in EXTRA.require("ase.data.g2").data.values()
    ]


def _read(data: str) -> list[tuple[Any, float | None]]:
    path = Path(data).expanduser()
    if not path.is_file():
        raise InputError(
            f"data={data!r}: there is no file {path.absolute()}. Give --option data= the path of "
            "a structure file (pdb, xyz, extxyz, cif, ...), or 'g2' for the molecules ASE ships."
        )
    reader = EXTRA.require("ase.io")
    try:
        frames = reader.read(path, index=":", do_not_split_by_at_sign=True)
    except Exception as error:
        # ASE's readers raise whatever their parsing code meets, so no narrower class exists.
        raise InputError(
            f"data={data!r}: ASE could not read it ({type(error).__name__}: {error}). Check that "
            "the file is complete and that its extension names its format; `ase info --formats` "
            "lists the formats."
        ) from error
    if not frames:
        raise InputError(f"data={data!r}: ASE found no structure in it. Give a file with atoms.")
    return [(atoms, _energy(atoms)) for atoms in frames]


def _energy(atoms: Any) -> float | None:
    """The energy a file carries for a structure; it is read, never computed."""
    results = atoms.calc.results if atoms.calc is not None else {}
    for source in (results, atoms.info):
        found = {str(key).lower(): value for key, value in source.items()}
        for key in ENERGY_KEYS:
            try:
                energy = float(found[key])
            except (KeyError, TypeError, ValueError):
                continue
            if math.isfinite(energy):
                return energy
    return None


def _centre(atoms: Any, max_atoms: int) -> Any:
    import numpy as np

    distance = np.linalg.norm(atoms.positions - atoms.get_center_of_mass(), axis=1)
    return atoms[np.sort(np.argsort(distance, kind="stable")[:max_atoms])]


def _molecule(atoms: Any, energy: float | None, where: str) -> Molecule:
    z = torch.as_tensor(atoms.numbers, dtype=torch.int64)
    pos = torch.as_tensor(atoms.positions, dtype=torch.float32)
    if len(z) == 0:
        raise InputError(f"{where}: it has no atoms. Remove it from the file.")
    if int(z.max()) > MAX_ATOMIC_NUMBER:
        raise InputError(
            f"{where}: element {int(z.max())} is beyond {MAX_ATOMIC_NUMBER}, the last one that "
            "ViSNet embeds. Remove the structure."
        )
    if not bool(pos.isfinite().all()):
        raise InputError(f"{where}: a position is not a finite number. Repair or remove it.")
    return Molecule(z=z, pos=pos, energy=energy)


def _notes(
    molecules: Sequence[Molecule], cut: int, periodic: int, max_atoms: int | None
) -> list[str]:
    notes = []
    missing = sum(molecule.energy is None for molecule in molecules)
    if missing == len(molecules):
        notes.append(
            "The data has no energies, so the target is zero and the loss means nothing; memory "
            "and time are the same as with energies."
        )
    elif missing:
        notes.append(
            f"{missing} of {len(molecules)} molecules lack an energy; the loss skips them."
        )
    if cut:
        notes.append(
            f"max_atoms={max_atoms} cut {cut} of {len(molecules)} structures to the atoms nearest "
            "to the centre of mass."
        )
    if periodic:
        notes.append(
            f"{periodic} of {len(molecules)} structures are periodic, but get no edges across the "
            "cell boundary. A training run that makes them needs more memory."
        )
    return notes


def _targets(energies: Sequence[float | None]) -> tuple[Tensor, Tensor]:
    """Standardised energies and their weights, both [M], float32."""
    known = torch.tensor([energy is not None for energy in energies])
    if not bool(known.any()):
        return torch.zeros(len(energies)), torch.ones(len(energies))
    raw = torch.tensor([energy or 0.0 for energy in energies], dtype=torch.float64)
    mean, std = raw[known].mean(), raw[known].std(correction=0)
    scaled = (raw - mean) / (std if float(std) > 0 else 1.0)
    return torch.where(known, scaled, 0.0).float(), known.float()


def _ranges(first: Tensor, count: Tensor) -> Tensor:
    """``[first[0], first[0]+1, …, first[1], …]`` with ``count[i]`` entries from each ``first``."""
    shift = first - (count.cumsum(0) - count)
    return torch.arange(int(count.sum())) + shift.repeat_interleave(count)
