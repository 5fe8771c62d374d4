"""What scripts depend on: arguments, exit status, one JSON document on stdout, clean errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.app.cli.conftest import Run

CPU = ("--device", "cpu", "--memory-budget", "256MiB")


def test_help_answers_without_importing_anything_heavy() -> None:
    code = (
        "import sys\n"
        "from app.cli import run\n"
        "assert run(['--help']) == 0\n"
        "heavy = {'torch', 'numpy', 'sqlalchemy', 'alembic', 'optuna', 'pydantic', 'pynvml'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "command",
    ["devices", "probe", "max-batch", "tune", "recommend", "export", "report", "doctor", "db"],
)
def test_every_command_of_the_contract_explains_itself(tonnage: Run, command: str) -> None:
    ran = tonnage(command, "--help")
    assert ran.returncode == 0
    assert "Usage: tonnage" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tunes"], "Did you mean 'tune'"),
        (["probe", "transformer"], "batch-size"),
        (["probe", "transformer", "--batch-size", "0"], "at least 1, not 0"),
        (["probe", "visnett", "--batch-size", "1"], "Did you mean 'visnet'?"),
        (["probe", "missing.py:W", "--batch-size", "1"], "There is no file"),
        (["probe", "train.py:Tinny", "--batch-size", "1"], "Did you mean 'Tiny'?"),
        (["probe", "train.py:Tiny", "--batch-size", "1", "--set", "width"], "--set name=value"),
        (["probe", "train.py:Tiny", "--batch-size", "1", "--set", "with=3"], "'width'"),
        (["probe", "train.py:Tiny", "--batch-size", "1", "--set", "width=big"], "takes a number"),
        (["probe", "train.py:Tiny", "--batch-size", "1", "--option", "a=1"], "Unknown option 'a'"),
        (["probe", "train.py:Tiny", "--batch-size", "1", "--set", "precision=fp8"], "fp32, tf32"),
        (["probe", "train.py:Tiny", "--batch-size", "9", "--effective-batch-size", "8"], "1 to 8"),
        (["tune", "train.py:Tiny", "--levers", "precison"], "Did you mean 'precision'?"),
        (["tune", "train.py:Tiny", "--budget", "prototypin"], "Did you mean 'prototyping'?"),
        (["tune", "train.py:Tiny", "--device", "cuda:7"], "Unknown device 'cuda:7'"),
        (["tune", "train.py:Tiny", "--memory-budget", "2"], "is not a size"),
        (["tune", "train.py:Tiny", "--memory-budget", "900TiB"], "more than cpu has"),
        (["tune", "train.py:Tiny", "--python", "/no/such/python"], "no such interpreter"),
        (["tune", "train.py:Tiny", "--database", "mysql://x"], "mysql"),
        (["export", "latest", "--to", "jsn"], "No recommendation is stored yet"),
        (["report", "rec_none"], "There is no recommendation 'rec_none'"),
    ],
)
def test_wrong_input_ends_with_status_2_and_says_what_to_do(
    tonnage: Run, arguments: list[str], words: str
) -> None:
    ran = tonnage(*arguments)
    assert ran.returncode == 2, ran.stderr
    assert words in ran.stderr
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr


def test_a_broken_workload_shows_the_users_own_line(tonnage: Run, folder: Path) -> None:
    (folder / "broken.py").write_text("class W:\n    def space(self):\n        return {{}}\n")
    ran = tonnage("tune", "broken.py:W")
    assert ran.returncode == 2
    assert "lacks" in ran.stderr and "model()" in ran.stderr


def test_an_unknown_configuration_key_names_the_nearest(tonnage: Run, folder: Path) -> None:
    (folder / "tonnage.toml").write_text("headrom = 0.1\n")
    ran = tonnage("devices")
    assert ran.returncode == 2
    assert "headrom" in ran.stderr and "headroom" in ran.stderr


def test_devices_as_json(tonnage: Run) -> None:
    ran = tonnage("devices", "--json")
    assert ran.returncode == 0
    document = json.loads(ran.stdout)
    cpu = document["devices"][-1]
    assert cpu["device"] == "cpu" and cpu["total_bytes"] > 0
    assert set(cpu) >= {"fingerprint", "identity", "device_class", "environment", "state"}
    assert set(document["unavailable"]) >= {"mps"}
    assert {"fp32", "bf16"} <= set(cpu["precisions"])
    assert "NVIDIA" in cpu["unsupported"]["tf32"]


def test_a_probe_that_does_not_fit_is_status_1_with_clean_json(tonnage: Run) -> None:
    ran = tonnage(
        "probe", "transformer", "--set", "width=256", "--batch-size", "4000", *CPU, "--json"
    )
    assert ran.returncode == 1
    document = json.loads(ran.stdout)
    assert document["verdict"] == "oom" and document["reason"]


def test_a_probe_that_crashes_is_status_3_with_the_traceback(tonnage: Run, folder: Path) -> None:
    text = (folder / "train.py").read_text().replace(".square()", ".no_such_method()")
    (folder / "bug.py").write_text(text)
    ran = tonnage("probe", "bug.py:Tiny", "--batch-size", "4", *CPU)
    assert ran.returncode == 3
    assert "no_such_method" in ran.stdout and "bug.py" in ran.stdout


def test_max_batch_has_every_key_of_the_contract(tonnage: Run) -> None:
    ran = tonnage("max-batch", "train.py:Tiny", "--set", "width=32", *CPU, "--cap", "64", "--json")
    assert ran.returncode == 0, ran.stderr
    document = json.loads(ran.stdout)
    keys = """workload config device max_batch binding limit_bytes headroom peak_bytes step_time_s
        evidence probes samples_processed wall_s notes"""
    for key in keys.split():
        assert key in document, key
    assert set(document["step_time_s"]) == {"mean", "median", "low", "high"}
    assert set(document["evidence"]) == {"highest_passing", "lowest_failing"}
    assert document["max_batch"] == 64 and document["binding"] == "cap"
    assert document["limit_bytes"] == 256 * 2**20
    assert document["config"] == {"layers": 1, "width": 32}


def test_two_ranks_have_an_answer_each_and_one_together(tonnage: Run) -> None:
    group = ("--device", "cpu", "--devices", "2", "--memory-budget", "256MiB")
    ran = tonnage("max-batch", "train.py:Tiny", *group, "--json")
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert (answer["device"], answer["devices"]) == ("cpu:0-1", ["cpu", "cpu"])
    assert answer["config"]["parallel"] == "ddp"
    assert [rank["verdict"] for rank in answer["ranks"]] == ["stable", "stable"]
    assert (answer["data_parallel"], answer["global_batch_size"]) == (2, 2 * answer["max_batch"])
    assert answer["limit_bytes"] == 256 * 2**20
    scaling = answer["scaling"]
    assert scaling["speedup"] == pytest.approx(2 * scaling["efficiency"])

    plan = ("check", "--workload", "train.py:Tiny", "--batch-size", str(answer["max_batch"]))
    assert tonnage(*plan, *group).returncode == 0
    alone = tonnage(*plan, "--device", "cpu", "--memory-budget", "256MiB")
    assert alone.returncode == 3  # what two ranks did says nothing of one device


def test_nothing_fits_is_status_1_and_says_by_how_much(tonnage: Run) -> None:
    ran = tonnage(
        "max-batch", "transformer", "--set", "width=1024", "--set", "layers=4", "--device", "cpu",
        "--memory-budget", "48MiB",
    )  # fmt: skip
    assert ran.returncode == 1
    assert "Nothing fits" in ran.stdout and "Short by at least" in ran.stdout


def test_database_commands(tonnage: Run) -> None:
    upgraded = tonnage("db", "upgrade")
    assert upgraded.returncode == 0
    current = tonnage("db", "current", "--json")
    document = json.loads(current.stdout)
    assert current.returncode == 0 and document["current"] == document["head"]


def test_doctor_reports_every_check_whoever_has_the_device(tonnage: Run, leased: None) -> None:
    ran = tonnage("doctor", "--json")
    report = json.loads(ran.stdout)
    assert ran.returncode == 0, ran.stdout
    names = [check["name"] for check in report["checks"]]
    assert names[:2] == ["interpreter", "database"]
    assert "cpu recovers from out of memory" in names
    assert all(check["ok"] and check["detail"] for check in report["checks"])
