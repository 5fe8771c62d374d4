"""Ways of writing that are rare, and understood all the same."""

from __future__ import annotations

import pytest

from probes.black_box.discovery.losses import loss_in
from probes.black_box.discovery.text import plain
from probes.black_box.steps import OutputSteps
from tests.probes.black_box.corpus import read

CHINESE = "训练次数：{step}, Loss：1.{step}"


def chinese() -> list[str]:
    """With an evaluation between two epochs."""
    lines = ["训练数据集的长度为：50000", "测试数据集的长度为：10000"]
    for step in range(100, 1600, 100):
        lines.append(CHINESE.format(step=step))
        if step % 500 == 0:
            lines += ["整体测试集上的Loss: 230.35", "整体测试集上的正确率: 0.4925"]
    return [plain(line) for line in lines]


def test_full_width_punctuation_is_read_as_that_of_ascii() -> None:
    reading = read(chinese())
    assert [number for _, number, _ in reading.taken] == [*range(100, 1600, 100)]
    losses = [loss for _, _, loss in reading.taken]
    assert losses == [pytest.approx(float(f"1.{step}")) for step in range(100, 1600, 100)]


@pytest.mark.parametrize(
    "pattern",
    [
        r"训练次数：(?P<step>\d+), Loss：(?P<loss>\S+)",
        r"训练次数[:：](?P<step>\d+).*?(?P<loss>1\S+)",
    ],
)
def test_a_pattern_may_have_it_too(pattern: str) -> None:
    seen = OutputSteps(pattern).read(f"{CHINESE.format(step=300)}\n".encode(), 0.0)
    assert [(sign.number, sign.loss) for sign in seen] == [(300, 1.3)]


def test_a_bracket_of_full_width_in_a_pattern_is_no_group() -> None:
    seen = OutputSteps(r"（(?P<step>\d+)／\d+）").read("第（3／9）".encode() + b"\n", 0.0)
    assert [sign.number for sign in seen] == [3]


@pytest.mark.parametrize("word", ["测试", "验证", "评估"])
def test_the_loss_of_an_evaluation_in_chinese_is_none(word: str) -> None:
    assert loss_in(f"{word}集 loss: 0.3") is None
    assert loss_in("训练集 loss: 0.3") is not None


def test_a_loss_may_be_a_tensor_of_one_value() -> None:
    found = loss_in("{'discriminator_loss': tensor([427.9323], device='cuda:0'), 'lr': 0.1}")
    assert found is not None
    assert found[:2] == ("discriminator_loss", 427.9323)


def test_an_evaluation_before_the_first_epoch_does_not_hide_the_epochs() -> None:
    lines = ["===> Epoch 0: testing psnr = 34.21"]
    for epoch in range(1, 6):
        lines += [f"===> Epoch {epoch} Complete: Avg. Loss: 0.0148", f"===> Epoch {epoch}: testing"]
    assert [number for _, number, _ in read(lines).taken] == [*range(1, 6)]


def test_the_name_of_a_logger_is_no_word_before_the_number() -> None:
    """RVC and VITS: step and learning rate, below lines about the epoch."""
    lines = [
        line
        for n in range(20)
        for line in (
            f"INFO:my_model:Train Epoch: {9 + n // 2} [{20 + 30 * (n % 2)}%]",
            f"INFO:my_model:[{4200 + 200 * n}, 9.990004373906418e-05]",
            f"INFO:my_model:loss_disc=3.9{n}, loss_gen=3.0",
        )
    ]
    reading = read(lines, 8)
    assert [number for _, number, _ in reading.taken] == [*range(4200, 8200, 200)]


@pytest.mark.parametrize(
    "line",
    ["{n} 4.40 s run, 11.8{n} loss, 0.000005 LR, 1454.57 GB used", "4.4 s, 11.8{n} loss, 0.01 LR"],
)
def test_the_name_of_a_loss_may_stand_behind_its_value(line: str) -> None:
    """tinygrad's, with and without a number of the step."""
    lines = [line.format(n=n) for n in range(10, 30)]
    reading = read(lines)
    losses = [float(f"11.8{n}") for n in range(10, 30)]
    assert [loss for _, _, loss in reading.taken] == losses
    assert reading.finder.choice is not None
    steps = OutputSteps(reading.finder.choice.pattern)
    seen = [sign.loss for each in lines for sign in steps.read(f"{each}\n".encode(), 0.0)]
    assert seen in (losses, [None] * 20)
