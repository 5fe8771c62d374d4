"""What a command starts in the end, whatever launcher stands in front of it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from probes.black_box.command import command_of, interpreter_of, name_of, reference
from probes.black_box.launchers import LaunchTarget, how_to_install, target_of
from probes.black_box.shell_text import ShellText
from probes.black_box.sources import describe
from probes.errors import InputError

SCRIPTS = [
    "python train.py --lr 1",
    "{python} -u -X dev train.py",
    "python -m torch.distributed.run --standalone --nproc-per-node 2 train.py x.py",
    "torchrun --standalone --nproc_per_node=2 train.py --config a.yaml",
    "torchrun --nnodes 1 --nproc_per_node 2 train.py",
    "accelerate launch train.py",
    "accelerate launch --cpu --num_processes 1 --mixed_precision no train.py --lr 1",
    "accelerate launch --config_file cpu.yaml --quiet train.py",
    "deepspeed --num_gpus 2 train.py --deepspeed ds.json",
    "uv run train.py",
    "uv run --with rich --frozen train.py",
    "uv run -- python train.py",
    "uv run --no-sync accelerate launch --cpu train.py",
    "uv run torchrun --standalone train.py",
    "conda run -n torch --no-capture-output python train.py",
    "poetry run python train.py",
    "env -u LANG OMP_NUM_THREADS=1 B={batch_size} nice -n 10 python train.py",
    "nohup nice -10 python3.11 train.py",
    "stdbuf -oL python train.py",
    "torchrun --no-python python train.py",
    "srun --gres=gpu:1 python train.py",
]
MODULES = [
    "python -m package.train --lr 1",
    "python -um package.train",
    "torchrun --nproc_per_node 2 -m package.train",
    "torchrun --nproc_per_node=2 --module package.train --lr 1",
    "accelerate launch --cpu -m package.train",
    "{python} -m accelerate.commands.launch --cpu --module package.train",
    "uv run -m package.train",
    "uv run python -m package.train",
]


@pytest.mark.parametrize("command", SCRIPTS)
def test_the_script_behind_a_launcher(command: str) -> None:
    target = target_of(shlex.split(command))
    assert (target.script, target.module) == ("train.py", "")
    assert name_of(command) == "train.py"


@pytest.mark.parametrize("command", MODULES)
def test_the_module_behind_a_launcher(command: str) -> None:
    target = target_of(shlex.split(command))
    assert (target.script, target.module) == ("", "package.train")
    assert name_of(command) == "package.train"


@pytest.mark.parametrize(
    ("command", "target"),
    [
        ("bash -x jobs/train.sh 8", LaunchTarget("jobs/train.sh")),
        ("bash -e -o pipefail train.sh", LaunchTarget("train.sh")),
        ("./train.sh 8", LaunchTarget("./train.sh")),
        ("bash -c 'python train.py'", LaunchTarget(text="python train.py")),
        ("env A=1 sh -o pipefail -ec 'a b' c", LaunchTarget(text="a b")),
        ("python -c 'import x'", LaunchTarget(python="python")),
        ("./trainer 8", LaunchTarget()),
        ("accelerate config", LaunchTarget(python="accelerate")),
        ("uv sync", LaunchTarget(python=".venv/bin/python")),
        ("torchrun", LaunchTarget(python="torchrun")),
    ],
)
def test_other_programs(command: str, target: LaunchTarget) -> None:
    assert target_of(shlex.split(command)) == target


def test_the_commands_of_a_shell_script() -> None:
    text = (
        "#!/bin/bash\nset -e  # stop\nexport A=1\ncd x && B=2 python a.py \\\n  --lr 1 | tee log\n"
        "echo 'open\nif [ -f b.py ]; then torchrun b.py; fi\n"
    )
    found = [each.words for each in ShellText(Path("/at")).commands(text)]
    assert ["python", "a.py", "--lr", "1"] in found
    assert ["tee", "log"] in found
    assert "b.py" in [word for words in found for word in words]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "train.py").write_text("import package.model\n")
    (tmp_path / "package" / "model.py").write_text("WIDTH = 1\n")
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "train.sh").write_text(
        'set -e\nOMP_NUM_THREADS=1 torchrun --standalone \\\n  scripts/run.py --batch "$1"\n'
    )
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "run.py").write_text("")
    (tmp_path / "scripts" / "data.py").write_text("")
    (tmp_path / "jobs" / "by_variable.sh").write_text(
        'HERE="$(cd "$(dirname "$0")" && pwd)"\npython "$HERE/../scripts/run.py" --batch "$1"\n'
    )
    (tmp_path / "jobs" / "go").write_text("#!/usr/bin/env bash\ncd scripts\npython run.py $1\n")
    (tmp_path / "jobs" / "go").chmod(0o755)
    (tmp_path / "Makefile").write_text("train:\n\tpython scripts/run.py $(BS)\n")
    (tmp_path / "hydra_app" / "conf" / "model").mkdir(parents=True)
    (tmp_path / "hydra_app" / "conf" / "model" / "small.yaml").write_text("width: 1\n")
    (tmp_path / "hydra_app" / "base.yaml").write_text("width: 1\n")
    (tmp_path / "hydra_app" / "main.py").write_text(
        '@hydra.main(version_base=None, config_path="conf", config_name="config")\n'
        'def main(cfg):\n    base = OmegaConf.load("base.yaml")\n'
    )
    return tmp_path


def hash_of(project: Path, command: str, **more: object) -> str:
    workload = reference("x", {"command": command, "cwd": str(project), **more})
    found: str = describe(workload)["source_hash"]
    return found


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("{python} -m package.train --b {batch_size}", "package/model.py"),
        ("{python} -m torch.distributed.run -m package.train {batch_size}", "package/model.py"),
        ("bash jobs/train.sh {batch_size}", "jobs/train.sh"),
        ("bash jobs/train.sh {batch_size}", "scripts/run.py"),
        ("bash jobs/train.sh {batch_size}", "scripts/data.py"),
        ("nice -n 1 {python} -m package {batch_size}", "package/__main__.py"),
        ("bash -c 'cd scripts && python run.py {batch_size}'", "scripts/data.py"),
        ("bash jobs/by_variable.sh {batch_size}", "scripts/data.py"),
        ("jobs/go {batch_size}", "jobs/go"),
        ("jobs/go {batch_size}", "scripts/data.py"),
        ("make train BS={batch_size}", "scripts/run.py"),
        ("{python} hydra_app/main.py batch_size={batch_size}", "hydra_app/conf/model/small.yaml"),
        ("{python} hydra_app/main.py batch_size={batch_size}", "hydra_app/base.yaml"),
        (
            "{python} package/train.py --config-dir hydra_app/conf {batch_size}",
            "hydra_app/conf/model/small.yaml",
        ),
    ],
)
def test_the_hash_follows_what_a_launcher_starts(project: Path, command: str, file: str) -> None:
    (project / "package" / "__main__.py").write_text("")
    before = hash_of(project, command)
    (project / "output.txt").write_text("written by the run")
    assert hash_of(project, command) == before
    (project / file).write_text("WIDTH = 2\n")
    assert hash_of(project, command) != before


def test_the_hash_follows_what_a_command_in_a_shell_starts(project: Path) -> None:
    command = "cd . && {python} -m package.train {batch_size}"
    before = hash_of(project, command, shell=True)
    (project / "package" / "model.py").write_text("WIDTH = 2\n")
    assert hash_of(project, command, shell=True) != before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("{python} -m torch.distributed.run trian.py {batch_size}", "There is no file trian.py"),
        ("bash trian.sh {batch_size}", "There is no file trian.sh"),
        ("nice {python} trian.py {batch_size}", "There is no file trian.py"),
        ("{python} -m package.trian {batch_size}", "There is no module package.trian"),
        ("A=1 {python} package/train.py {batch_size}", r"begin the command with `env`"),
    ],
)
def test_what_is_missing_behind_a_launcher(project: Path, command: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        hash_of(project, command)


def test_a_module_that_is_installed_elsewhere_is_not_missing(project: Path) -> None:
    assert hash_of(project, "{python} -m some_package.train {batch_size}")


@pytest.mark.parametrize("file", ["rows.jsonl", "scripts/lint.py", "some_package/__init__.py"])
def test_a_folder_that_is_no_package_does_not_hide_an_installed_one(
    project: Path, file: str
) -> None:
    for one in {file, "README.md"}:
        (project / "some_package" / one).parent.mkdir(parents=True, exist_ok=True)
        (project / "some_package" / one).write_text("")
    assert hash_of(project, "{python} -m some_package.train {batch_size}")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("torchrun package/train.py", ("pip install torch`", "{python} -m torch.distributed.run")),
        ("accelerate launch package/train.py", ("pip install accelerate`", "accelerate launch")),
        ("uv run package/train.py", ("pip install uv`",)),
        ("deepspeed package/train.py", ("pip install deepspeed`",)),
    ],
)
def test_a_launcher_that_is_not_installed(
    project: Path, command: str, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(InputError) as failure:
        hash_of(project, f"{command} {{batch_size}}")
    assert all(word in str(failure.value) for word in words), str(failure.value)
    assert how_to_install("train") == ""


def test_a_launcher_beside_our_own_interpreter_is_named(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = project / "torchrun"
    launcher.write_text(f"#!{sys.executable}\n")
    launcher.chmod(0o755)
    own = sys.executable
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "executable", str(project / "python"))
    with pytest.raises(InputError, match="write this path"):
        hash_of(project, "torchrun package/train.py {batch_size}")
    command = f"{launcher} package/train.py {{batch_size}}"
    found = command_of(reference("x", {"command": command, "cwd": str(project)}))
    assert interpreter_of(found) == own


def test_the_interpreter_of_uv_is_the_project_s(project: Path) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / "uv").write_text("#!/bin/sh\n")
    (project / "uv").chmod(0o755)
    options = {"command": "./uv run package/train.py {batch_size}", "cwd": str(project)}
    assert interpreter_of(command_of(reference("x", options))) is None
    python = project / ".venv" / "bin" / "python"
    python.symlink_to(sys.executable)
    assert interpreter_of(command_of(reference("x", options))) == str(python)
