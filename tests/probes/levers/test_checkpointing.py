"""Gradient checkpointing: equal gradients from fewer activations, in models that know nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from probes.levers import UnsupportedError, checkpointing
from probes.workloads.transformer import Decoder
from tests.probes.levers.small import WIDTH, Block, Blocks, Small, gradients, job, training


def test_gradients_are_the_same_with_and_without() -> None:
    plain, recomputed = (training(Small(Blocks), gradient_checkpointing=on) for on in (False, True))
    for trained in (plain, recomputed):
        torch.manual_seed(7)  # the dropout of both
        trained.step()

    expected = gradients(plain)
    assert len(expected) == 20
    for name, gradient in gradients(recomputed).items():
        torch.testing.assert_close(gradient, expected[name], rtol=0, atol=0)


def saved_bytes(model: nn.Module, x: torch.Tensor) -> int:
    """Bytes that autograd keeps between forward and backward, and blocks hold for recomputing."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    for block in checkpointing.repeated_blocks(model):
        block.register_forward_pre_hook(lambda _, inputs: (keep(inputs[0]), None)[1])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(x).square().mean()
    return sum(kept.values())


def test_what_is_kept_shrinks_to_the_inputs_of_the_blocks() -> None:
    x, count = torch.randn(256, WIDTH), 8
    plain, recomputed = Blocks(count), Blocks(count)
    checkpointing.enable(recomputed)

    inside = 4 * WIDTH * 256 * 4  # one hidden activation of a block, in bytes
    before, after = saved_bytes(plain, x), saved_bytes(recomputed, x)

    assert before > 2 * count * inside
    assert after < count * inside
    assert after > count * inside // 4, "the inputs are kept"


def test_evaluation_and_frozen_models_run_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Blocks()
    checkpointing.enable(model)
    calls = []

    def spy(*args: Any, **kwargs: Any) -> Any:
        calls.append(kwargs)
        return torch.utils.checkpoint.checkpoint(*args, **kwargs)

    monkeypatch.setattr(checkpointing, "checkpoint", spy)
    x = torch.randn(2, WIDTH)
    model.eval()(x)
    with torch.no_grad():
        model.train()(x)
    assert calls == []

    model.train()(x)
    assert calls == 4 * [{"use_reentrant": False, "scale": 0.5}]


def test_only_the_instances_are_changed() -> None:
    checkpointing.enable(Blocks())

    assert "forward" not in vars(Blocks().blocks[0])


class Stages(nn.Module):
    """Blocks in several sequences, as in a ResNet, behind a head with more layers than blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU())
        self.stages = nn.Sequential(
            nn.Sequential(Block(), Block()), nn.Sequential(Block(), Block(), Block())
        )
        self.head = nn.Sequential(*(nn.Linear(WIDTH, WIDTH) for _ in range(9)))


class Nested(nn.Module):
    """Blocks made of smaller blocks, which hold most parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList(Block() for _ in range(4))
        self.norm = nn.LayerNorm(WIDTH)


class Mixture(nn.Module):
    def __init__(self, layers: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Nested() for _ in range(layers))


def test_the_blocks_of_all_stages_are_found() -> None:
    assert [type(b) for b in checkpointing.repeated_blocks(Stages())] == 5 * [Block]


def test_the_whole_layer_is_the_block_not_a_part_of_it() -> None:
    assert [type(b) for b in checkpointing.repeated_blocks(Mixture())] == 2 * [Nested]


def test_a_model_of_one_layer_has_a_block_too() -> None:
    assert len(checkpointing.repeated_blocks(Blocks(count=1))) == 1
    assert len(checkpointing.repeated_blocks(Decoder(16, 8, layers=1, width=8, heads=1))) == 1


def test_torchs_own_encoder_is_taken_apart() -> None:
    layer = nn.TransformerEncoderLayer(WIDTH, 2, batch_first=True)
    encoder = nn.TransformerEncoder(layer, 3)
    assert len(checkpointing.repeated_blocks(encoder)) == 3

    checkpointing.enable(encoder)
    encoder(torch.randn(2, 5, WIDTH)).sum().backward()

    assert all(p.grad is not None for p in encoder.parameters())


def test_a_block_that_is_used_twice_is_wrapped_once() -> None:
    block = Block()
    model = nn.Sequential(block, block)

    assert checkpointing.repeated_blocks(model) == [block]


def test_two_different_parts_are_no_repeated_blocks() -> None:
    class Tail(Block):
        pass

    with pytest.raises(UnsupportedError, match="Sequential has no repeated blocks"):
        checkpointing.enable(nn.Sequential(Block(), Tail()))


def test_a_model_without_blocks_is_refused_with_what_to_do() -> None:
    plain = Small(lambda: nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU()))

    with pytest.raises(UnsupportedError, match=r"no repeated blocks.*leave the lever out"):
        training(plain, gradient_checkpointing=True)


class ItselfOlder(nn.Linear):
    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Any = None) -> None:
        self.told = gradient_checkpointing_kwargs


class ItselfNewer(ItselfOlder):
    def activation_checkpointing_enable(self, activation_checkpointing_kwargs: Any = None) -> None:
        self.told = ("newer", activation_checkpointing_kwargs)


class ItselfPlain(nn.Linear):
    def gradient_checkpointing_enable(self) -> None:
        self.told = "plain"


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (ItselfOlder, {"use_reentrant": False}),
        (ItselfNewer, ("newer", {"use_reentrant": False})),
        (ItselfPlain, "plain"),
    ],
)
def test_a_model_that_can_do_it_itself_is_asked_to(kind: type[nn.Linear], told: object) -> None:
    model = kind(WIDTH, WIDTH)

    checkpointing.enable(model)

    assert model.told == told


def test_a_model_that_refuses_gives_the_reason() -> None:
    class Refuses(nn.Linear):
        def gradient_checkpointing_enable(self) -> None:
            raise ValueError("Refuses does not support gradient checkpointing.")

    with pytest.raises(UnsupportedError, match=r"enable\(\) refuses: Refuses does not support"):
        checkpointing.enable(Refuses(1, 1))


def test_the_job_carries_the_lever_to_the_model() -> None:
    assert job(gradient_checkpointing=True).config == {"gradient_checkpointing": True}
    trained = training(Small(Blocks), gradient_checkpointing=True)
    assert "forward" in vars(trained.model.blocks[0])


def test_blocks_may_be_plain_sequences() -> None:
    blocks = [nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU()) for _ in range(3)]
    assert checkpointing.repeated_blocks(nn.Sequential(*blocks)) == blocks
