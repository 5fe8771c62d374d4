"""A name is all that a request may give; nothing is imported to find out what it stands for."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from app.errors import NotRegistered
from app.settings import load_settings
from app.workloads import registry


def settings(tmp_path: Path, text: str = ""):
    file = tmp_path / "tonnage.toml"
    file.write_text(text)
    return load_settings(environ={"TONNAGE_CONFIG": str(file)})


def test_the_built_in_workloads_are_registered(tmp_path):
    assert {"transformer", "visnet"} <= set(registry.registered(settings(tmp_path)))


def test_a_name_from_the_configuration_stands_for_a_file_beside_it(tmp_path):
    text = '[workloads.mine]\nreference = "jobs/train.py:Net"\noptions = {rows = 10}\n'
    found = registry.require(settings(tmp_path, text), "mine")
    assert found.reference == f"{tmp_path}/jobs/train.py:Net"
    assert (found.source, found.options, found.python) == ("tonnage.toml", {"rows": 10}, None)


def test_options_alone_apply_to_what_the_name_stands_for_already(tmp_path):
    text = '[workloads.visnet]\noptions = {data = "/srv/pocket.pdb"}\npython = "/opt/bin/python"\n'
    found = registry.require(settings(tmp_path, text), "visnet")
    assert (found.reference, found.options) == ("visnet", {"data": "/srv/pocket.pdb"})
    assert found.python == "/opt/bin/python"


def test_an_installed_package_offers_one_without_being_imported(tmp_path, monkeypatch):
    point = EntryPoint("theirs", "no_such_package.train:Net", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    found = registry.require(settings(tmp_path), "theirs")
    assert (found.reference, found.source) == ("no_such_package.train:Net", "entry point")
    assert "no_such_package" not in sys.modules


@pytest.mark.parametrize(
    "name",
    [
        "train.py:Net",
        "/etc/passwd",
        "../../train.py:Net",
        "os:system",
        "probes.workloads.visnet:ViSNet",
        "antigravity",
        "",
        "visnet; rm -rf /",
    ],
)
def test_paths_modules_and_unknown_names_are_refused_and_never_imported(tmp_path, name):
    before = set(sys.modules)
    with pytest.raises(NotRegistered, match="is not registered on this host"):
        registry.require(settings(tmp_path), name)
    assert {module for module in set(sys.modules) - before if "antigravity" in module} == set()


def test_a_slip_is_told_the_name_that_was_meant(tmp_path):
    with pytest.raises(NotRegistered, match="Did you mean 'visnet'"):
        registry.require(settings(tmp_path), "visnett")


def test_the_command_line_takes_a_registered_name_or_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = settings(tmp_path, '[workloads.mine]\nreference = "/srv/train.py:Net"\n')
    assert registry.lookup(known, "mine").reference == "/srv/train.py:Net"
    assert registry.lookup(known, "train.py:Net").reference == f"{tmp_path}/train.py:Net"
    assert registry.lookup(known, "package.module:Net").reference == "package.module:Net"


def test_results_are_found_under_the_name_and_under_what_it_stands_for(tmp_path):
    known = settings(tmp_path, '[workloads.mine]\nreference = "/srv/train.py:Net"\n')
    assert registry.references(known, "mine") == ["mine", "/srv/train.py:Net"]
    assert registry.references(known, "visnet") == ["visnet"]
    assert registry.references(known, "other") == ["other"]
