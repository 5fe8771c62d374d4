"""The workload ``visnet``: its options, its model and its training step."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from probes.errors import InputError
from probes.space import Int
from probes.workloads.molecules import MAX_NEIGHBOURS, Molecule, MoleculeBatch, MoleculeSet
from probes.workloads.visnet import ViSNet

for package in ("ase", "vesin", "torch_geometric"):
    pytest.importorskip(package)

TINY = {"layers": 2, "hidden_channels": 16}


def cluster_batch(*sizes: int) -> MoleculeBatch:
    """Dense blobs without symmetry, so that some atoms have more than 32 neighbours."""
    generator = torch.Generator().manual_seed(0)
    molecules = []
    for size in sizes:
        side = torch.arange(round(size ** (1 / 3)) + 1) * 1.9
        grid = torch.cartesian_prod(side, side, side)[:size]
        pos = grid + 0.3 * torch.randn(size, 3, generator=generator)
        molecules.append(Molecule(torch.randint(1, 9, (size,), generator=generator), pos, None))
    return MoleculeSet(molecules, cutoff=5.0).collate(torch.arange(len(sizes)))


def model(**config: int) -> nn.Module:
    torch.manual_seed(0)
    return ViSNet().model({**TINY, **config})


class BruteForceDistance(nn.Module):
    """``Distance`` of PyG's ViSNet with every pair looked at, nearest first."""

    def forward(self, pos: Tensor, batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        distance = torch.cdist(pos, pos)
        distance[(batch[:, None] != batch[None, :]) | (distance >= 5.0)] = torch.inf
        distance.fill_diagonal_(0.0)
        cap = min(MAX_NEIGHBOURS, len(pos))
        nearest, source = distance.topk(cap, dim=1, largest=False)
        target = torch.arange(len(pos))[:, None].expand_as(source)
        edge_index = torch.stack([source[nearest.isfinite()], target[nearest.isfinite()]])
        vector = pos[edge_index[0]] - pos[edge_index[1]]
        return edge_index, vector.norm(dim=-1), vector


# --- the model --------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3])
def test_the_energy_is_that_of_pyg_s_visnet_with_brute_force_edges(layers: int) -> None:
    from torch_geometric.nn.models.visnet import ViSNet as Reference

    ours = model(layers=layers)
    reference = Reference(
        lmax=2, vecnorm_type="max_min", num_layers=layers, hidden_channels=TINY["hidden_channels"]
    )
    reference.load_state_dict(ours.network.state_dict())
    reference.representation_model.distance = BruteForceDistance()
    batch = cluster_batch(90, 5, 1, 40)

    expected, _ = reference(batch.z, batch.pos, batch.molecule)

    torch.testing.assert_close(ours(batch), expected.squeeze(-1), rtol=1e-4, atol=1e-5)


def test_the_energy_does_not_change_when_the_molecule_turns_and_moves() -> None:
    batch = cluster_batch(30)
    batch = replace(batch, pos=batch.pos.double())
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))
    turn = turn * turn.det().sign()
    moved = replace(batch, pos=batch.pos @ turn.T + torch.tensor([3.0, -7.0, 11.0]))
    network = model().double()
    torch.testing.assert_close(network(moved), network(batch), rtol=1e-8, atol=1e-8)


def test_a_molecule_s_energy_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    network = model()
    together = network(cluster_batch(20, 33))
    torch.testing.assert_close(together[:1], network(cluster_batch(20)), rtol=1e-4, atol=1e-5)


