from __future__ import annotations

import time

from app.ids import new_id


def test_ids_sort_in_the_order_they_were_made():
    ids = [new_id("st") for _ in range(2000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(len(i) == 23 and i.startswith("st_") for i in ids)


def test_ids_keep_their_order_when_the_clock_steps_back(monkeypatch):
    first = new_id("st")
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000)
    assert new_id("st") > first
