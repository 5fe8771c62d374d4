"""What is stored of a command, used after its script has changed, in its folder and elsewhere."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.checks.plan import RunPlan
from app.checks.shortfall import untried
from app.cli import run as tonnage
from app.machine import local_facts
from app.validity import source
from app.workloads.again import settable
from probes.errors import InputError
from tests.app.checks.seeded import RECOMMENDATION, TEMPLATE, seed_command


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


Command = Callable[..., Ran]
STRICT = ("run", "--on-stale", "fail", "--", sys.executable, "-c", "pass")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a command was measured, which is where the user is."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TONNAGE_DATA_DIR", str(tmp_path / "data"))
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    seed_command(folder)
    return folder


@pytest.fixture
def ran(project: Path, capfd: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> Ran:
        status = tonnage(list(arguments))
        seen = capfd.readouterr()
        return Ran(status, seen.out, seen.err)

    return run


def edit(script: Path) -> None:
    script.write_text(script.read_text() + "# edited\n")


# -- the script has changed


def test_a_run_starts_while_nothing_has_changed(ran: Command) -> None:
    assert ran(*STRICT).status == 0


@pytest.mark.parametrize("named", [(), ("--workload", "command:train.py")])
def test_a_run_is_kept_from_starting_by_another_source(ran, project, named) -> None:
    edit(project / "train.py")
    strict = ran("run", *named, *STRICT[1:])
    assert (strict.status, "source" in strict.err) == (3, True)
    warned = ran("run", *named, "--", sys.executable, "-c", "print('went')")
    assert (warned.status, warned.out) == (0, "went\n")
    assert "source" in warned.err


def test_a_script_that_is_gone_is_a_doubt_too(ran, project) -> None:
    (project / "train.py").unlink()
    strict = ran(*STRICT)
    assert strict.status == 3
    assert "train.py" in strict.err
    assert ran("run", "--", sys.executable, "-c", "pass").status == 0


def test_an_export_warns_of_another_source(ran, project) -> None:
    args = ("export", "latest", "--to", "args")
    assert ran(*args).err == ""
    edit(project / "train.py")
    warned = ran(*args)
    assert (warned.status, warned.out) == (0, "--batch-size 96 --layers 2\n")
    assert f"{RECOMMENDATION} is no longer valid here" in warned.err


# -- the name that its results have


PLAN = ("check", "args.txt", "--workload", "command:train.py")


@pytest.fixture
def args(ran: Command) -> None:
    """An export that has no place for the id of its recommendation."""
    assert ran("export", "latest", "--to", "args", "--output", "args.txt").status == 0


def test_its_name_checks_an_export_without_an_id(ran, args) -> None:
    found = ran(*PLAN)
    assert (found.status, found.out.partition(":")[0]) == (0, "fits"), found.err


def test_a_check_of_the_command_itself(ran, project) -> None:
    given = ("--command", TEMPLATE, "--space", "layers=1,2", "--set", "layers=2")
    plan = ("check", "--batch-size", "96", *given)
    found = ran(*plan)
    assert (found.status, found.out.partition(":")[0]) == (0, "fits"), found.err
    edit(project / "train.py")
    assert (ran(*plan).status, ran(*plan, "--workload", "transformer").status) == (3, 2)


def test_its_name_stands_for_the_command_as_it_was_measured_last(ran, project) -> None:
    shown = json.loads(ran("tune", "command:train.py", "--dry-run", "--json").out)
    assert shown["cwd"] == str(project)
    assert [each["config"] for each in shown["commands"]] == [{"layers": 1}, {"layers": 2}]
    other = ran("tune", "command:train.py", "--space", "layers=7", "--dry-run", "--json")
    assert [each["config"] for each in json.loads(other.out)["commands"]] == [{"layers": 7}]


@pytest.mark.parametrize("command", ["check", "tune"])
def test_a_name_that_is_not_stored(ran, command) -> None:
    batch = ("--batch-size", "8") if command == "check" else ("--dry-run",)
    found = ran(command, *(["--workload"] if command == "check" else []), "command:x.py", *batch)
    assert found.status == 2
    assert "--command" in found.err and "[commands.NAME]" in found.err


def test_the_advice_measures_the_same_command(ran, project, monkeypatch, args) -> None:
    plan = [*PLAN, "--batch-size", "150"]
    plan[1] = str(project / plan[1])
    monkeypatch.chdir(project.parent)
    answer = json.loads(ran(*plan, "--json").out)
    words = shlex.split(answer["tune"])
    assert words[0] == "tonnage"
    assert f"cwd={project}" in words
    assert answer["tune"] in ran(*plan).out
    shown = json.loads(ran(*words[1:], "--dry-run", "--json").out)
    assert shown["cwd"] == str(project)
    assert [each["config"] for each in shown["commands"]] == [{"layers": 1}, {"layers": 2}]


# -- another folder than that of the measurement


@pytest.fixture
def clone(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A second clone, which is where the user is now."""
    folder = tmp_path / "clone"
    shutil.copytree(project, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def plan(ran: Command, tmp_path: Path) -> str:
    """A plan that names its recommendation, in a folder without a script."""
    file = tmp_path / "plan.yaml"
    assert ran("export", "latest", "--to", "yaml", "--output", str(file)).status == 0
    return str(file)


def test_what_was_compared_is_told_with_its_folder(ran, project, plan) -> None:
    answer = json.loads(ran("check", plan, "--json").out)
    assert answer["verdict"] == "fits"
    assert (answer["command"]["template"], answer["command"]["folder"]) == (TEMPLATE, str(project))
    explained = ran("check", plan, "--explain").out
    assert TEMPLATE in explained and str(project) in explained


def test_the_same_script_elsewhere_is_as_good(ran, clone, plan) -> None:
    assert ran("check", plan).status == 0
    assert ran(*STRICT).status == 0


def test_another_script_in_the_current_folder_makes_it_stale(ran, project, clone, plan) -> None:
    edit(clone / "train.py")
    found = ran("check", plan)
    headline = found.out.splitlines()[0]
    assert (found.status, headline.partition(":")[0]) == (3, "stale")
    assert str(clone) in headline and str(project) in headline
    strict = ran(*STRICT)
    assert (strict.status, str(clone) in strict.err) == (3, True)
    again = shlex.split(json.loads(ran("check", plan, "--json").out)["tune"])
    assert not any(word.startswith("cwd=") for word in again), "it measures the script here"


def test_so_does_one_beside_the_plan(ran, project, clone, plan, monkeypatch) -> None:
    edit(clone / "train.py")
    own = shutil.copy(plan, clone)
    monkeypatch.chdir(project)
    assert ran("check", plan).status == 0
    assert ran("check", str(own)).status == 3
    edit(project / "train.py")
    shutil.copy(project / "train.py", clone)
    assert ran("check", str(own)).status == 3


def test_a_script_beside_the_plan_does_not_speak_for_an_edited_one_here(
    ran, project, clone, plan, monkeypatch
) -> None:
    edit(project / "train.py")
    own = shutil.copy(plan, clone)
    monkeypatch.chdir(project)
    assert ran("check", str(own)).status == 3
    named = ("check", str(own), "--workload", "command:train.py")
    assert ran(*named).status == 3


def test_a_folder_that_is_gone_is_replaced_by_one_that_has_the_script(
    ran, project, clone, plan, monkeypatch
) -> None:
    shutil.rmtree(project)
    assert ran("check", plan).status == 0
    edit(clone / "train.py")
    assert ran("check", plan).status == 3


# -- a script that is there without something else, and one that cannot be located


@pytest.fixture
def measure(project: Path, tmp_path: Path) -> Callable[..., None]:
    """Replace what is stored by a command of this template, measured in the project."""

    def stored(template: str, **options: object) -> None:
        shutil.rmtree(tmp_path / "data")
        seed_command(project, template, **options)

    return stored


def _program(project: Path) -> None:
    start = project / "start"
    start.write_text("#!/bin/sh\n")
    start.chmod(0o755)


def _environment(project: Path) -> None:
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/bin/python").symlink_to(sys.executable)


def _config(project: Path) -> None:
    (project / "t.yaml").write_text("batch: {batch_size}\n")


INCOMPLETE = [
    (_program, "./start train.py {batch_size} {layers}", {}, "start"),
    (_environment, ".venv/bin/python train.py {batch_size} {layers}", {}, ".venv"),
    (_config, "{python} train.py {config} {layers}", {"config": "t.yaml"}, "t.yaml"),
]


@pytest.mark.parametrize(("make", "template", "options", "lacks"), INCOMPLETE)
def test_a_script_is_judged_although_something_else_is_missing(
    make, template, options, lacks, ran, project, tmp_path, measure, monkeypatch
) -> None:
    make(project)
    measure(template, **options)
    plan = str(tmp_path / "plan.yaml")
    assert ran("export", "latest", "--to", "yaml", "--output", plan).status == 0
    assert (ran("check", plan).status, ran(*STRICT).status) == (0, 0)
    clone = tmp_path / "clone"
    clone.mkdir()
    shutil.copy(project / "train.py", clone)
    edit(clone / "train.py")
    monkeypatch.chdir(clone)
    strict = ran(*STRICT)
    assert (strict.status, "could not be compared" in strict.err) == (3, True), strict.err
    assert str(clone) in strict.err and lacks in strict.err
    assert ran("run", "--", sys.executable, "-c", "print('went')").out == "went\n"
    checked = ran("check", plan)
    assert (checked.status, checked.out.partition(":")[0]) == (3, "stale"), checked.err
    assert "could not be compared" in checked.out and lacks in checked.out


BEHIND = [
    ("cd src && python train.py {batch_size} {layers}", {"shell": True}),
    ("bash -c 'cd src && exec python train.py $0 $1' {batch_size} {layers}", {}),
    ("{python} src {batch_size} {layers}", {}),
]


@pytest.mark.parametrize(("template", "options"), BEHIND)
def test_a_script_behind_cd_or_in_shell_text_is_judged_where_it_is(
    template, options, ran, project, tmp_path, measure, monkeypatch
) -> None:
    (project / "src").mkdir()
    for name in ("train.py", "__main__.py"):
        (project / "src" / name).write_text("print('step 1')\n")
    measure(template, **options)
    plan = str(tmp_path / "plan.yaml")
    assert ran("export", "latest", "--to", "yaml", "--output", plan).status == 0
    clone = tmp_path / "clone"
    shutil.copytree(project, clone)
    monkeypatch.chdir(clone)
    for own in (ran("check", plan), ran(*STRICT)):
        assert (own.status, "were compared" in own.err) == (0, False), own.err
    for name in ("train.py", "__main__.py"):
        edit(clone / "src" / name)
    checked = ran("check", plan)
    assert (checked.status, checked.out.partition(":")[0]) == (3, "stale")
    assert ran(*STRICT).status == 3


SHELL = {"shell": True}
UNLOCATED = [("make train B={batch_size} L={layers}", {}), ("$START {batch_size} {layers}", SHELL)]


@pytest.mark.parametrize(("template", "options"), UNLOCATED)
def test_the_folder_is_named_that_speaks_for_one_whose_script_is_not_located(
    template, options, ran, project, tmp_path, measure, monkeypatch
) -> None:
    _with_make(tmp_path, monkeypatch)
    measure(template, **options)
    plan = str(tmp_path / "plan.yaml")
    assert ran("export", "latest", "--to", "yaml", "--output", plan).status == 0
    for own in (ran("check", plan), ran(*STRICT)):
        assert (own.status, "were compared" in own.err) == (0, False)
    shutil.copytree(project, tmp_path / "clone")
    monkeypatch.chdir(tmp_path / "clone")
    for found in (ran("check", plan), ran(*STRICT)):
        assert found.status == 0
        assert f"the files that it names in {project} were compared" in found.err


def test_what_was_not_found_is_said_with_every_answer(
    ran, project, tmp_path, measure, monkeypatch
) -> None:
    measure("$START {batch_size} {layers}", shell=True)
    plan = str(tmp_path / "plan.yaml")
    assert ran("export", "latest", "--to", "yaml", "--output", plan).status == 0
    for own in (ran("check", plan), ran(*STRICT)):
        assert (own.status, "is not noticed" in own.err) == (0, True), own.err
    edit(project / "train.py")
    assert ran("check", plan).status == 3, "all code of the folder counts then"


def _with_make(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of this name, wherever the tests run."""
    (folder / "bin").mkdir()
    program = folder / "bin" / "make"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=os.pathsep)


# -- what cannot be looked at keeps no run from starting


def test_a_program_that_is_a_path_and_not_here(ran, project, measure, monkeypatch) -> None:
    _environment(project)
    measure(".venv/bin/python train.py {batch_size} {layers}")
    shutil.rmtree(project / ".venv")
    monkeypatch.chdir(project.parent)
    found = ran("run", "--", "/bin/echo", "started")
    assert (found.status, found.out) == (0, "started\n")
    assert "There is no program '.venv/bin/python'" in found.err


def test_a_folder_that_may_not_be_read(ran, project, monkeypatch) -> None:
    def refused(path: Path) -> bool:
        if path == project:
            raise PermissionError(13, "Permission denied", str(path))
        return is_dir(path)

    is_dir = Path.is_dir
    monkeypatch.chdir(project.parent)
    monkeypatch.setattr(Path, "is_dir", refused)
    found = ran("run", "--", "/bin/echo", "started")
    assert (found.status, found.out) == (0, "started\n")
    assert f"could not be compared: {project} cannot be read: Permission denied" in found.err
    assert ran(*STRICT).status == 3


def test_a_torch_that_lacks_the_device_that_is_asked_for(ran, monkeypatch) -> None:
    def unlike(python: str | None, device: str | None, *rest: object, **options: object) -> None:
        if python == "/other/python":
            raise InputError("There is no device cuda:0.")
        return looked(python, device, *rest, **options)

    looked = local_facts.device_here
    monkeypatch.setattr(local_facts, "device_here", unlike)
    monkeypatch.setattr(source, "interpreter_of", lambda *_: "/other/python")
    found = ran("run", "--", "/bin/echo", "started")
    assert (found.status, found.out) == (0, "started\n")
    assert "The device could not be compared: There is no device cuda:0." in found.err
    assert ran(*STRICT).status == 3


# -- what a command cannot have


def test_no_lever_is_advised_that_it_has_no_placeholder_for(ran, plan) -> None:
    answer = json.loads(ran("check", plan, "--batch-size", "384", "--json").out)
    assert (answer["verdict"], answer["largest_batch"]) == ("does_not_fit", 96)
    assert answer["heuristics"] == []
    assert not {"gradient_checkpointing", "precision", "accumulation"} & set(
        re.findall(r"\w+", answer["lever"])
    )


def test_it_has_a_place_for_some() -> None:
    options = {"command": "a {batch_size} {accumulation}", "space": {"precision": "fp32,bf16"}}
    plan = RunPlan("command:a", {"precision": "fp32"}, 8, settable=settable("command:a", options))
    assert untried(plan) == [("precision", "bf16")]
    assert plan.takes("accumulation", 4)
    assert not plan.takes("precision", "fp16")
    assert settable("transformer", {}) is None


def test_a_place_in_the_configuration_file_is_one_too(tmp_path: Path) -> None:
    options = {"command": "a {config}", "config": "t.yaml", "cwd": str(tmp_path)}
    assert settable("command:a", options) == {}
    (tmp_path / "t.yaml").write_text("batch: {batch_size}\nevery: {accumulation}\n")
    assert settable("command:a", options) == {"accumulation": None}


def test_a_value_that_it_has_no_placeholder_for_is_refused(ran, plan) -> None:
    refused = ran("check", plan, "--set", "gradient_checkpointing=true")
    assert (refused.status, refused.out) == (2, "")
    assert "gradient_checkpointing" in refused.err and "Known: layers" in refused.err
    assert ran("check", plan, "--set", "layers=2").status == 0
