"""How a node is started: labels, the engine's command and environment, addresses and tokens."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import replace

import pytest

from app.cli.fleet.joining import asked_node
from app.fleet import address
from app.fleet.address import FleetAddress, find, joined, make_token, with_port
from app.fleet.environment import BEFORE_VARIABLE, FOLDER_VARIABLE, cleaned, remembered
from app.fleet.joining import NodeOptions, command, environment, labels_of, parse_labels
from app.fleet.on_ray import connection
from app.settings import load_settings
from probes.errors import InputError
from tests.app.one_kind import kind  # noqa: F401

CPU = {
    "device": "cpu",
    "kind": "cpu",
    "name": "EPYC",
    "total_bytes": 24 * 2**30,
    "free_bytes": None,
    "identity": {},
    "device_class": {"model": "EPYC"},
}


def test_a_port_that_ray_gives_to_its_workers_is_refused_for_a_head(tmp_path):
    settings = load_settings(environ={"TONNAGE_DATA_DIR": str(tmp_path)})
    with pytest.raises(InputError, match="10002 to 19999"):
        asked_node(settings, None, True, None, "127.0.0.1", 16_400)
    asked = asked_node(settings, None, True, None, "127.0.0.1", 20_000)
    assert asked.fleet.address == "127.0.0.1:20000"


@pytest.fixture
def settings(tmp_path):
    return load_settings(environ={"TONNAGE_DATA_DIR": str(tmp_path)})


class TestLabels:
    def test_a_node_says_what_its_best_device_is(self):
        found = labels_of([CPU], None)
        assert (found["tonnage/device"], found["tonnage/memory-gib"]) == ("cpu", "24")
        assert "tonnage/vendor" not in found

    def test_with_a_memory_budget_it_is_another_class(self):
        whole, part = labels_of([CPU], None), labels_of([CPU], 2 * 2**30)
        assert part["tonnage/memory-gib"] == "2"
        assert part["tonnage/class"] != whole["tonnage/class"]
        assert labels_of([CPU], 24 * 2**30) == whole
        assert labels_of([CPU], 192 * 2**20)["tonnage/memory-gib"] == "0.19"

    def test_labels_of_a_person(self):
        assert parse_labels("rack=3, room=cellar") == {"rack": "3", "room": "cellar"}
        assert parse_labels("") == {}

    @pytest.mark.parametrize("text", ["rack", "rack=", "=3", "rack=a b", "rack=3,/=x"])
    def test_what_is_no_label(self, text):
        with pytest.raises(InputError, match="--labels"):
            parse_labels(text)


class TestEnvironment:
    def test_a_job_gets_what_the_host_had_and_nothing_of_the_engine(self):
        host = {"PATH": "/bin", "OMP_NUM_THREADS": "3"}
        in_ray = {
            **host,
            **remembered(host),
            "OMP_NUM_THREADS": "1",
            "PYTHONBREAKPOINT": "ray.util",
            "RAY_JOB_ID": "01",
        }
        assert cleaned(in_ray) == host

    def test_a_node_that_somebody_else_started_remembers_nothing(self):
        assert cleaned({"PATH": "/bin", "OMP_NUM_THREADS": "1"}) == {"PATH": "/bin"}

    def test_the_node_knows_where_it_was_started(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        found = remembered({"RAY_ADDRESS": "a:1"})
        assert found[FOLDER_VARIABLE] == str(tmp_path)
        assert json.loads(found[BEFORE_VARIABLE]) == {"RAY_ADDRESS": "a:1"}

    def test_the_engine_kills_retries_and_limits_nothing(self, tmp_path):
        fleet = FleetAddress("10.0.0.5:6379", tmp_path / "token")
        options = NodeOptions(fleet, False, "", {"rack": "3"}, memory_budget_bytes=2**30)
        found = environment(options, connection.environment(fleet.token_file, fleet.address))
        assert found["RAY_memory_monitor_refresh_ms"] == "0"
        assert found["RAY_worker_niceness"] == "0"
        assert found["RAY_AUTH_MODE"] == "token"
        assert found["TONNAGE_RUNNER__MEMORY_BUDGET_BYTES"] == str(2**30)
        assert "TONNAGE_BUNDLES__ACCEPT" not in found
        accepting = environment(replace(options, accept_bundles=True), {})
        assert load_settings(environ=accepting).bundles.accept
        period, failures = (
            int(found[f"RAY_health_check_{name}"]) for name in ("period_ms", "failure_threshold")
        )
        assert period * failures == 3000

    def test_a_head_and_a_node_are_started_differently(self, tmp_path):
        fleet = FleetAddress("10.0.0.5:6380", tmp_path / "token")
        head = command(NodeOptions(fleet, True, "10.0.0.5", {"rack": "3"}))
        node = command(NodeOptions(fleet, False, "", {"rack": "3"}))
        assert head[:2] == node[:2] == [sys.executable, "-m"]
        assert head[head.index("--port") + 1] == "6380"
        assert head[head.index("--include-dashboard") + 1] == "false"
        assert node[node.index("--address") + 1] == "10.0.0.5:6380"
        assert "rack=3" in node[node.index("--labels") + 1]
        assert "--node-ip-address" not in node


class TestAddress:
    @pytest.mark.parametrize(
        ("asked", "meant"),
        [
            ("10.0.0.5", "10.0.0.5:6379"),
            ("10.0.0.5:7000", "10.0.0.5:7000"),
            ("ray://head.example:7000", "head.example:7000"),
        ],
    )
    def test_how_a_fleet_may_be_named(self, asked, meant):
        assert with_port(asked) == meant

    @pytest.mark.parametrize("asked", ["", "host:port", "host:0", "http://host/x", ":7000"])
    def test_what_is_no_address(self, asked):
        with pytest.raises(InputError, match="not the address of a fleet"):
            with_port(asked)

    def test_auto_is_the_fleet_that_this_host_has_joined(self, settings, tmp_path, monkeypatch):
        monkeypatch.delenv("RAY_ADDRESS", raising=False)
        with pytest.raises(InputError, match="belongs to no fleet"):
            find(settings, "auto")
        fleet = FleetAddress("10.0.0.5:6379", tmp_path / "token")
        with joined(settings, fleet):
            assert find(settings, "auto") == fleet
        with pytest.raises(InputError, match="belongs to no fleet"):
            find(settings, "auto")

    def test_a_service_looks_up_the_fleet_of_this_host_again_and_no_other(self, settings, tmp_path):
        token = tmp_path / "token"
        token.touch()
        with joined(settings, FleetAddress("10.0.0.5:6379", token)):
            assert find(settings, "auto").arguments == ["--fleet", "auto"]
            named = ["--fleet", "10.0.0.5:6379", "--token-file", str(token)]
            assert find(settings, "10.0.0.5", token).arguments == named
            assert find(settings, "auto", token).arguments == named

    def test_a_host_that_was_killed_has_joined_nothing(self, settings, tmp_path):
        with joined(settings, FleetAddress("10.0.0.5:6379", None)):
            (record,) = (tmp_path / "fleet").glob("*.json")
            told = json.loads(record.read_text())
            told["owner"]["started_s"] += 1000.0
            record.write_text(json.dumps(told))
            with pytest.raises(InputError, match="belongs to no fleet"):
                find(settings, "auto")

    def test_a_token_is_made_once_and_for_its_owner_only(self, tmp_path):
        file = tmp_path / "new" / "token"
        assert make_token(file)
        text = file.read_text()
        assert (len(text), stat.S_IMODE(file.stat().st_mode)) == (64, 0o600)
        assert not make_token(file)
        assert file.read_text() == text

    def test_a_token_file_that_is_not_there(self, settings, tmp_path):
        with pytest.raises(InputError, match="no such file"):
            find(settings, "10.0.0.5", tmp_path / "none")

    def test_the_token_of_the_environment_and_of_this_host(self, settings, tmp_path, monkeypatch):
        monkeypatch.delenv(address.TOKEN_VARIABLE, raising=False)
        assert find(settings, "10.0.0.5").token_file is None
        make_token(address.default_token_file(settings))
        assert find(settings, "10.0.0.5").token_file == tmp_path / "fleet.token"
        monkeypatch.setenv(address.TOKEN_VARIABLE, "/etc/token")
        assert str(find(settings, "10.0.0.5").token_file) == "/etc/token"


class TestImporting:
    def test_where_ray_is_not_installed_it_says_how_to(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "ray", None)
        with pytest.raises(InputError, match=r"tonnage\[ray\]"):
            connection.import_ray()

    def test_a_package_that_breaks_its_import_is_named(self, tmp_path, monkeypatch):
        """What amdsmi does without ROCm: a KeyError out of a package that Ray looks at."""
        (tmp_path / "ray").mkdir()
        (tmp_path / "ray" / "__init__.py").write_text("import amdsmi\n")
        (tmp_path / "amdsmi.py").write_text("import os\nos.environ['ROCM_NOT_HERE']\n")
        for name in [n for n in sys.modules if n == "ray" or n.startswith("ray.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(str(tmp_path))
        with pytest.raises(InputError, match=r"KeyError.*pip uninstall amdsmi"):
            connection.import_ray()
        sys.modules.pop("ray", None)
        sys.modules.pop("amdsmi", None)

    def test_nothing_but_a_fleet_imports_ray(self):
        """In a process of its own: another test of this one may have imported it."""
        import subprocess

        code = (
            "import sys, app.cli.commands.fleet, app.cli.fleet.joining, app.cli.commands.serve, "
            "app.service.serve, app.fleet.on_ray.connection, app.fleet.on_ray.cluster; "
            "sys.exit('ray' in sys.modules)"
        )
        ended = subprocess.run([sys.executable, "-c", code], env=dict(os.environ), check=False)
        assert ended.returncode == 0
