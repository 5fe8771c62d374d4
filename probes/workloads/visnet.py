"""The built-in workload ``visnet``: an equivariant graph network trained on molecular energies.

Model: PyTorch Geometric's ViSNet (Wang et al., Nature Communications 15, 313, 2024). Needs the
``molecules`` extra in the interpreter that runs the probe; this module imports without it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from probes.errors import InputError
from probes.space import Int, Space
from probes.workloads.molecules import (
    EXTRA,
    MAX_ATOMIC_NUMBER,
    MAX_NEIGHBOURS,
    MoleculeBatch,
    MoleculeSet,
    load,
)

NETWORK = "torch_geometric.nn.models.visnet"
HEADS = 8
MAX_SEED = 2**63 - 1


class ViSNet:
    """Learns the energy of molecules.

    Options (``--option name=value``):

    - ``data``: ``g2``, the 162 G2 species that ASE ships with their enthalpies of formation, or
      the path of a file that ASE reads (pdb, xyz, extxyz, …; every frame is a molecule).
    - ``max_atoms``: keep at most this many atoms of each structure, nearest to its centre of mass.
    - ``cutoff``: atoms closer than this (Å) share an edge.
    - ``seed``: fixes the order of the batches. The model is initialised from torch's own seed.

    Raises ``InputError`` for an option or file that cannot be used and ``ModuleNotFoundError``
    when the extra is missing.
    """

    def __init__(
        self,
        data: str = "g2",
        max_atoms: int | None = None,
        cutoff: float = 5.0,
        seed: int = 0,
    ) -> None:
        if not isinstance(data, str) or not data:
            raise InputError(f"data={data!r}: give 'g2' or the path of a structure file.")
        if max_atoms is not None and (not _is_whole(max_atoms) or max_atoms < 1):
            raise InputError(f"max_atoms={max_atoms!r}: give a whole number of 1 or more.")
        if not _is_number(cutoff) or not 0 < cutoff < math.inf:
            raise InputError(f"cutoff={cutoff!r}: give a distance in Å above 0, such as 5.0.")
        if not _is_whole(seed) or not 0 <= seed <= MAX_SEED:
            raise InputError(f"seed={seed!r}: give a whole number from 0 to {MAX_SEED}.")
        EXTRA.check_installed()
        for module in (NETWORK, "vesin"):
            EXTRA.require(module)  # now: what is imported after the memory cap counts against it
        self.cutoff = float(cutoff)
        self.seed = seed
        self._loaded = load(data, max_atoms)

    @property
    def dataset_size(self) -> int:
        """Number of molecules."""
        return len(self._loaded.molecules)

    @property
    def notes(self) -> list[str]:
        """What a person should know about the data, such as that it has no energies."""
        return list(self._loaded.notes)

    @cached_property
    def dataset(self) -> MoleculeSet:
        """The molecules with their neighbour lists, computed on first use."""
        return MoleculeSet(self._loaded.molecules, self.cutoff)

    def space(self) -> Space:
        return {"layers": Int(1, 12), "hidden_channels": Int(HEADS, 480, step=HEADS)}

    def model(self, config: Mapping[str, Any]) -> nn.Module:
        """ViSNet with ``layers`` and ``hidden_channels``; raises ``InputError`` if it cannot be."""
        layers, channels = (_dimension(config, name) for name in ("layers", "hidden_channels"))
        if channels % HEADS:
            raise InputError(
                f"hidden_channels={channels}: ViSNet splits the channels over {HEADS} attention "
                f"heads, so give a multiple of {HEADS}, such as {-(-channels // HEADS) * HEADS}."
            )
        return EnergyModel(layers, channels, self.cutoff)

    def batches(self, config: Mapping[str, Any], batch_size: int) -> Iterator[MoleculeBatch]:
        """Endless CPU batches of ``batch_size`` molecules; the first needs the most memory."""
        if not _is_whole(batch_size) or batch_size < 1:
            raise InputError(f"batch_size={batch_size!r}: give a whole number of 1 or more.")
        return self.dataset.batches(batch_size, self.seed)

    def loss(self, model: nn.Module, batch: MoleculeBatch) -> Tensor:
        """Mean squared error of the standardised energy over the molecules that have one."""
        energy: Tensor = model(batch)
        error = energy - batch.y
        return (batch.weight * error.square()).sum() / batch.weight.sum().clamp(min=1)

    def optimizer(self, model: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.Adam(model.parameters(), lr=1e-3)

    def evaluate(self, model: nn.Module, batch: MoleculeBatch) -> Tensor:
        """The loss without gradients. ViSNet has no dropout, so train and eval mode are one."""
        with torch.no_grad():
            return self.loss(model, batch)


class EnergyModel(nn.Module):
    """PyG's ViSNet on batches that bring their edges along; returns one energy per molecule.

    PyG builds the edges on the device with ``radius_graph``, which needs a compiled package that
    PyPI does not carry. Here they come with the batch, and the rest is PyG's own: the
    representation model hands its third argument to ``distance`` and uses it nowhere else, so the
    edges take the place of the batch vector.
    """

    def __init__(self, layers: int, hidden_channels: int, cutoff: float) -> None:
        super().__init__()
        self.network = EXTRA.require(NETWORK).ViSNet(
            lmax=2,
            vecnorm_type="max_min",
            num_heads=HEADS,
            num_layers=layers,
            hidden_channels=hidden_channels,
            max_z=MAX_ATOMIC_NUMBER + 1,
            cutoff=cutoff,
            max_num_neighbors=MAX_NEIGHBOURS,
        )
        self.network.representation_model.distance = GivenEdges()

    def forward(self, batch: MoleculeBatch) -> Tensor:
        """Standardised energies, [B]. Follows ``ViSNet.forward`` of PyG, without derivatives.

        The number of molecules is known, so the sum needs no round trip to the host for it.
        """
        network = self.network
        x, vec = network.representation_model(batch.z, batch.pos, batch.edge_index)
        energy = network.output_model.pre_reduce(x, vec) * network.std
        energy = network.prior_model(energy, batch.z).squeeze(-1)
        total_B = energy.new_zeros(batch.molecules).index_add(0, batch.molecule, energy)
        energies_B: Tensor = total_B + network.mean
        return energies_B


class GivenEdges(nn.Module):
    """Takes the place of ViSNet's ``Distance``: lengths and vectors of edges it is given."""

    def forward(self, pos: Tensor, edge_index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``pos`` [N, 3] in Å, ``edge_index`` [2, E]: returns edges, lengths [E], vectors [E, 3].

        PyG masks the self-loops' lengths, whose gradient has no direction. Positions take no
        gradient here, so a plain norm gives the same.
        """
        vector = pos[edge_index[0]] - pos[edge_index[1]]
        return edge_index, vector.norm(dim=-1), vector


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _dimension(config: Mapping[str, Any], name: str) -> int:
    value: Any = config.get(name)
    if _is_number(value) and float(value).is_integer() and value >= 1:
        return int(value)
    raise InputError(f"{name}={value!r}: give a whole number of 1 or more, as in {name}=8.")
