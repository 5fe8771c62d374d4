from __future__ import annotations

import re
import time

from app.ids import form_of, new_id


def test_ids_sort_in_the_order_they_were_made():
    ids = [new_id("st") for _ in range(2000)]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids)
    assert all(len(i) == 23 and i.startswith("st_") for i in ids)


def test_ids_keep_their_order_when_the_clock_steps_back(monkeypatch):
    first = new_id("st")
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000)
    assert new_id("st") > first


def test_every_id_has_the_form_of_its_prefix():
    ids = [new_id("st") for _ in range(500)]
    assert all(re.search(form_of("st"), each) for each in ids)
    assert not any(re.search(form_of("rec"), each) for each in ids)
    assert not re.search(form_of("st"), ids[0] + "0")
