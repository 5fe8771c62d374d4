"""Reinforcement learning: a number that counts the steps of an environment counts no training."""

from __future__ import annotations

import random

import pytest

from tests.probes.black_box.corpus import read

ENVIRONMENTS = 8


def episodes(words: str, *, same_length: bool, updates_every: int = 1024) -> list[str]:
    """The output of an agent with eight environments."""
    rng = random.Random(1)
    lines, updates = [], 0
    ends = [0] * ENVIRONMENTS
    for step in range(ENVIRONMENTS, 8192, ENVIRONMENTS):
        if step > updates_every * (updates + 1):
            updates += 1
            lines.append(f"SPS: {900 + updates}")
        for i in range(ENVIRONMENTS):
            if step >= ends[i]:
                if ends[i]:
                    lines.append(words.format(step=step, value=f"{rng.uniform(9, 20):.3f}"))
                ends[i] = step + (400 if same_length else rng.randint(160, 400))
    return lines


@pytest.mark.parametrize("same_length", [False, True])
@pytest.mark.parametrize(
    "words",
    ["global_step={step}, episodic_return={value}", "step {step} | reward {value}"],
)
def test_steps_of_an_environment_are_no_training_steps(words: str, same_length: bool) -> None:
    finder = read(episodes(words, same_length=same_length)).finder
    assert finder.choice is None
    text = finder.explanation()
    assert "count the steps of an environment" in text
    assert "--step '^SPS:'" in text
    assert "The likeliest" not in text


def test_without_another_line_the_advice_is_to_print_one() -> None:
    lines = episodes("global_step={step}, episodic_return={value}", same_length=False)
    text = read([line for line in lines if "SPS" not in line]).finder.explanation()
    assert "tonnage step" in text
    assert "SPS" not in text


def test_steps_with_a_reward_and_a_loss_are_training_steps() -> None:
    lines = episodes("step {step} | reward {value} | loss 0.31", same_length=False)
    assert read(lines).steps


def test_steps_with_a_reward_that_come_one_by_one_are_training_steps() -> None:
    steps = read([f"step {i} | reward 0.{i + 10} | kl 0.01" for i in range(1, 30)]).steps
    assert [step.number for step in steps] == list(range(1, 30))