def test_the_space_is_layers_by_channels_in_steps_of_the_heads() -> None:
    assert ViSNet().space() == {"layers": Int(1, 12), "hidden_channels": Int(8, 480, step=8)}
    smallest = ViSNet().model({"layers": 1, "hidden_channels": 8})
    assert smallest(cluster_batch(4)).shape == (1,)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"layers": 2, "hidden_channels": 20}, "multiple of 8, such as 24"),
        ({"layers": 0, "hidden_channels": 16}, "layers=0"),
        ({"layers": 1.5, "hidden_channels": 16}, "layers=1.5"),
        ({"layers": 2}, "hidden_channels=None"),
    ],
)
def test_a_config_that_visnet_cannot_build_is_refused(config: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        ViSNet().model(config)


# --- training ---------------------------------------------------------------------------------


def test_gradients_are_finite_on_all_of_g2_single_atoms_included() -> None:
    workload = ViSNet()
    network = model()
    workload.loss(network, next(workload.batches(TINY, 162))).backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert gradients
    assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def test_thirty_steps_lower_the_loss() -> None:
    workload = ViSNet(seed=1)
    network = model(layers=1)
    optimizer = workload.optimizer(network)
    batch = next(workload.batches(TINY, 24))
    before = workload.evaluate(network, batch)
    for _ in range(30):
        optimizer.zero_grad()
        workload.loss(network, batch).backward()
        optimizer.step()
    after = workload.evaluate(network, batch)
    assert not after.requires_grad
    assert after < before / 2


def test_a_step_saves_no_more_memory_than_on_the_first_batch() -> None:
    workload = ViSNet()
    network = model(layers=1)
    first, *others = (
        saved_bytes(workload, network, batch)
        for batch in itertools.islice(workload.batches(TINY, 16), 12)
    )
    assert max(others) <= first


def saved_bytes(workload: ViSNet, network: nn.Module, batch: MoleculeBatch) -> int:
    """Bytes that autograd keeps for the backward pass."""
    storages: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = workload.loss(network, batch)
    assert loss.requires_grad
    return sum(storages.values())


def test_molecules_without_an_energy_do_not_count_in_the_loss() -> None:
    workload = ViSNet()
    network = model()
    batch = next(workload.batches(TINY, 2))
    half = replace(batch, weight=torch.tensor([1.0, 0.0]))
    error = network(batch)[0] - batch.y[0]
    torch.testing.assert_close(workload.loss(network, half), error.square())
    none = replace(batch, weight=torch.zeros(2))
    assert workload.loss(network, none).item() == 0


# --- options ----------------------------------------------------------------------------------


def test_the_dataset_size_is_the_number_of_molecules() -> None:
    assert ViSNet().dataset_size == 162


def test_a_file_without_energies_trains_and_says_so(tmp_path: Path) -> None:
    import ase.io

    pos = cluster_batch(60).pos
    ase.io.write(tmp_path / "pocket.pdb", ase.Atoms("C60", positions=pos.numpy()))
    workload = ViSNet(data=str(tmp_path / "pocket.pdb"), max_atoms=50)

    assert workload.dataset_size == 1
    assert any("no energies" in note for note in workload.notes)
    batch = next(workload.batches(TINY, 3))
    assert batch.molecule.bincount().tolist() == [50, 50, 50]
    loss = workload.loss(model(), batch)
    loss.backward()
    assert bool(loss.isfinite())
    assert loss > 0


def test_a_shorter_cutoff_makes_fewer_edges() -> None:
    assert ViSNet(cutoff=2).dataset.edges.sum() < ViSNet().dataset.edges.sum()


def test_the_seed_option_decides_the_batches() -> None:
    def atoms(seed: int) -> list[int]:
        return [int(z) for z in list(itertools.islice(ViSNet(seed=seed).batches({}, 9), 2))[1].z]

    assert atoms(5) == atoms(5)
    assert atoms(5) != atoms(6)


@pytest.mark.parametrize(
    "option",
    [
        {"data": "no/such/file.pdb"},
        {"data": 4},
        {"max_atoms": 0},
        {"max_atoms": 10.5},
        {"cutoff": 0},
        {"cutoff": "far"},
        {"cutoff": float("nan")},
        {"seed": -1},
        {"seed": True},
    ],
)
def test_an_unusable_option_is_named_in_the_error(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(InputError, match=f"^{name}="):
        ViSNet(**option)


def test_a_batch_size_below_one_is_refused_before_the_first_batch() -> None:
    with pytest.raises(InputError, match="batch_size=0"):
        ViSNet().batches(TINY, 0)


# --- the extra --------------------------------------------------------------------------------


@pytest.mark.parametrize("package", ["ase", "vesin", "torch_geometric"])
def test_a_missing_package_says_what_to_install_and_where(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'tonnage\[molecules\]'") as caught:
        ViSNet()
    assert caught.value.name == package
    assert sys.executable in str(caught.value)


def test_the_module_imports_without_the_extra() -> None:
    code = (
        "import sys\n"
        "for name in ('ase', 'vesin', 'torch_geometric'): sys.modules[name] = None\n"
        "import probes.workloads.visnet"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
