"""The families of simulated devices, each a function that draws one training.

The ranges are meant to be realistic and wide: a budget of 10 GiB, an edge between batch 2 and
5,000 (log-uniform), static memory from a tenth to two thirds of the budget.

``GOAL`` is what a search must survive: whatever goes wrong shows itself while a confirmation runs.
``LIMITS`` is what no finite run can see, because it first happens afterwards. Those are counted
too, apart, so that nobody takes a zero for more than it is.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from benchmarks.false_safe.simulation import MIB, Burst, Creep, Leak, Outside, Tenant, Training

LIMIT_BYTES = 10 * 1024 * MIB
HEADROOM = 0.05

Family = Callable[[random.Random], Training]
Shape = Callable[[float], float]


def _log_uniform(draw: random.Random, low: float, high: float) -> float:
    return math.exp(draw.uniform(math.log(low), math.log(high)))


def _sized(
    draw: random.Random,
    shape: Shape = lambda b: b,
    *,
    static: tuple[float, float] = (0.10, 0.66),
    edge: tuple[float, float] = (2, 5000),
) -> tuple[float, Callable[[int], float]]:
    """Static bytes and an activation curve of this shape that reaches the cap near an edge."""
    static_bytes = draw.uniform(*static) * LIMIT_BYTES
    at_edge = LIMIT_BYTES * (1 - HEADROOM) - static_bytes
    scale = at_edge / shape(_log_uniform(draw, *edge))
    return static_bytes, lambda batch_size: scale * shape(batch_size)


def linear(draw: random.Random) -> Training:
    """Activations in proportion to the batch."""
    return Training(LIMIT_BYTES, *_sized(draw))


def staircase(draw: random.Random) -> Training:
    """Batches padded to a multiple of 2 to 64."""
    tread = draw.choice([2, 4, 8, 16, 32, 64])
    shape = lambda b: math.ceil(b / tread) * tread  # noqa: E731
    return Training(LIMIT_BYTES, *_sized(draw, shape))


def quadratic(draw: random.Random) -> Training:
    """Pairwise losses: a term that grows with the square and is 0.1 to 10 times the linear one
    at batch 256."""
    weight = _log_uniform(draw, 0.1, 10) / 256
    return Training(LIMIT_BYTES, *_sized(draw, lambda b: b + weight * b * b))


def huge_constant(draw: random.Random) -> Training:
    """A model that fills 80 to 94 % of the budget by itself."""
    return Training(LIMIT_BYTES, *_sized(draw, static=(0.80, 0.94), edge=(2, 500)))


def piecewise(draw: random.Random) -> Training:
    """From some batch on every further sample costs a fifth to six times as much."""
    knee, factor = _log_uniform(draw, 4, 1000), _log_uniform(draw, 0.2, 6)
    shape = lambda b: b + max(0.0, b - knee) * (factor - 1)  # noqa: E731
    return Training(LIMIT_BYTES, *_sized(draw, shape))


def noise(draw: random.Random) -> Training:
    """The peak differs from process to process (standard deviation 0.1 to 1 %) and from step to
    step (up to 1 %). CPU peaks were seen to spread by 2.6 % over six runs."""
    return Training(
        LIMIT_BYTES,
        *_sized(draw),
        run_noise=draw.uniform(0.001, 0.01),
        step_noise=draw.uniform(0.0, 0.01),
        held_noise=draw.uniform(0.0, 0.002),
    )


def fragmentation(draw: random.Random) -> Training:
    """Reserved memory creeps up by 1 to 30 % of the activations and saturates: 63 % of it is
    there after 3 to 100 steps, and tensors held between steps do not show it."""
    return Training(
        LIMIT_BYTES,
        *_sized(draw),
        ordinary=draw.uniform(0.6, 1.0),
        creep=Creep(draw.uniform(0.01, 0.30), _log_uniform(draw, 3, 100)),
        step_noise=0.002,
    )


def late_burst(draw: random.Random) -> Training:
    """2 to 25 % of the budget, for one step that comes 3 to 25 steps after the start, alone or
    again and again; or in validation, which needs 1 to 3 times what training does."""
    static, activations = _sized(draw)
    if draw.random() < 0.5:
        return Training(LIMIT_BYTES, static, activations, evaluation=draw.uniform(1.0, 3.0))
    first = draw.randint(3, 25)
    every = draw.choice([None, 5, 10, 20])
    return Training(
        LIMIT_BYTES, static, activations, burst=Burst(draw.uniform(0.02, 0.25), first, every)
    )


def leak(draw: random.Random) -> Training:
    """0.00001 to 2 % of the budget per step, in lumps every 1 to 8 steps, while what is held
    between steps varies by up to 1 % of the budget for other reasons."""
    per_step = _log_uniform(draw, 1e-7, 0.02) * LIMIT_BYTES
    return Training(
        LIMIT_BYTES,
        *_sized(draw),
        leak=Leak(per_step, draw.choice([1, 1, 2, 4, 8])),
        held_noise=draw.choice([0.0, draw.uniform(0.0, 0.01)]),
    )


def co_tenant(draw: random.Random) -> Training:
    """Another process has 1 to 30 % of the device, always or in a part of every 4 to 30 steps."""
    share = draw.uniform(0.01, 0.30)
    coming_and_going = Tenant(share, draw.randint(4, 30), draw.uniform(0.2, 0.8))
    tenant = draw.choice([Tenant(share), coming_and_going])
    return Training(LIMIT_BYTES, *_sized(draw, static=(0.10, 0.50)), tenant=tenant)


def non_monotone(draw: random.Random) -> Training:
    """A library takes another algorithm for some sizes: a tenth to two thirds of all batches, or
    all but the multiples of 8, need 3 to 60 % more than their neighbours."""
    factor, share = 1 + draw.uniform(0.03, 0.60), draw.uniform(0.1, 0.66)
    salt, aligned = draw.random(), draw.random() < 0.5

    def quirk(batch_size: int) -> float:
        chosen = (
            batch_size % 8 if aligned else random.Random(f"{salt}{batch_size}").random() < share
        )
        return factor if chosen else 1.0

    return Training(LIMIT_BYTES, *_sized(draw), quirk=quirk)


def variable_length(draw: random.Random) -> Training:
    """Ordinary batches need 30 to 100 % of the worst case, which comes first; the mixture
    fragments memory by up to 6 % of the activations within some 10 steps."""
    return Training(
        LIMIT_BYTES,
        *_sized(draw),
        ordinary=draw.uniform(0.3, 0.9),
        creep=Creep(draw.uniform(0.0, 0.06), draw.uniform(2, 12)),
        step_noise=0.003,
        held_noise=draw.uniform(0.0, 0.003),
    )


def _leaks_or_not(draw: random.Random) -> Leak | None:
    """A leak of 0.0001 to 1 % of the budget per step in one of three trainings."""
    return draw.choice([None, None, Leak(_log_uniform(draw, 1e-6, 0.01) * LIMIT_BYTES)])


def several_steps_per_line(draw: random.Random) -> Training:
    """A command that prints each 2 to 100 steps of 2 ms to 0.3 s. One in three leaks."""
    step_s = _log_uniform(draw, 0.002, 0.3)
    return Training(
        LIMIT_BYTES,
        *_sized(draw),
        leak=_leaks_or_not(draw),
        step_noise=draw.choice([0.0, 0.002]),
        step_s=lambda batch_size: step_s,
        outside=Outside(draw.choice([2, 5, 10, 20, 50, 100])),
    )


def seen_mid_step(draw: random.Random) -> Training:
    """A command on a busy machine: its memory is seen at any phase of a step, each 0.05 to 0.8 s,
    and in one of four cases the kernel keeps no mark that can be reset. One in three leaks."""
    step_s = _log_uniform(draw, 0.005, 1.0)
    return Training(
        LIMIT_BYTES,
        *_sized(draw),
        leak=_leaks_or_not(draw),
        creep=draw.choice([None, Creep(draw.uniform(0.01, 0.1), _log_uniform(draw, 3, 60))]),
        step_s=lambda batch_size: step_s,
        outside=Outside(
            draw.choice([1, 1, 5]), draw.uniform(0.05, 0.4), exact=draw.random() < 0.75
        ),
    )


def epoch_with_evaluation(draw: random.Random) -> Training:
    """A command that evaluates and writes a checkpoint before the first step and then each 15 to
    100 steps, which takes a quarter to 1.5 times what training does. One in three leaks."""
    step_s = _log_uniform(draw, 0.005, 0.5)
    return Training(
        LIMIT_BYTES,
        *_sized(draw),
        leak=_leaks_or_not(draw),
        evaluation=draw.uniform(0.25, 1.5),
        step_s=lambda batch_size: step_s,
        outside=Outside(
            draw.choice([1, 5, 10]),
            draw.uniform(0.05, 0.2),
            evaluates_every=draw.randint(15, 100),
            evaluation_steps=draw.uniform(1, 10),
        ),
    )


def burst_afterwards(draw: random.Random) -> Training:
    """A burst of 6 to 25 % of the budget that first happens after the confirmation."""
    burst = Burst(draw.uniform(0.06, 0.25), draw.randint(210, 300))
    return Training(LIMIT_BYTES, *_sized(draw), burst=burst)


def leak_per_epoch(draw: random.Random) -> Training:
    """A lump of 1 to 5 % of the budget that stays, every 60 to 120 steps."""
    every = draw.randint(60, 120)
    lump = draw.uniform(0.01, 0.05) * LIMIT_BYTES
    return Training(LIMIT_BYTES, *_sized(draw), leak=Leak(lump / every, every))


def tenant_afterwards(draw: random.Random) -> Training:
    """Another process that takes more than the headroom, and comes after the search."""
    tenant = Tenant(draw.uniform(0.06, 0.3), during_search=False)
    return Training(LIMIT_BYTES, *_sized(draw), tenant=tenant)


def hidden_worst_case(draw: random.Random) -> Training:
    """The first batch is not the worst case, against the contract: 0.1 to 2 % of the batches
    need 10 to 60 % more."""
    return Training(
        LIMIT_BYTES,
        *_sized(draw),
        outlier=draw.uniform(1.1, 1.6),
        outlier_chance=_log_uniform(draw, 0.001, 0.02),
    )


def other_algorithm(draw: random.Random) -> Training:
    """One process in 3 to 50 chooses an algorithm that needs 10 to 40 % more."""
    return Training(
        LIMIT_BYTES,
        *_sized(draw),
        reshuffle=1 / draw.uniform(3, 50),
        reshuffle_factor=draw.uniform(1.1, 1.4),
    )


GOAL: dict[str, Family] = {
    "linear": linear,
    "staircase": staircase,
    "quadratic": quadratic,
    "huge constant": huge_constant,
    "piecewise": piecewise,
    "noise": noise,
    "fragmentation": fragmentation,
    "late burst": late_burst,
    "leak": leak,
    "co-tenant": co_tenant,
    "non-monotone": non_monotone,
    "variable length": variable_length,
    "several steps per line": several_steps_per_line,
    "memory seen mid-step": seen_mid_step,
    "epoch with evaluation": epoch_with_evaluation,
}
LIMITS: dict[str, Family] = {
    "burst after the confirmation": burst_afterwards,
    "leak once per epoch": leak_per_epoch,
    "co-tenant after the search": tenant_afterwards,
    "worst case not first": hidden_worst_case,
    "another algorithm per process": other_algorithm,
}
