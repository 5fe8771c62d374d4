"""Claims about what is learnt or computed: asked of functions that train in the user's interpreter.

The functions are in ``finetuning.quality``.
"""

from __future__ import annotations

from optimizer.ablation.bench import Bench
from optimizer.ablation.limits import AblationLimits
from optimizer.ablation.question import MERGE, Arm, Quantity, Question
from probes.errors import InputError

BATCH = 4
"""Samples per step of a training whose loss is compared."""
SAMPLE_LEVERS = frozenset({"packing", "seq_length", "max_length"})
"""Levers that change how many tokens a sample has: throughput is then compared in tokens."""
HELD_OUT_LOSS = "finetuning.quality.training:held_out_loss"
OUTPUT_ERROR = "finetuning.quality.outputs:output_error"
TOKENS = "finetuning.quality.tokens:tokens_per_sample"


def compare(
    bench: Bench,
    question: Question,
    arms: tuple[Arm, Arm],
    batch_size: int,
    seed: int,
    limits: AblationLimits,
) -> list[float]:
    """The loss before and after the change; or the one error of the outputs."""
    arguments = {"batch_size": batch_size, "steps": limits.train_steps, "seed": seed}
    if question.quantity is Quantity.LOSS:
        return [float(bench.call(HELD_OUT_LOSS, arm, arguments)["loss"]) for arm in arms]
    if set(question.after) != {MERGE}:
        raise InputError(
            f"A difference of outputs is measured for the lever {MERGE} only, which merges "
            f"adapters into the weights; the claim changes {question.lever}."
        )
    return [float(bench.call(OUTPUT_ERROR, arms[1], arguments)["error"])]


def changes_samples(question: Question) -> bool:
    """Whether samples per second mean different things before and after."""
    throughput = question.quantity is Quantity.THROUGHPUT
    return throughput and bool(SAMPLE_LEVERS & set(question.after))


def tokens_per_sample(bench: Bench, arm: Arm, batch_size: int) -> float:
    """Mean number of tokens that are learnt from in a sample, without padding."""
    return float(bench.call(TOKENS, arm, {"batch_size": batch_size})["tokens"])
