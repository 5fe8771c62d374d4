"""What an environment page requires, and whether a machine meets it."""

from __future__ import annotations

import pytest

from knowledge.environments import (
    DeviceFact,
    Facts,
    Requirement,
    RequirementKind,
    Status,
    is_met,
    judge,
    judge_all,
    requirements,
)
from knowledge.parsing import parse
from tests.knowledge import pages

GIB = 2**30
PAGE = pages.library().find("Core_Environment")
HERE = Facts(
    python="3.11.7",
    packages={"torch": "2.13.0+cpu", "PEFT": "0.19.1"},
    os="linux",
    devices=(DeviceFact("cpu", 16 * GIB),),
    free_disk_bytes=100 * GIB,
    variables=frozenset({"HF_TOKEN"}),
    programs=frozenset({"git"}),
)


def changed(**values: object) -> Facts:
    return Facts(**{**vars(HERE), **values})  # type: ignore[arg-type]


def one(section: str, body: str) -> Requirement:
    (found,) = requirements(parse(f"{section}\n{body}\n", type=PAGE.type, name="X"))
    return found


def package(text: str) -> Requirement:
    return one("=== Python Packages ===", f"* {text}")


def hardware(text: str) -> Requirement:
    table = f"{{|\n! Category !! Requirement !! Notes\n|-\n| Hardware || {text} ||\n|}}"
    return one("== System Requirements ==", table)


def test_each_line_of_the_page_is_a_requirement() -> None:
    assert [(item.kind.value, item.name) for item in requirements(PAGE)] == [
        ("os", "linux"),
        ("device", "cuda"),
        ("disk", "disk"),
        ("program", "git"),
        ("package", "torch"),
        ("package", "peft"),
        ("package", "auto-gptq"),
        ("credential", "HF_TOKEN"),
    ]
    lines = PAGE.text.split("\n")
    for item in requirements(PAGE):
        assert item.text.split()[0] in lines[item.line - 1]


def test_a_machine_that_meets_the_page() -> None:
    answers = judge_all(PAGE, HERE)
    assert {answer.status for answer in answers if not answer.requirement.optional} == {Status.MET}
    assert is_met(answers)


@pytest.mark.parametrize(
    ("facts", "name", "status", "install"),
    [
        (changed(packages={"peft": "0.19.1"}), "torch", Status.MISSING,
         'python -m pip install "torch>=2.6"'),
        (changed(packages={"torch": "2.5.1", "peft": "0.19"}), "torch", Status.TOO_OLD,
         'python -m pip install "torch>=2.6"'),
        (changed(packages={"torch": "2.6", "peft": "1.0"}), "peft", Status.TOO_NEW,
         'python -m pip install "peft>=0.15,<1"'),
        (changed(packages={"torch": "nightly", "peft": "0.19"}), "torch", Status.UNKNOWN, ""),
        (changed(os="windows"), "linux", Status.MISSING, ""),
        (changed(free_disk_bytes=GIB), "disk", Status.MISSING, ""),
        (changed(free_disk_bytes=None), "disk", Status.UNKNOWN, ""),
        (changed(variables=frozenset()), "HF_TOKEN", Status.MISSING, "export HF_TOKEN=…"),
        (changed(programs=frozenset()), "git", Status.UNKNOWN, "sudo apt-get install git"),
        (changed(programs=None), "git", Status.UNKNOWN, ""),
        (changed(devices=()), "cuda", Status.MISSING, ""),
    ],
)  # fmt: skip
def test_what_is_not_met_is_named(facts: Facts, name: str, status: Status, install: str) -> None:
    answers = {answer.requirement.name: answer for answer in judge_all(PAGE, facts)}
    assert (answers[name].status, answers[name].install) == (status, install)
    others = [a for key, a in answers.items() if key != name and not a.requirement.optional]
    assert all(answer.status is Status.MET for answer in others)
    assert is_met(answers.values()) == (status is Status.UNKNOWN)


@pytest.mark.parametrize(
    ("text", "installed", "status"),
    [
        ("`torch >= 2.6`", "2.6.0", Status.MET),
        ("torch>=2.6", "2.7.0.dev20260101", Status.MET),
        ("torch>=2.6", "2.13.0+cu126", Status.MET),
        ("**torch** (>=2.6) - the framework", "2.5", Status.TOO_OLD),
        ("torch==2.6.*", "2.6.1", Status.MET),
        ("torch==2.6.*", "2.7", Status.TOO_NEW),
        ("torch~=2.6", "3.0", Status.TOO_NEW),
        ("torch>2.6", "2.6", Status.TOO_OLD),
        ("torch<3,!=2.7", "2.7", Status.TOO_OLD),
        ("torch", "0.1", Status.MET),
        ("torch>=9; sys_platform == 'win32'", "2.6", Status.MET),
        ("torch>=2.6 (recommended)", "2.6", Status.MET),
    ],
)
def test_versions_are_compared_as_pep_440_says(text: str, installed: str, status: Status) -> None:
    assert judge(package(text), changed(packages={"torch": installed})).status is status


