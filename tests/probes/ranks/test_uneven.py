"""Micro-batches of different sizes for ranks that carry different amounts. Scripted."""

from __future__ import annotations

from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement, Purpose, RankResult, StepTime, Verdict
from probes.ranks.uneven import UnevenSearch

CAPS = (1000, 400)
"""What each rank may use; a sample takes 2, and the model 100."""


def measured(sizes: tuple[int, ...], *, passes: bool = True, limiting: int = 1) -> Measurement:
    verdict = Verdict.STABLE if passes else Verdict.OOM
    ranks = [
        RankResult(
            rank,
            f"cuda:{rank}",
            size,
            verdict if passes or rank == limiting else None,
            cap_bytes=CAPS[rank],
            peak_bytes=100 + 2 * size,
        )
        for rank, size in enumerate(sizes)
    ]
    step = StepTime(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 24, 4, True, 0.0)
    return Measurement(
        workload="w",
        config={},
        batch_size=max(sizes),
        device="cuda:0-1",
        purpose=Purpose.CONFIRM,
        verdict=verdict,
        reason="",
        steps=28,
        step_time=step if passes else None,
        ranks=ranks,
        limiting_rank=limiting,
        data_parallel=2,
    )


def answer(*batches: int) -> MaxBatch:
    runs = [measured((batch, batch)) for batch in batches]
    return MaxBatch(max(batches), "memory", "", runs[-1], None, runs)


def test_a_rank_with_more_room_gets_more() -> None:
    search = UnevenSearch(answer(16, 64, 150), most=10_000)
    sizes = search.ask()
    assert sizes is not None
    assert sizes[1] == 150
    assert 430 <= sizes[0] <= 450  # (1000 - 100) / 2, a hundredth of the cap left free
    search.tell(measured(sizes))
    assert search.ask() is None
    assert search.found is not None
    assert search.found.batch_sizes == list(sizes)
    assert search.found.gain is not None
    assert round(search.found.gain, 2) == round(sum(sizes) / 300, 2)


def test_a_rank_that_fails_steps_back() -> None:
    search = UnevenSearch(answer(16, 64, 150), most=10_000)
    first = search.ask()
    assert first is not None
    search.tell(measured(first, passes=False, limiting=0))
    second = search.ask()
    assert second is not None
    assert second[1] == first[1]
    assert 150 < second[0] < first[0]


def test_it_gives_up_after_some_tries() -> None:
    search = UnevenSearch(answer(16, 64, 150), most=10_000)
    tries = 0
    while (sizes := search.ask()) is not None:
        tries += 1
        search.tell(measured(sizes, passes=False, limiting=0))
    assert tries == 4
    assert search.found is None


def test_ranks_that_carry_the_same_share_evenly() -> None:
    search = UnevenSearch(answer(16, 64, 440), most=440)
    assert search.ask() is None


def test_the_data_set_bounds_a_rank_too() -> None:
    search = UnevenSearch(answer(16, 64, 150), most=200)
    assert search.ask() == (200, 150)


def test_a_single_device_has_nothing_to_divide() -> None:
    nothing = MaxBatch(None, None, "nothing fits", None, None, [])
    assert UnevenSearch(nothing, most=10).ask() is None
