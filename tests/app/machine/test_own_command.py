from __future__ import annotations

import pytest

from app.ids import new_id
from app.jobs import asking, assisting
from app.machine.own_command import KINDS, own_command


def test_a_command_is_shown_as_it_can_be_typed():
    assert own_command(["tune", "a b.py:Net"]) == "tonnage tune 'a b.py:Net'"


@pytest.mark.parametrize("prefix", [*asking.PREFIXES.values(), assisting.PREFIX])
def test_a_job_of_the_service_is_named(prefix):
    job_id = new_id(prefix)
    said = own_command([job_id, new_id("run"), "cpu", "2"])
    assert said == f"{KINDS[prefix]} {job_id} of the service"
