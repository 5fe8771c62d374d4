"""What a command must be before it is run, and what makes it the same one as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from probes.black_box.command import command_of, interpreter_of, name_of, reference
from probes.black_box.sources import describe
from probes.errors import InputError
from probes.ignored import all_samples, same_as_smaller, without_size
from probes.job import BRACKET_PLAN, ProbeJob
from probes.measurement import Measurement, Purpose, StepTime, Verdict
from probes.space import Choice, Float, Int, as_dimension
from probes.space_text import parse_dimension

MIB = 2**20


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text("import helper\n")
    (tmp_path / "helper.py").write_text("WIDTH = 1\n")
    return tmp_path


def options(project: Path, command: str = "", **more: Any) -> dict[str, Any]:
    command = command or "{python} train.py --batch-size {batch_size}"
    return {"command": command, "cwd": str(project), **more}


def check(project: Path, command: str = "", **more: Any) -> None:
    command_of(reference("x", options(project, command, **more)))


def test_the_batch_size_must_have_a_place(project: Path) -> None:
    with pytest.raises(InputError, match=r"no placeholder {batch_size}"):
        check(project, "{python} train.py")
    check(project, "{python} train.py", env={"BATCH_SIZE": "{batch_size}"})


def test_a_placeholder_needs_a_dimension_and_a_dimension_a_placeholder(project: Path) -> None:
    command = "{python} train.py --batch-size {batch_size} --layers {layers}"
    with pytest.raises(InputError, match=r"\{layers\} has no dimension.*--space layers=2\.\.12"):
        check(project, command)
    check(project, command, space={"layers": "2..12"})
    with pytest.raises(InputError, match="dimension width would change nothing"):
        check(project, command, space={"layers": "2..12", "width": "64"})
    with pytest.raises(InputError, match="steps is not a dimension"):
        check(project, command, space={"layers": "2..12", "steps": "1,2"})


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("no-such-program {batch_size}", "There is no program 'no-such-program'"),
        ("./train.sh {batch_size}", "There is no program './train.sh'"),
        (".venv/bin/python train.py {batch_size}", "There is no program '.venv/bin/python'"),
        ("'' train.py {batch_size}", "There is no program ''"),
        ("{python} trian.py {batch_size}", "There is no file trian.py"),
        ("{python} 'train.py {batch_size}", "cannot be split"),
        ("{python} train.py\0 {batch_size}", "NUL"),
    ],
)
def test_what_cannot_be_run(project: Path, command: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(project, command)


@pytest.mark.parametrize(
    "command",
    [
        "cd /tmp && python train.py {batch_size}",
        "python train.py {batch_size} > log.txt",
        "python train.py {batch_size} 2>&1 | tee log.txt",
        "ulimit {batch_size}",
    ],
)
def test_what_needs_a_shell_says_how_to_get_one(project: Path, command: str) -> None:
    with pytest.raises(InputError, match="--option shell=true"):
        check(project, command)
    check(project, "python train.py {batch_size} --sep '|' --less '>' --url x?a&b=c")


def test_a_script_is_run_by_python_and_another_name_may_be_the_batch_size(project: Path) -> None:
    with pytest.raises(InputError, match=r"python train\.py"):
        check(project, "train.py {batch_size}")
    with pytest.raises(InputError, match=r"\{bs\} the batch size\?"):
        check(project, "python train.py --batch-size {bs}")


def test_unknown_options_and_folders(project: Path) -> None:
    with pytest.raises(InputError, match=r"no option 'pattern'.*step"):
        check(project, pattern="x")
    with pytest.raises(InputError, match="not a folder"):
        check(project / "nowhere")


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("env", "A=b", r"env is a table.*\[commands\.NAME\.env\]"),
        ("env", {"A": 1}, "env is a table"),
        ("space", "layers=2", "--space NAME=VALUES"),
        ("shell", "yes", "shell is true or false, not 'yes'"),
        ("dataset_size", "many", "number of samples, not 'many'"),
        ("dataset_size", 0, "number of samples, not 0"),
        ("log", 3, "log is a text, not 3"),
    ],
)
def test_options_of_the_wrong_kind(project: Path, option: str, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(project, **{option: value})


def job(project: Path, config: dict[str, Any], **more: Any) -> ProbeJob:
    return ProbeJob(reference("x", options(project, **more)), config, 8, "cpu", BRACKET_PLAN)


def test_a_lever_that_the_command_has_no_place_for_is_refused(project: Path) -> None:
    wanted = job(project, {"precision": "bf16"})
    with pytest.raises(InputError, match=r"no placeholder {precision}"):
        command_of(wanted.workload).values(wanted, "", "python")


def test_accumulation_needs_a_place_too(project: Path) -> None:
    wanted = ProbeJob(
        reference("x", options(project)), {}, 8, "cpu", BRACKET_PLAN, effective_batch_size=32
    )
    with pytest.raises(InputError, match=r"placeholder {accumulation}"):
        command_of(wanted.workload).values(wanted, "", "python")


def test_the_hash_follows_the_script_its_neighbours_and_the_command(project: Path) -> None:
    def now(**more: Any) -> str:
        found: str = describe(reference("x", options(project, **more)))["source_hash"]
        return found

    first = now()
    assert now() == first
    assert now(step="iter") != first
    (project / "output.bin").write_text("written by the run")
    assert now() == first
    (project / "helper.py").write_text("WIDTH = 2\n")
    assert now() != first


def test_names_and_interpreters(project: Path) -> None:
    assert name_of("torchrun --nproc 2 jobs/train.py {batch_size}") == "train.py"
    assert name_of("./trainer {batch_size}") == "trainer"
    command = command_of(reference("x", options(project, "python3 train.py {batch_size}")))
    assert interpreter_of(command) is not None
    assert interpreter_of(command_of(reference("x", options(project)))) is None


@pytest.mark.parametrize(
    ("written", "dimension"),
    [
        ("2..12", Int(2, 12)),
        ("64..512..64", Int(64, 512, step=64)),
        ("0.1..0.5", Float(0.1, 0.5)),
        ("64,128", Choice([64, 128])),
        ("adam", Choice(["adam"])),
        ([1, 2], Choice([1, 2])),
        (4, Choice([4])),
        ({"low": 16, "high": 64, "log": True}, Int(16, 64, log=True)),
        ({"options": [1, 2], "cost_grows": False}, Choice([1, 2], cost_grows=False)),
    ],
)
def test_how_a_dimension_is_written(written: Any, dimension: Any) -> None:
    assert as_dimension("x", parse_dimension(written)) == dimension


@pytest.mark.parametrize("written", ["2..x", "1..2..3..4", "0.1..0.5..0.1", {"lowest": 1}, "9..2"])
def test_what_is_no_dimension(written: Any) -> None:
    with pytest.raises(InputError):
        as_dimension("x", parse_dimension(written))


def measured(batch: int, peak_mib: float, step_s: float) -> Measurement:
    time = StepTime(step_s, step_s, step_s, step_s, step_s, step_s, 4, 1, True, 0.0)
    return Measurement(
        "x", {}, batch, "cpu", Purpose.BRACKET, Verdict.STABLE, "", peak_bytes=int(peak_mib * MIB),
        step_time=time,
    )  # fmt: skip


def test_a_batch_that_changes_nothing_is_noted_and_then_an_error() -> None:
    small = measured(8, 50.0, 0.1)
    assert same_as_smaller(measured(16, 50.0, 0.1), [small], "train").notes == []
    assert (
        "does the command use" in same_as_smaller(measured(128, 50.0, 0.1), [small], "x").notes[0]
    )
    with pytest.raises(InputError, match=r"(?s)does not use \{batch_size\}.*Command: train 4096"):
        same_as_smaller(measured(4096, 50.5, 0.12), [small], "train 4096")


def test_longer_samples_in_a_long_run_are_not_the_end_of_the_data() -> None:
    """Their memory at a batch of 14 is that of 66 after a few steps; 96 has taken more."""
    known = [measured(8, 22.0, 0.08), measured(66, 86.9, 0.144)]
    long = replace(measured(14, 86.6, 0.084), purpose=Purpose.CONFIRM)
    assert all_samples(long, known) is None
    failed = replace(measured(96, 148.0, 0.2), verdict=Verdict.OOM)
    short = measured(14, 86.6, 0.084)
    assert all_samples(short, known) is not None
    assert all_samples(short, known, [failed]) is None


def test_batches_of_a_workload_that_stay_the_same_are_noted_and_small_ones_an_error() -> None:
    large, few, many = measured(1024, 50.5, 0.3), measured(8, 50.0, 0.1), measured(128, 50.0, 0.1)
    (note,) = without_size(large, 4096, [(many, 4096)]).notes
    assert "128" in note and "1024" in note and "dataset_size" in note
    with pytest.raises(InputError, match="does not use batch_size: batches of 8 and 1024"):
        without_size(large, 4096, [(few, 4096)])
    assert without_size(large, 4096, [(few, 2048)]).notes == []  # the batches differ
    assert without_size(large, 8, [(few, 8)]).notes == []  # the loss makes batches from a number
    grown = measured(1024, 80.0, 0.3)
    assert without_size(grown, 4096, [(few, 4096)]).notes == []


def test_memory_that_grew_and_does_not_any_more_means_that_there_are_no_more_samples() -> None:
    known = [measured(8, 20.0, 0.1), measured(256, 50.0, 0.1)]
    found = all_samples(measured(1024, 50.0, 0.1), known)
    assert found is not None
    assert (found.low, found.high, found.likely) == (8, 256, 256)
    assert all_samples(measured(512, 50.0, 0.1), known) is None


def test_a_growth_within_the_scatter_does_not_make_data_end_of_a_program_that_has_one_batch() -> (
    None
):
    known = [measured(8, 11.0, 0.003), measured(105, 12.0, 0.0025)]
    large = measured(3360, 11.3, 0.003)
    assert all_samples(large, known) is None
    with pytest.raises(InputError, match=r"(?s)does not use \{batch_size\}.*dataset_size"):
        same_as_smaller(large, known, "train")


def test_growth_up_to_there_tells_where_the_samples_end() -> None:
    known = [measured(8, 20.0, 0.1), measured(72, 36.0, 0.1), measured(1024, 50.0, 0.1)]
    found = all_samples(measured(8192, 50.0, 0.1), known)
    assert found is not None
    assert (found.low, found.high, found.likely) == (72, 1024, 128)


@pytest.mark.parametrize(("peak_mib", "step_s"), [(56.0, 0.1), (50.0, 0.3)])
def test_one_that_takes_more_memory_or_more_time_is_used(peak_mib: float, step_s: float) -> None:
    large = measured(4096, peak_mib, step_s)
    assert same_as_smaller(large, [measured(8, 50.0, 0.1)], "train") == large
