"""The files that bring up a fleet: the scripts with a `tonnage` that records what it is told, the
manifests by what can be read in them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli import run
from app.settings.environment import PREFIX, location_of
from app.settings.keys import is_known

DEPLOY = Path(__file__).parents[1] / "deploy"
SCRIPTS = sorted([*DEPLOY.rglob("*.sh"), *DEPLOY.rglob("*.sbatch")])
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "docker-compose.yml").read_text())
CLUSTER = yaml.safe_load((DEPLOY / "kubernetes" / "fleet.yaml").read_text())
ADDRESS = "10.0.0.5:20042"
TONNAGE = f"""#!/bin/sh
# Records its command line, its end, and what it was given; says where the head is; ends when told.
me=$(echo "$2-$3" | tr -cd a-z-)
echo "$@" >> "$RECORDED/started"
echo "${{PGPASSWORD:-}}" > "$RECORDED/password-$me"
case "$*" in *--head*) [ ! -f "$RECORDED/refuse" ] || exit 3
  printf '{{\\n  "address": "{ADDRESS}",\\n  "head": true\\n}}\\n' ;; esac
trap 'echo "$@" >> "$RECORDED/ended"; exit 0' TERM
while [ ! -f "$RECORDED/end-$me" ]; do sleep 0.05; done
exit 7
"""
SCONTROL = f"""#!/bin/sh
[ "$*" = "show job 42" ] || exit 1
printf 'JobId=42 JobName=tonnage-fleet\\n   Command={DEPLOY}/slurm/fleet.sbatch --array\\n'
"""
PATIENCE_S = 60.0


def until(condition: Callable[[], Any]) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "It never came true."
        time.sleep(0.02)


class Host:
    """One on which scripts run, and the record of what they did there."""

    def __init__(self, folder: Path) -> None:
        self.recorded = folder / "recorded"
        self.home = folder / "home"
        programs = folder / "bin"
        for each in (self.recorded, self.home, programs):
            each.mkdir()
        for name, text in (("tonnage", TONNAGE), ("scontrol", SCONTROL)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.environment = {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.home),
            "RECORDED": str(self.recorded),
            "TONNAGE_DATABASE_URL": "postgresql://tonnage@db.example/tonnage",
        }
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, *command: str | Path, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(word) for word in command],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def task(self, number: int, **environment: str) -> subprocess.Popen[str]:
        """A task of the job array with number 42, as Slurm starts it: from a copy of the script."""
        copy = self.home / f"slurm_script_{number}"
        copy.write_bytes((DEPLOY / "slurm" / "fleet.sbatch").read_bytes())
        ids = {"JOB_ID": "42", "ARRAY_JOB_ID": "42", "ARRAY_TASK_ID": str(number)}
        slurm = {f"SLURM_{name}": value for name, value in {**ids, "ARRAY_TASK_MIN": "0"}.items()}
        return self.start("bash", copy, **slurm, **environment)

    def lines(self, name: str) -> list[str]:
        file = self.recorded / name
        return file.read_text().splitlines() if file.exists() else []

    def commands(self) -> list[str]:
        """The beginnings of the command lines that were started."""
        return [" ".join(line.split()[:3]) for line in self.lines("started")]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    for process in made.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


HEAD = (DEPLOY / "head.sh", "--port", "7000", "--", "tonnage", "serve", "--fleet", "auto")
BEGUN = ["fleet join --head", "serve --fleet auto"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_valid_and_stops_at_an_error(script: Path):
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    text = script.read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "\nset -euo pipefail\n" in text
    assert os.access(script, os.X_OK)


class TestHead:
    def test_it_is_directed_once_nodes_can_join(self, host, tmp_path):
        host.start(*HEAD, FLEET_RECORD=str(tmp_path / "head.json"))
        until(lambda: len(host.commands()) == 2)
        assert host.commands() == BEGUN
        assert "--port 7000" in host.lines("started")[0]
        assert json.loads((tmp_path / "head.json").read_text())["address"] == ADDRESS

    def test_a_signal_ends_what_directs_before_the_node(self, host, tmp_path):
        script = host.start(*HEAD, FLEET_RECORD=str(tmp_path / "head.json"))
        until(lambda: len(host.commands()) == 2)
        script.send_signal(signal.SIGTERM)
        assert script.wait(PATIENCE_S) == 0
        assert [line.split()[0] for line in host.lines("ended")] == ["serve", "fleet"]
        assert not (tmp_path / "head.json").exists()  # nobody is to join a head that has gone

    @pytest.mark.parametrize(
        ("ends", "other"), [("join---head", "serve"), ("--fleet-auto", "fleet")]
    )
    def test_when_one_of_them_ends_so_does_the_other(self, host, ends, other):
        script = host.start(*HEAD)
        until(lambda: len(host.commands()) == 2)
        (host.recorded / f"end-{ends}").touch()
        assert script.wait(PATIENCE_S) == 7
        assert [line.split()[0] for line in host.lines("ended")] == [other]

    def test_a_node_that_does_not_start_is_directed_by_nobody(self, host):
        (host.recorded / "refuse").touch()
        assert host.start(*HEAD).wait(PATIENCE_S) == 3
        assert host.commands() == BEGUN[:1]

    def test_without_a_command_it_says_how_it_is_used(self, host):
        script = host.start(DEPLOY / "head.sh", "--port", "7000")
        assert script.wait(PATIENCE_S) == 2
        assert "Usage" in script.communicate()[1]


class TestSecrets:
    def test_a_password_file_reaches_the_command_and_no_command_line(self, host, tmp_path):
        secret = tmp_path / "secret"
        secret.write_text("correct horse\n")
        script = DEPLOY / "with-secrets.sh"
        host.start(script, "tonnage", "fleet", "join", "h", DATABASE_PASSWORD_FILE=str(secret))
        until(lambda: host.lines("password-join-h"))
        assert host.lines("password-join-h") == ["correct horse"]
        assert host.lines("started") == ["fleet join h"]

    def test_a_password_file_that_is_missing_is_an_error(self, host):
        missing = {"DATABASE_PASSWORD_FILE": "/no/such/file"}
        assert host.start(DEPLOY / "with-secrets.sh", "tonnage", **missing).wait(PATIENCE_S) == 1
        assert host.commands() == []


class TestSlurm:
    def test_the_first_task_begins_the_fleet_and_the_others_join_it(self, host):
        others = [host.task(2), host.task(1)]  # Slurm starts them in any order
        host.task(0)
        until(lambda: len(host.commands()) == 4)
        assert sorted(host.commands()) == sorted(
            ["fleet join --head", "runner --fleet auto", *[f"fleet join {ADDRESS}"] * 2]
        )
        token = host.home / ".tonnage-fleet" / "42" / "token"
        joins = [line for line in host.lines("started") if line.startswith("fleet join")]
        assert all(f"--token-file {token}" in line for line in joins)
        assert token.parent.stat().st_mode & 0o077 == 0
        assert all(task.poll() is None for task in others)

    def test_a_task_that_slurm_ends_leaves_in_order(self, host):
        head, node = host.task(0), host.task(1)
        until(lambda: len(host.commands()) == 3)
        for task in (node, head):
            task.send_signal(signal.SIGTERM)
            assert task.wait(PATIENCE_S) == 0
        assert [line.split()[0] for line in host.lines("ended")] == ["fleet", "runner", "fleet"]

    def test_without_a_head_a_task_gives_up_and_says_for_whom_it_waited(self, host):
        task = host.task(1, FLEET_PATIENCE_S="0")
        assert task.wait(PATIENCE_S) == 1
        assert "squeue --job 42" in task.communicate()[1]
        assert host.commands() == []

    def test_without_a_database_nothing_starts(self, host):
        task = host.task(0, TONNAGE_DATABASE_URL="")
        assert task.wait(PATIENCE_S) != 0
        assert "PostgreSQL" in task.communicate()[1]
        assert host.commands() == []

    def test_slurm_is_asked_for_whole_hosts_and_a_signal_before_the_end(self):
        text = (DEPLOY / "slurm" / "fleet.sbatch").read_text()
        asked = dict(re.findall(r"^#SBATCH --([\w-]+)=?(\S*)$", text, flags=re.MULTILINE))
        assert (asked["nodes"], asked["ntasks"], asked["exclusive"]) == ("1", "1", "")
        assert asked["signal"].startswith("B:TERM@")
        assert re.fullmatch(r"0-\d+", asked["array"])


def pods() -> list[tuple[str, dict[str, Any]]]:
    spec = CLUSTER["spec"]
    found = [("head", spec["headGroupSpec"]["template"]["spec"])]
    return found + [(g["groupName"], g["template"]["spec"]) for g in spec["workerGroupSpecs"]]


@pytest.mark.parametrize(("name", "pod"), pods(), ids=[name for name, _ in pods()])
class TestKubernetes:
    def test_it_is_a_pod_of_a_cluster_that_starts_ray_itself(self, name, pod):
        assert (CLUSTER["apiVersion"], CLUSTER["kind"]) == ("ray.io/v1", "RayCluster")
        assert CLUSTER["metadata"]["annotations"]["ray.io/overwrite-container-cmd"] == "true"
        assert len(pod["containers"]) == 1
        assert "--interface=$(POD_IP)" in pod["containers"][0]["args"]

    def test_measuring_is_disturbed_by_nothing(self, name, pod):
        (container,) = pod["containers"]
        variables = {each["name"]: each.get("value") for each in container["env"]}
        assert variables["RAY_memory_monitor_refresh_ms"] == "0"
        asked = container["resources"]
        assert asked["requests"] == asked["limits"]  # guaranteed: it keeps its cores
        for probe in ("livenessProbe", "readinessProbe"):  # else KubeRay adds its own
            assert container[probe]["exec"] == {"command": ["true"]}
        assert CLUSTER["spec"]["enableInTreeAutoscaling"] is False

    def test_secrets_come_from_a_secret(self, name, pod):
        (container,) = pod["containers"]
        variables = {each["name"]: each for each in container["env"]}
        assert variables["PGPASSWORD"]["valueFrom"]["secretKeyRef"]["name"] == "tonnage-fleet"
        assert re.fullmatch(r"postgresql://\w+@[\w.-]+/\w+", url_in(variables))
        mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
        assert f"--token-file={mounted['secrets']}/fleet-token" in container["args"]
        assert variables["RAY_AUTH_TOKEN_PATH"]["value"] == f"{mounted['secrets']}/fleet-token"
        assert variables["RAY_AUTH_MODE"]["value"] == "token"

    def test_what_is_mounted_is_a_volume_and_the_pod_has_no_rights(self, name, pod):
        (container,) = pod["containers"]
        volumes = {each["name"] for each in pod["volumes"]}
        assert {each["name"] for each in container["volumeMounts"]} == volumes
        assert container["securityContext"]["runAsNonRoot"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert pod["automountServiceAccountToken"] is False


def url_in(variables: dict[str, Any]) -> str:
    url: str = variables["TONNAGE_DATABASE_URL"]["value"]
    return url


def test_the_ray_of_the_manifest_is_the_one_that_is_installed_in_the_image():
    lock = (DEPLOY.parent / "requirements.lock").read_text()
    assert f"\nray=={CLUSTER['spec']['rayVersion']}\n" in lock


class TestCompose:
    def test_two_nodes_and_a_database(self):
        assert sorted(COMPOSE["services"]) == ["database", "head", "node"]
        devices = [
            COMPOSE["services"][name]["deploy"]["resources"]["reservations"]["devices"][0]
            for name in ("head", "node")
        ]
        assert [each["device_ids"] for each in devices] == [["0"], ["1"]]

    def test_each_waits_for_what_is_healthy(self):
        for service in COMPOSE["services"].values():
            assert service["restart"] == "unless-stopped"
            for other, how in service.get("depends_on", {}).items():
                assert how == {"condition": "service_healthy"}
                assert "healthcheck" in COMPOSE["services"][other]

    def test_secrets_are_files(self):
        for service in COMPOSE["services"].values():
            assert set(service["secrets"]) <= set(COMPOSE["secrets"])
            given = service["environment"]
            files = [value for name, value in given.items() if name.endswith("PASSWORD_FILE")]
            assert files == ["/run/secrets/database-password"]
            assert "PASSWORD" not in {name.removeprefix("POSTGRES_") for name in given}
            assert "@" not in re.sub(r"//\w+@", "", given.get("TONNAGE_DATABASE_URL", ""))
        assert all(set(each) == {"file"} for each in COMPOSE["secrets"].values())

    def test_only_the_api_is_published_and_on_this_machine_only(self):
        published = {name: s["ports"] for name, s in COMPOSE["services"].items() if "ports" in s}
        assert published == {"head": ["127.0.0.1:8765:8765"]}

    def test_both_nodes_lock_devices_in_the_same_files_and_know_the_machine(self):
        one, other = (COMPOSE["services"][name] for name in ("head", "node"))
        assert one["volumes"] == other["volumes"]
        assert one["environment"] == other["environment"]
        assert {"/tmp:/leases", "/etc/machine-id:/etc/machine-id:ro"} <= set(one["volumes"])


def commands() -> list[list[str]]:
    """Every ``tonnage …`` of the files, without the first word; a head's join and what directs."""
    found = [COMPOSE["services"][name]["command"] for name in ("head", "node")]
    for _, pod in pods():
        (container,) = pod["containers"]
        found.append([*container["command"], *container["args"]])
    parts = []
    for words in found:
        if words[0] == "/opt/fleet/head.sh":
            at = words.index("--")
            parts += [["fleet", "join", "--head", *words[1:at]], words[at + 2 :]]
        else:
            parts.append(words[1:])
    script = (DEPLOY / "slurm" / "fleet.sbatch").read_text()
    for line in re.findall(r"tonnage ((?:fleet join|runner) .*)", script):
        parts.append(
            [w for w in re.sub(r'"\$\{ray\[@\]\}"|"', "", line).split() if w != "$address"]
        )
    return parts


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(words, capsys):
    assert run([*words, "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: tonnage")


def test_variables_are_settings():
    names = {
        *(name for s in COMPOSE["services"].values() for name in s["environment"]),
        *(each["name"] for _, pod in pods() for each in pod["containers"][0]["env"]),
    }
    for script in SCRIPTS:
        names |= set(re.findall(rf"\b{PREFIX}\w+", script.read_text()))
    ours = [name for name in names if name.startswith(PREFIX)]
    assert len(ours) >= 3
    assert [name for name in ours if not is_known(location_of(name))] == []
