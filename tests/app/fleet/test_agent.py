"""Our process on a node, without Ray around it."""

from __future__ import annotations

import asyncio
import sys

import pytest

from app.fleet.environment import FOLDER_VARIABLE
from app.fleet.nodes import Description
from app.fleet.on_ray.agent import Agent
from app.fleet.on_ray.executor import RayExecutor
from tests.app.fleet.scripted import description
from tests.app.one_kind import kind  # noqa: F401


@pytest.fixture
def agent(tmp_path, monkeypatch) -> Agent:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return Agent()


def test_it_looks_again_only_when_the_configuration_has_changed(agent, tmp_path, monkeypatch):
    looks = []

    async def describe() -> dict:
        looks.append(1)
        return {"looked": len(looks)}

    monkeypatch.setattr(agent, "describe", describe)
    assert asyncio.run(agent.changed()) is None
    (tmp_path / "tonnage.toml").write_text("headroom = 0.1\n")
    assert asyncio.run(agent.changed()) == {"looked": 1}
    assert asyncio.run(agent.changed()) is None


def test_a_program_that_fails_tells_its_last_line(agent, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="exit status 1"):
        asyncio.run(agent.describe())


class FakeRay:
    """Answers are ready when the test says so."""

    class exceptions:
        RayError = RuntimeError

    def __init__(self) -> None:
        self.answers: dict[str, object] = {}

    def wait(self, refs, timeout):
        return [ref for ref in refs if ref in self.answers], []

    def get(self, ref, timeout):
        found = self.answers[ref]
        if isinstance(found, Exception):
            raise found
        return found


class FakeActor:
    class changed:
        @staticmethod
        def remote() -> str:
            return "looked"


def test_a_look_at_a_node_keeps_nobody_waiting_and_a_broken_one_changes_nothing():
    from app.fleet.nodes import SeenNode

    ray = FakeRay()
    node = SeenNode("id", "one", "10.0.0.1", {"rack": "3"})
    executor = RayExecutor(ray, FakeActor(), node, description("one"), None)
    more = description("one", devices=("cpu", "cuda:0"))
    broken = Description(more.owner, more.place, {}, None, "tonnage.toml is wrong.")
    for answer, devices in (
        (None, None),
        (RuntimeError("It broke."), None),
        (broken.to_dict(), None),
        (more.to_dict(), ["cpu", "cuda:0"]),
    ):
        ray.answers.clear()
        assert executor.changed() is None  # asks
        assert executor.changed() is None  # no answer yet
        ray.answers["looked"] = answer
        found = executor.changed()
        assert (None if found is None else [each.device for each in found.devices]) == devices
    assert executor.offers().devices[1].labels == {"rack": "3"}
