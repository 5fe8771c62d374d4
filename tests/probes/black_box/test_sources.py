"""Which files make a command another one when they are edited, whatever starts them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from probes.black_box import python_code
from probes.black_box.command import reference
from probes.black_box.shell_text import ShellText
from probes.black_box.sources import describe

OWN_FOLDER = '"$( cd "$( dirname "${BASH_SOURCE[0]}" )" >/dev/null 2>&1 && pwd )"'
FILES = {
    "train.py": "import model\n",
    "model.py": "",
    "src/run.py": "import net\n",
    "src/net.py": "",
    "scripts/train.sh": f'#!/bin/bash\nHERE={OWN_FOLDER}\npython "$HERE/../src/run.py" \\\n "$1"\n',
    "scripts/go": '#!/usr/bin/env bash\ncd "$(dirname "$0")/.."\nexec python src/run.py "$1"\n',
    "cd.sh": "cd src || exit 1\npython run.py $1\n",
    "words.sh": 'COMMAND="python src/run.py --b $1"\n$COMMAND\n',
    "chosen.sh": "ROOT=.\nif true; then ${PYTHON:-python} $ROOT/src/run.py $1; fi\n",
    "given.sh": 'python "$1" --b $2\n',
    "array.sh": "RUN=(python src/run.py\n --b $1)\n${RUN[@]}\n",
    "sourced.sh": ". ./settings.sh\npython $MAIN $1\n",
    "settings.sh": "export MAIN=src/run.py\n",
    "quoted.sh": "# it's mine\necho 'a\nb' \"it's\"\npython src/run.py $1\n",
    "Makefile": "MAIN := src/run.py\ntrain:\n\t@python $(MAIN) --b $(B)\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        write(tmp_path / name, text)
    (tmp_path / "scripts" / "go").chmod(0o755)
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def described(project: Path, command: str, **more: Any) -> tuple[str, list[str]]:
    found = describe(reference("x", {"command": command, "cwd": str(project), **more}))
    return found["source_hash"], found["notes"]


def is_noticed(project: Path, file: str, command: str, **more: Any) -> bool:
    """Whether an edit of the file makes it another command."""
    before = described(project, command, **more)[0]
    text = (project / file).read_text()
    write(project / file, f"{text}\n# edited\n")
    after = described(project, command, **more)[0]
    write(project / file, text)
    assert described(project, command, **more)[0] == before, "undoing the edit undoes it"
    return after != before


IN_A_SHELL = {"shell": True}
FOLLOWED: list[tuple[str, dict[str, Any]]] = [
    ("bash -c 'cd src && python run.py --b={batch_size}'", {}),
    ("bash -ec 'M=src; python $M/run.py $1' me {batch_size}", {}),
    ("cd src && python run.py {batch_size}", IN_A_SHELL),
    ("(cd scripts; ls); python src/run.py {batch_size}", IN_A_SHELL),
    ("bash scripts/train.sh {batch_size}", {}),
    ("scripts/go {batch_size}", {}),
    ("bash scripts/go {batch_size}", {}),
    ("make train B={batch_size}", {}),
    ("env A=1 bash -c 'python -m src.run {batch_size}'", {}),
    ("bash given.sh src/run.py {batch_size}", {}),
    *[(f"bash {name} {{batch_size}}", {}) for name in FILES if name in (
        "cd.sh", "words.sh", "chosen.sh", "array.sh", "sourced.sh", "quoted.sh")],
]  # fmt: skip


@pytest.fixture(autouse=True)
def _programs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("bin")
    for name in ("make", "python", "trainer"):
        write(folder / name, "#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize(("command", "more"), FOLLOWED)
def test_the_code_behind_a_shell_is_found(
    project: Path, command: str, more: dict[str, Any]
) -> None:
    assert described(project, command, **more)[1] == []
    assert is_noticed(project, "src/net.py", command, **more)
    if "-m" not in command:
        assert not is_noticed(project, "model.py", command, **more), "another program's"


def test_a_shell_script_without_a_suffix_counts_itself(project: Path) -> None:
    assert is_noticed(project, "scripts/go", "bash scripts/go {batch_size}")
    assert is_noticed(project, "Makefile", "make train B={batch_size}")


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("$START {batch_size}", IN_A_SHELL),
        ("trainer --b {batch_size}", {}),
        ("bash -c 'python $NOT_SET/run.py {batch_size}'", {}),
        ("python -m not_here.train {batch_size}", {}),
        ("python -c 'import src.run' {batch_size}", {}),
        ("cd $NOT_SET && python train.py {batch_size}", IN_A_SHELL),
    ],
)
def test_all_code_counts_where_the_script_is_not_found(
    project: Path, command: str, more: dict[str, Any]
) -> None:
    write(project / "configs" / "small.yaml", "width: 1\n")
    assert len(described(project, command, **more)[1]) == 1, "it is said"
    for file in ("train.py", "src/net.py", "scripts/go", "configs/small.yaml", "Makefile"):
        assert is_noticed(project, file, command, **more)
    before = described(project, command, **more)
    for output in ("log.txt", "model.pt", "metrics.json", "outputs/1/config.yaml", "runs/a.py"):
        write(project / output, "written by the run\n")
    assert described(project, command, **more) == before


def test_it_is_said_where_there_is_nothing_to_compare(tmp_path: Path) -> None:
    assert len(described(tmp_path, "trainer {batch_size}")[1]) == 1


# -- what a script imports and reads


def test_modules_that_lie_beside_the_folder_of_the_script(project: Path) -> None:
    write(project / "tools" / "fit.py", "from lib.deep import (\n    one,  # first\n    two)\n")
    for name in ("src/lib/__init__.py", "src/lib/deep/__init__.py", "src/lib/deep/two.py"):
        write(project / name, "")
    write(project / "src/lib/deep/one.py", "from ..other import x\nfrom . import same\n")
    write(project / "src/lib/other.py", "")
    write(project / "src/lib/deep/same.py", "")
    write(project / "src/lib/unused.py", "")
    command = "python tools/fit.py {batch_size}"
    for name in ("__init__", "deep/two", "deep/one", "other", "deep/same"):
        assert is_noticed(project, f"src/lib/{name}.py", command), name
    assert not is_noticed(project, "src/lib/unused.py", command)


HYDRA = """import hydra
@hydra.main(config_path={}, config_name="config", version_base=None)
def main(cfg): ...
"""


@pytest.mark.parametrize(
    ("given", "words"),
    [('"../conf"', ""), ("str(HERE / 'conf')", ""), ("None", "--config-dir conf")],
)
def test_the_configurations_that_hydra_reads(project: Path, given: str, words: str) -> None:
    write(project / "src" / "run.py", HYDRA.format(given))
    write(project / "conf" / "model" / "small.yaml", "width: 1\n")
    command = f"python src/run.py {words} batch_size={{batch_size}} hydra.run.dir={{run_dir}}"
    assert described(project, command)[1] == []
    assert is_noticed(project, "conf/model/small.yaml", command)


def test_it_is_said_where_the_folder_of_hydra_is_not_found(project: Path) -> None:
    write(project / "train.py", HYDRA.format("FOLDER"))
    assert len(described(project, "python train.py b={batch_size}")[1]) == 1


def test_a_configuration_that_the_code_names_and_does_not_write(project: Path) -> None:
    write(
        project / "model.py",
        'read("configs/net.yaml")\nopen("seen.yaml", "w")\nload("metrics.json")\n',
    )
    command = "python train.py {batch_size}"
    before = described(project, command)
    for output in ("seen.yaml", "metrics.json"):
        write(project / output, "written: 1\n")
    assert described(project, command) == before
    write(project / "configs" / "net.yaml", "width: 1\n")
    assert is_noticed(project, "configs/net.yaml", command)


def test_a_file_that_each_value_of_a_dimension_names(project: Path) -> None:
    for size in ("small", "large"):
        write(project / "configs" / f"{size}.yaml", "")
    more = {"space": {"size": ["small", "large"]}}
    command = "python train.py --config configs/{size}.yaml {batch_size}"
    for size in ("small", "large"):
        assert is_noticed(project, f"configs/{size}.yaml", command, **more)


def test_a_folder_with_too_many_files(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_code, "MOST_SOURCES", 3)
    write(project / "model.py", "import package.part\n")
    for name in ("package/part.py", *(f"generated/m{n}.py" for n in range(5))):
        write(project / name, "")
    command = "python train.py {batch_size}"
    assert len(described(project, command)[1]) == 1, "it is said"
    for file in ("model.py", "package/part.py"):
        assert is_noticed(project, file, command)
    assert not is_noticed(project, "generated/m1.py", command)


def test_a_word_that_can_be_no_path(project: Path) -> None:
    long = "a" * 300
    write(project / "long.sh", f"python {long}.py\npython '{long}'\ncd {long}; make\n")
    assert described(project, "bash long.sh {batch_size}")[1]
    assert described(project, f"bash -c 'python train.py {long}.yaml {{batch_size}} {long}.yaml'")


def test_a_link_to_what_is_gone_is_no_source(project: Path) -> None:
    (project / "gone.py").symlink_to(project / "nowhere.py")
    assert described(project, "python train.py {batch_size}")[0]


# -- shell text


def test_variables_that_grow_by_themselves_take_no_time() -> None:
    text = 'A="$A $B $1"\nB="$B $A $2"\n' * 200 + "x\n"
    began_s = time.monotonic()
    list(ShellText(Path("/at")).commands(text))
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    ("text", "folder", "words"),
    [
        ("cd a/b && x 1", "a/b", ["x", "1"]),
        ("cd a\ncd ..\nx", "a/..", ["x"]),
        ("cd a; cd - > /dev/null; x", ".", ["x"]),
        ("(cd a; y); x", ".", ["x"]),
        ("A=1 B='2 3' x $B", ".", ["x", "$B"]),
        ("A='2 3'; x ${A} ${C:-4} ${0%/*}", ".", ["x", "2 3", "4", "/me"]),
        ("x $(basename a/b.sh) `dirname a/b.sh`", ".", ["x", "b.sh", "a"]),
        ("for f in 1 2; do x $f; done", ".", ["x", "$f"]),
        ("eval 'cd a; x'", "a", ["x"]),
        ("x 'a\nb'", ".", ["x", "a\nb"]),
        ("echo 'open\nx", ".", ["x"]),
        ("cat > a <<'END'\ncd a\nx 2\nEND\nx 1", ".", ["x", "1"]),
        ("bash <<END\nx 1\nEND", ".", ["x", "1"]),
        ("cd ~nobody-of-this-name/a && x", "~nobody-of-this-name/a", ["x"]),
        ("x ${1:?usage}", ".", ["x", "${1:?usage}"]),
        ("x \0", ".", ["x"]),
    ],
)
def test_what_shell_text_runs_and_where(text: str, folder: str, words: list[str]) -> None:
    commands = list(ShellText(Path("/at"), script=Path("/me/run.sh")).commands(text))
    found = [each for each in commands if each.words[0] == "x"]
    assert [(each.folder, each.words) for each in found] == [(Path("/at", folder), words)]
