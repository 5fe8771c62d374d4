"""A name is all that a request may give; nothing is imported to find out what it stands for."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from app.cli.context import find_workload
from app.errors import NotRegistered
from app.settings import Settings, load_settings
from app.workloads import registry
from probes.errors import InputError
from probes.workloads import BUILT_IN


@pytest.fixture
def configured(tmp_path):
    """Settings from a ``tonnage.toml`` with this text."""

    def settings(text: str = "") -> Settings:
        file = tmp_path / "tonnage.toml"
        file.write_text(text)
        return load_settings(environ={"TONNAGE_CONFIG": str(file)})

    return settings


def offered_by_packages(monkeypatch, *points: tuple[str, str]) -> None:
    made = [EntryPoint(name, value, registry.GROUP) for name, value in points]
    monkeypatch.setattr(registry, "entry_points", lambda group: made)


class TestNames:
    def test_the_built_in_ones(self, configured):
        found = registry.find(configured(), "transformer")
        assert (found.reference, found.source, found.python) == ("transformer", "built in", None)
        assert found.asked({}).label == "transformer"

    def test_a_file_beside_the_configuration(self, configured, tmp_path):
        text = '[workloads.mine]\nreference = "jobs/train.py:Net"\npython = "venv/bin/python"\n'
        found = registry.find(configured(text), "mine")
        assert found.reference == f"{tmp_path}/jobs/train.py:Net"
        assert found.python == f"{tmp_path}/venv/bin/python"
        reference = found.asked({})
        assert (reference.spec, reference.label) == (found.reference, "mine")

    def test_an_interpreter_may_be_a_command(self, configured):
        text = '[workloads.mine]\nreference = "package.train:Net"\npython = "python3.12"\n'
        found = registry.find(configured(text), "mine")
        assert (found.reference, found.python) == ("package.train:Net", "python3.12")

    def test_an_installed_package_offers_one_without_being_imported(self, configured, monkeypatch):
        offered_by_packages(monkeypatch, ("theirs", "no_such_package.train:Net"))
        found = registry.find(configured(), "theirs")
        assert found.reference == "no_such_package.train:Net"
        assert "no_such_package" not in sys.modules

    def test_the_configuration_wins_over_packages_and_nothing_over_the_built_in(
        self, configured, monkeypatch
    ):
        offered_by_packages(monkeypatch, ("mine", "theirs:Net"), ("visnet", "evil:Net"))
        known = registry.registered(configured('[workloads.mine]\nreference = "ours:Net"\n'))
        assert known["mine"].reference == "ours:Net"
        assert known["visnet"].reference == "visnet"
        with pytest.raises(InputError, match=r"visnet is a built-in workload"):
            registry.registered(configured('[workloads.visnet]\nreference = "evil:Net"\n'))

    @pytest.mark.parametrize("name", ["a.b", "a/b", "a b", "-a", "a:b"])
    def test_what_cannot_be_a_name(self, configured, name):
        with pytest.raises(InputError, match="letters, digits"):
            registry.registered(configured(f'[workloads."{name}"]\nreference = "ours:Net"\n'))

    def test_search_spaces_alone_register_nothing(self, configured):
        text = '[workloads."train.py:Net".rounding]\nwidth = 8\n'
        assert "train.py:Net" not in registry.registered(configured(text))


class TestRefusing:
    @pytest.mark.parametrize(
        "name",
        [
            "train.py:Net",
            "/etc/passwd",
            "../../train.py:Net",
            "os:system",
            "probes.workloads.visnet:ViSNet",
            "visnet; rm -rf /",
            "",
            "x" * 200,
        ],
    )
    def test_a_path_or_module_is_refused_with_the_reason(self, configured, name):
        with pytest.raises(NotRegistered, match="never a path or module"):
            registry.find(configured(), name)

    def test_a_module_that_looks_like_a_name_is_not_imported(self, configured):
        before = set(sys.modules)
        with pytest.raises(NotRegistered, match="not registered here"):
            registry.find(configured(), "antigravity")
        assert "antigravity" not in set(sys.modules) - before

    def test_a_slip_is_told_the_name_that_was_meant(self, configured):
        with pytest.raises(NotRegistered, match=r"Did you mean visnet\?"):
            registry.find(configured(), "visnett")


class TestOptions:
    TEXT = """
    [workloads.mine]
    reference = "ours:Net"
    options = { data = "/srv/train.npz" }
    request_options = ["length", "data"]
    """

    def test_a_request_may_set_what_is_listed_and_nothing_that_is_fixed(self, configured):
        found = registry.find(configured(self.TEXT), "mine")
        assert found.asked({"length": 3}).options == {"data": "/srv/train.npz", "length": 3}
        for option in ("data", "seed"):
            with pytest.raises(InputError, match=rf"may not set the option '{option}'.*length"):
                found.asked({option: "/etc/passwd"})

    def test_the_local_user_may_set_any(self, configured):
        found = registry.find(configured(self.TEXT), "mine")
        assert found.with_options({"data": "here"}).options == {"data": "here"}

    def test_what_a_request_may_set_is_decided_for_every_built_in_one(self):
        assert set(registry.REQUEST_OPTIONS) == set(BUILT_IN)

    def test_files_of_built_in_ones_are_for_whoever_runs_the_service(self, configured):
        plain = registry.find(configured(), "visnet")
        assert plain.asked({"cutoff": 4.0}).options == {"cutoff": 4.0}
        with pytest.raises(InputError, match="'data'"):
            plain.asked({"data": "/etc/passwd"})
        text = '[workloads.visnet]\noptions = { data = "/srv/pocket.pdb" }\n'
        chosen = registry.find(configured(text), "visnet")
        assert chosen.asked({}).options == {"data": "/srv/pocket.pdb"}


class TestCommandLine:
    def test_it_takes_a_registered_name_or_a_file(self, configured, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        text = '[workloads.mine]\nreference = "/srv/train.py:Net"\npython = "/opt/bin/python"\n'
        settings = configured(text)
        reference, python = find_workload(settings, "mine", {"a": 1})
        assert (reference.spec, reference.name, reference.options) == (
            "/srv/train.py:Net",
            "mine",
            {"a": 1},
        )
        assert python == "/opt/bin/python"
        reference, python = find_workload(settings, "train.py:Net", {})
        assert (reference.spec, reference.label, python) == (
            f"{Path(tmp_path).resolve()}/train.py:Net",
            f"{Path(tmp_path).resolve()}/train.py:Net",
            None,
        )
