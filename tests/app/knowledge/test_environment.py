"""Facts of this machine and of an interpreter, against pages that are met and others that are
not."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from app.knowledge.environment import environment_here, judged
from app.machine import local_facts
from app.machine.interpreter import interpreter_facts
from knowledge.environments import Status
from knowledge.model import PageType
from knowledge.parsing import parse
from probes.errors import InputError, MeasurementError
from tests.knowledge.pages import ENVIRONMENT

SECRET = "hunter2-never-to-be-seen"


@pytest.fixture
def here(settings, monkeypatch):
    """The facts, with torch's devices given: asking torch takes seconds."""
    devices = {"devices": [{"kind": "cpu", "total_bytes": 8 * 2**30}]}
    monkeypatch.setattr("app.knowledge.environment.devices_here", lambda *_: devices)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    return environment_here(settings, sys.executable)


def answers(here, **replaced: str) -> dict[str, tuple[Status, str]]:
    text = ENVIRONMENT
    for old, new in replaced.items():
        text = text.replace(old, new)
    page = parse(text, type=PageType.ENVIRONMENT, name="Core")
    return {a.requirement.text: (a.status, a.install) for a in judged(page, here).answers}


def changed(here, old: str, new: str) -> dict[str, tuple[Status, str]]:
    assert old in ENVIRONMENT
    return answers(here, **{old: new})


def test_the_interpreter_is_asked_for_its_version_and_packages(here):
    assert here.facts.python == ".".join(map(str, sys.version_info[:3]))
    assert here.facts.packages["networkx"] == version("networkx")
    assert here.facts.os == sys.platform
    assert here.facts.free_disk_bytes > 0


def test_of_environment_variables_only_the_names_are_kept(here):
    assert "HF_TOKEN" in here.facts.variables
    assert SECRET not in repr(here)


def test_a_package_that_is_there_missing_or_too_old_is_said_with_the_line_to_install(here):
    line = "* `torch>=2.6`"
    met = changed(here, line, "* `networkx>=1.0`")
    assert met["networkx>=1.0"] == (Status.MET, "")
    old = changed(here, line, "* `networkx>=900`")
    assert old["networkx>=900"][0] is Status.TOO_OLD
    assert "pip install" in old["networkx>=900"][1] and "networkx>=900" in old["networkx>=900"][1]
    missing = changed(here, line, "* `no-such-package-here>=1`")
    assert missing["no-such-package-here>=1"][0] is Status.MISSING


def test_a_device_and_a_credential_that_are_not_here_are_missing(here, monkeypatch):
    found = changed(here, "NVIDIA GPU with 16 GB VRAM, or CPU", "NVIDIA GPU with 16 GB VRAM")
    assert found["NVIDIA GPU with 16 GB VRAM"][0] is Status.MISSING
    other = changed(here, "HF_TOKEN", "TONNAGE_TEST_TOKEN")
    (credential,) = [each for name, each in other.items() if "TONNAGE_TEST_TOKEN" in name]
    assert credential[0] is Status.MISSING


def test_programs_are_looked_for_that_the_pages_require(settings, monkeypatch, tmp_path):
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("app.knowledge.environment.devices_here", lambda *_: {"devices": []})
    monkeypatch.setenv("PATH", str(program.parent))
    page = parse(ENVIRONMENT, type=PageType.ENVIRONMENT, name="Core")
    found = environment_here(settings, sys.executable, [page])
    assert found.facts.programs == {"git"}


def test_torch_that_cannot_be_asked_leaves_the_devices_of_the_drivers(settings, monkeypatch):
    def fail(*_):
        raise MeasurementError("torch is broken")

    monkeypatch.setattr("app.knowledge.environment.devices_here", fail)
    found = environment_here(settings, sys.executable)
    assert "cpu" in {device.kind for device in found.facts.devices}
    assert any("torch is broken" in note for note in found.notes)


def test_no_file_of_the_working_directory_is_imported(monkeypatch, tmp_path):
    (tmp_path / "platform.py").write_text("raise SystemExit('imported')\n")
    monkeypatch.chdir(tmp_path)
    assert interpreter_facts(sys.executable).python


def test_an_interpreter_that_is_none_is_an_error(settings, tmp_path: Path):
    with pytest.raises(InputError, match="no such interpreter"):
        environment_here(settings, str(tmp_path / "python"))
    fake = tmp_path / "fake"
    fake.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    os.chmod(fake, 0o755)  # noqa: PTH101
    with pytest.raises(MeasurementError, match="broken"):
        environment_here(settings, str(fake))


def test_devices_are_asked_of_the_worker_once_and_kept(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(local_facts, "kept", lambda *_: None)
    monkeypatch.setattr(local_facts, "_ask", lambda *a: asked.append(a) or {"devices": []})
    assert local_facts.devices_here(None, None) == {"devices": []}  # type: ignore[arg-type]
    monkeypatch.setattr(local_facts, "kept", lambda *_: {"devices": ["kept"]})
    assert local_facts.devices_here(None, None) == {"devices": ["kept"]}  # type: ignore[arg-type]
    assert len(asked) == 1
