"""A client that comes too often is told to wait, and others are not."""

from __future__ import annotations

import httpx
import pytest

from app.service.rate import MOST_CLIENTS, RateLimiter
from tests.app.one_kind import kind  # noqa: F401
from tests.app.serving import problem


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock():
    return Clock()


def test_a_burst_passes_and_then_so_many_per_second(clock):
    limiter = RateLimiter(2.0, 3, clock)
    assert [limiter.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limiter.take("a") == pytest.approx(0.5)
    clock.now_s += 0.5
    assert limiter.take("a") == 0.0
    assert limiter.take("a") > 0


def test_who_is_refused_does_not_wait_longer_for_asking_again(clock):
    limiter = RateLimiter(1.0, 1, clock)
    limiter.take("a")
    assert [limiter.take("a") for _ in range(5)] == [1.0] * 5
    clock.now_s += 1.0
    assert limiter.take("a") == 0.0


def test_one_client_does_not_use_up_what_another_has(clock):
    limiter = RateLimiter(1.0, 1, clock)
    assert (limiter.take("a"), limiter.take("b")) == (0.0, 0.0)


def test_rest_earns_no_more_than_a_burst(clock):
    limiter = RateLimiter(10.0, 2, clock)
    clock.now_s += 3600
    assert [limiter.take("a") > 0 for _ in range(3)] == [False, False, True]


def test_zero_is_no_limit(clock):
    limiter = RateLimiter(0.0, 1, clock)
    assert {limiter.take("a") for _ in range(100)} == {0.0}


def test_a_flood_of_clients_takes_no_more_memory(clock):
    limiter = RateLimiter(1.0, 1, clock)
    for number in range(MOST_CLIENTS + 500):
        limiter.take(str(number))
    assert len(limiter._buckets) == MOST_CLIENTS


def test_a_clock_that_steps_back_locks_nobody_out(clock):
    limiter = RateLimiter(1.0, 1, clock)
    limiter.take("a")
    clock.now_s -= 1000
    assert limiter.take("a") == pytest.approx(1.0)


def test_over_http_per_key_with_the_time_to_wait(serve, with_key):
    url = serve(needs_keys=True, rate_per_s=0.01, rate_burst=2)
    mine, theirs = with_key("read"), with_key("read")
    answers = [httpx.get(f"{url}/v1/devices", headers=mine) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    problem(answers[-1], 429, "too-many-requests")
    assert 90 <= int(answers[-1].headers["retry-after"]) <= 100
    assert httpx.get(f"{url}/v1/devices", headers=theirs).status_code == 200


def test_guessing_keys_is_limited_per_address_and_leaves_key_holders_alone(serve, with_key):
    url = serve(needs_keys=True, rate_per_s=0.01, rate_burst=2)
    guess = {"Authorization": "Bearer tng_" + "A" * 43}
    statuses = [httpx.get(f"{url}/v1/devices", headers=guess).status_code for _ in range(4)]
    assert statuses == [401, 401, 429, 429]
    assert httpx.get(f"{url}/v1/devices", headers=with_key("read")).status_code == 200


def test_ones_own_machine_is_not_counted_without_keys(serve):
    url = serve(rate_per_s=0.01, rate_burst=1)
    assert {httpx.get(f"{url}/v1/devices").status_code for _ in range(5)} == {200}