def test_alternatives_are_met_by_either() -> None:
    wanted = package("`auto-gptq>=0.5.0` or `gptqmodel>=2.0.0` + `optimum>=1.24.0`")
    assert wanted.choices == (("auto-gptq>=0.5.0",), ("gptqmodel>=2.0.0", "optimum>=1.24.0"))
    both = {"gptqmodel": "2.1", "optimum": "1.24.0"}
    assert judge(wanted, changed(packages=both)).status is Status.MET
    assert judge(wanted, changed(packages={"auto_gptq": "0.7"})).status is Status.MET
    assert judge(wanted, changed(packages={"gptqmodel": "2.1"})).status is Status.MISSING
    old = judge(wanted, changed(packages={"auto_gptq": "0.4"}))
    assert (old.status, old.install) == (
        Status.TOO_OLD,
        'python -m pip install "auto-gptq>=0.5.0"',
    )


@pytest.mark.parametrize("text", ["a recent torch", "torch>>2", "torch 2.6 or newer", "`torch>=`"])
def test_what_pip_cannot_read_is_unknown(text: str) -> None:
    assert judge(package(text), HERE).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("`Python>=3.10`", Status.MET),
        ("Python >=3.12", Status.TOO_OLD),
        ("Python <3.11", Status.TOO_NEW),
    ],
)
def test_python_is_no_package(text: str, status: Status) -> None:
    wanted = package(text)
    assert wanted.kind is RequirementKind.PYTHON
    assert judge(wanted, HERE).status is status


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("NVIDIA GPU with 16 GB VRAM", ["cuda"]),
        ("CUDA 12 or ROCm 6", ["cuda", "rocm"]),
        ("a GPU with 8 GB", ["cuda", "rocm", "xpu"]),
        ("Apple Silicon (MPS) or CPU", ["mps", "cpu"]),
        ("Intel GPU", ["xpu"]),
        ("any", ["cuda", "rocm", "mps", "xpu", "cpu"]),
        ("something fast", []),
    ],
)
def test_hardware_is_read_from_its_words(text: str, kinds: list[str]) -> None:
    assert [choice[0] for choice in hardware(text).choices] == kinds


@pytest.mark.parametrize(
    ("text", "memory_gib", "status"),
    [
        ("NVIDIA GPU with 24 GB VRAM", 23.6, Status.MET),
        ("NVIDIA GPU with 24 GB VRAM", 15.9, Status.MISSING),
        ("NVIDIA GPU, 16 GB RAM", 8, Status.MET),
        ("NVIDIA GPU with 16 GB VRAM, or CPU", 8, Status.MET),
        ("64 GB RAM, NVIDIA GPU with 8 GB", 8, Status.MET),
    ],
)
def test_memory_of_the_largest_device_counts(text: str, memory_gib: float, status: Status) -> None:
    devices = (
        DeviceFact("cuda", 2 * GIB),
        DeviceFact("cuda", int(memory_gib * GIB)),
        DeviceFact("cpu", 8 * GIB),
    )
    assert judge(hardware(text), changed(devices=devices)).status is status


@pytest.mark.parametrize(
    ("row", "status"),
    [
        ("VRAM || 8 GB", Status.MISSING),
        ("GPU Memory || any", Status.UNKNOWN),
        ("RAM || 16 GiB", Status.MET),
        ("Memory || 64 GB", Status.MISSING),
        ("Python || 3.10 or newer", Status.MET),
        ("Python || 3.12+", Status.TOO_OLD),
        ("Network || fast", Status.UNKNOWN),
    ],
)
def test_further_rows_of_system_requirements(row: str, status: Status) -> None:
    table = f"{{|\n! Category !! Requirement\n|-\n| {row}\n|}}"
    assert judge(one("== System Requirements ==", table), HERE).status is status


def test_memory_that_is_not_known_is_not_guessed() -> None:
    facts = changed(devices=(DeviceFact("cuda"),))
    assert judge(hardware("NVIDIA GPU with 24 GB"), facts).status is Status.UNKNOWN


@pytest.mark.parametrize("text", ["None", "none.", "N/A", "`None`"])
def test_nothing_required_is_no_requirement(text: str) -> None:
    page = parse(
        f"=== System Packages ===\n* {text}\n== Credentials ==\n{text}\n", type=PAGE.type, name="X"
    )
    assert requirements(page) == ()


def test_other_pages_require_nothing() -> None:
    assert requirements(pages.library().find("Gradient_Checkpointing")) == ()


def test_guides_in_comments_are_no_requirements() -> None:
    body = "<!-- `torch>=2.6` -->\n<!--\n* `numpy`\n-->\n* `peft`"
    assert one("=== Python Packages ===", body).name == "peft"
