"""The container files, without a container engine: what can be checked by reading them."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli import run
from app.settings.environment import PREFIX, location_of
from app.settings.keys import is_known
from app.settings.model import Settings

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
PLACES = ("Dockerfile", "docker-compose.yml", "docs/jobs.md")
IN_CONTAINER = re.compile(
    r"docker compose (?:run --rm|exec) (?:service|runner) (.+?)(?:\s{2,}.*)?$"
)


def instructions() -> list[tuple[str, str, str]]:
    """Stage, instruction and arguments of the Dockerfile, in order."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    found, stage = [], ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        if line.strip():
            word, _, rest = line.partition(" ")
            if word == "FROM":
                stage = rest.rpartition(" AS ")[2]
            found.append((stage, word, " ".join(rest.split())))
    return found


def stages() -> dict[str, list[tuple[str, str]]]:
    """Every stage with what it inherits from stages before it."""
    found: dict[str, list[tuple[str, str]]] = {}
    for stage, word, rest in instructions():
        if word == "FROM":
            found[stage] = list(found.get(rest.partition(" AS ")[0], []))
        found[stage].append((word, rest))
    return found


def last(stage: str, word: str) -> str:
    return [rest for found, rest in stages()[stage] if found == word][-1]


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE)
    return loaded


def services() -> list[str]:
    return sorted(compose()["services"])


def commands() -> list[list[str]]:
    """Every ``tonnage …`` that stands in the files, without the first word."""
    found = [json.loads(last(stage, "CMD")) for stage in ("service", "runner")]
    found += [s["command"] for s in compose()["services"].values() if "command" in s]
    for place in PLACES:
        for line in (ROOT / place).read_text().splitlines():
            match = IN_CONTAINER.search(line.strip())
            if match:
                found.append(shlex.split(match[1]))
    return found


class TestDockerfile:
    def test_stages_build_on_stages_and_on_pinned_images(self):
        known: set[str] = set()
        for stage, word, rest in instructions():
            if word == "FROM":
                base = rest.partition(" AS ")[0]
                assert base in known or re.fullmatch(r"python:3\.1\d-slim", base)
                known.add(stage)
            if word == "COPY" and rest.startswith("--from="):
                assert rest.split()[0].removeprefix("--from=") in known

    def test_the_default_image_is_the_service(self):
        assert list(stages())[-1] == "service"

    @pytest.mark.parametrize("stage", ["service", "runner", "node"])
    def test_images_run_as_a_user_that_is_not_root(self, stage):
        assert last(stage, "USER") == "tonnage"

    @pytest.mark.parametrize("stage", ["service", "runner"])
    def test_images_of_one_command_take_its_arguments(self, stage):
        assert json.loads(last(stage, "ENTRYPOINT")) == ["tonnage"]

    def test_a_node_runs_what_it_is_told_with_its_secrets(self):
        copied = last("node", "COPY").split()
        (entry,) = json.loads(last("node", "ENTRYPOINT"))
        folder, _, name = entry.rpartition("/")
        assert (copied[-1], f"deploy/{name}" in copied) == (f"{folder}/", True)
        assert last("node", "HEALTHCHECK") == "NONE"

    def test_what_is_copied_is_there_and_not_ignored(self):
        ignored = [
            line
            for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line and not line.startswith("#")
        ]
        for _, word, rest in instructions():
            if word != "COPY" or rest.startswith("--from="):
                continue
            for source in rest.split()[:-1]:
                path = source.removeprefix("./")
                assert (ROOT / path).exists(), path
                rules = [r for r in ignored if fnmatch.fnmatch(path, r.removeprefix("!"))]
                assert rules[-1].startswith("!"), path

    def test_the_package_is_all_there(self):
        """What setuptools is told to package is what is copied."""
        copied = " ".join(rest for _, word, rest in instructions() if word == "COPY")
        pyproject = (ROOT / "pyproject.toml").read_text()
        packages = re.search(r"include = \[(.+)\]", pyproject)
        assert packages is not None
        for name in re.findall(r'"(\w+)\*"', packages[1]):
            assert f"COPY {name} ./{name}".removeprefix("COPY ") in copied

    def test_the_service_is_asked_for_its_health_where_it_listens(self):
        check = last("service", "HEALTHCHECK")
        code = json.loads(check[check.index("CMD") + 3 :])
        assert code[:2] == ["python", "-c"]
        compile(code[2], "HEALTHCHECK", "exec")
        port = Settings().service.port
        assert f"http://127.0.0.1:{port}/healthz" in code[2]
        assert last("service", "EXPOSE") == str(port)
        assert last("runner", "HEALTHCHECK") == "NONE"


class TestCompose:
    def test_the_three_of_them(self):
        assert services() == ["database", "runner", "service"]

    @pytest.mark.parametrize("name", services())
    def test_each_comes_back_and_waits_for_what_is_healthy(self, name):
        service = compose()["services"][name]
        assert service["restart"] == "unless-stopped"
        assert "image" in service
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in compose()["services"][other]

    @pytest.mark.parametrize("name", ["service", "runner"])
    def test_ours_are_built_from_a_stage_of_the_dockerfile(self, name):
        build = compose()["services"][name]["build"]
        assert build["target"] in stages()
        assert (ROOT / build["context"] / "Dockerfile").exists()

    def test_named_volumes_are_declared(self):
        for service in compose()["services"].values():
            for volume in service.get("volumes", []):
                source = volume.partition(":")[0]
                assert source.startswith(("./", "/")) or source in compose()["volumes"]

    def test_the_gpu_is_passed_to_the_runner_and_to_nobody_else(self):
        for name, service in compose()["services"].items():
            devices = service.get("deploy", {}).get("resources", {}).get("reservations", {})
            assert bool(devices) == (name == "runner")
        runner = compose()["services"]["runner"]["deploy"]["resources"]["reservations"]
        assert runner["devices"] == [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]

    def test_the_service_is_published_on_this_machine_only(self):
        port = Settings().service.port
        assert compose()["services"]["service"]["ports"] == [f"127.0.0.1:{port}:{port}"]
        assert "ports" not in compose()["services"]["database"]

    def test_no_password_is_written_down(self):
        passwords = re.findall(r"(?:PASSWORD: |//tonnage:)(\S+)", COMPOSE)
        assert len(passwords) == 3
        for match in passwords:
            assert match.startswith("${TONNAGE_DB_PASSWORD")

    def test_variables_are_settings(self):
        found = [
            name
            for service in compose()["services"].values()
            for name in service.get("environment", {})
        ]
        found += re.findall(rf"{PREFIX}\w+", (ROOT / "Dockerfile").read_text())
        ours = [name for name in found if name.startswith(PREFIX)]
        assert len(ours) >= 4
        assert [name for name in ours if not is_known(location_of(name))] == []


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_exists_with_its_options(words, capsys):
    assert run([*words, "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: tonnage")


def test_a_command_that_does_not_exist_would_be_noticed():
    assert run(["serve", "--no-such-option", "--help"]) == 2
    assert len(commands()) >= 5
