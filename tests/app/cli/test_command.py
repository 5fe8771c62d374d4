"""A training command from the outside: what is refused, what is shown, what is run and kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.app.cli.conftest import Run
from tests.probes.black_box import script

TRAIN = "{python} train.py --batch-size {batch_size}"
LAYERS = ("--command", TRAIN + " {layers}", "--space")
TINY = ("--device", "cpu", "--memory-budget", "128MiB")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder with a training script, which is never changed."""
    shutil.copyfile(script.__file__, tmp_path / "train.py")
    (tmp_path / "tonnage.toml").write_text(
        f"""
        [commands.net]
        command = "{TRAIN} --sample-mib {{mib}} {{note}}"
        dataset_size = 400
        [commands.net.space]
        mib = "1,2"
        note = ["", "--note=x"]
        """
    )
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["probe", "--command", "{python} train.py", "--batch-size", "4"], "no placeholder {batch"),
        (["max-batch", "--command", TRAIN + " --layers {layers}"], "{layers} has no dimension"),
        (["max-batch", "--command", TRAIN, "--space", "layers=2..4"], "would change nothing"),
        (["max-batch", "--command", TRAIN, "--set", "layers=2"], "no placeholder {layers}"),
        (["tune", "--command", TRAIN + " {layers}", "--space", "layers=2..x"], "not a range"),
        (["tune", "--command", "{python} trian.py {batch_size}"], "There is no file trian.py"),
        (["tune", "--command", "no-such-program {batch_size}"], "no program 'no-such-program'"),
        (["tune", "--command", TRAIN, "--step", "("], "not a regular expression"),
        (["tune", "--command", TRAIN, "--option", "logs=x"], "no option 'logs'"),
        (["tune", "net", "--command", TRAIN], "not both"),
        (["tune"], "give a WORKLOAD or --command"),
        (["tune", *LAYERS, "layers=1,2", "--space", "layers=3"], "layers is given twice"),
        (["tune", *LAYERS, "layers=1,2", "--set", "layers=7"], "--space layers=1,2"),
        (["tune", *LAYERS, "layers=1..1000000000000", "--dry-run"], "1,000,000,000,000 configs"),
        (["probe", "visnet", "--batch-size", str(2**63 - 1)], "--batch-size"),
        (["probe", "visnet", "--batch-size", "4", "--set", f"layers={2**63}"], "--set layers="),
        (["max-batch", "net", "--set", "precision=bf16"], "no placeholder {precision}"),
        (["tune", "visnet", "--step", "x"], "--step needs --command"),
        (["probe", "net", "--batch-size", "4", "--dry-run", "--set", "note=; id"], "note"),
        (["probe", "visnet", "--batch-size", "4", "--dry-run"], "--command"),
        (["probe", "net", "--batch-size", "4", "--dry-run", "--memory-budget", "5XB"], "5XB"),
    ],
)
def test_what_cannot_be_right_is_said_before_a_device_is_looked_for(
    tonnage: Run, arguments: list[str], words: str
) -> None:
    ran = tonnage(*arguments, TONNAGE_PROBE__STARTUP_TIMEOUT_S="0.001")  # nothing may be started

    assert ran.returncode == 2, ran.stderr
    assert words in ran.stderr
    assert ran.stdout == "" and "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["probe", "net", "--batch-size", "64", "--set", "mib=2"], ["64 --sample-mib 2"]),
        (["max-batch", "net", "--set", "note=--note=x"], ["8 --sample-mib 1 --note=x"]),
        (
            ["tune", "net", "--set", "mib=2"],
            ["8 --sample-mib 2", "8 --sample-mib 2 --note=x"],
        ),
    ],
)
def test_a_dry_run_shows_the_exact_commands_and_starts_nothing(
    tonnage: Run, folder: Path, arguments: list[str], shown: list[str]
) -> None:
    before = sorted(folder.iterdir())

    ran = tonnage(*arguments, "--dry-run", "--python", "/bin/true")

    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert [line for line in lines if line.startswith("/bin/true")] == [
        f"/bin/true train.py --batch-size {rest}" for rest in shown
    ]
    made = set(folder.iterdir()) - set(before)
    assert not [path for path in made if any(path.rglob("*.db"))]


@pytest.mark.parametrize(
    ("devices", "ranks"), [((), "1"), (("--devices", "3"), "3"), (("--device", "cuda:0-3"), "4")]
)
def test_a_dry_run_shows_the_number_of_ranks(
    tonnage: Run, devices: tuple[str, ...], ranks: str
) -> None:
    command = "{python} train.py --batch-size {batch_size} --note {ranks}"
    ran = tonnage("max-batch", "--command", command, *devices, "--dry-run", "--python", "/bin/true")

    assert ran.returncode == 0, ran.stderr
    assert f"/bin/true train.py --batch-size 8 --note {ranks}" in ran.stdout.splitlines()


def test_the_maximum_batch_of_a_command(tonnage: Run) -> None:
    command = ("--command", f"{TRAIN} --sample-mib {{mib}}", "--set", "mib=1")
    ran = tonnage("max-batch", *command, *TINY, "--json", TONNAGE_PROBE__MAX_BATCH="4096")

    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["binding"] == "memory"
    assert 80 <= answer["max_batch"] <= 121  # 121.6 MiB less the interpreter, a MiB per sample
    assert answer["evidence"]["lowest_failing"]["verdict"] == "oom"
    assert (answer["workload"], answer["config"]) == ("command:train.py", {"mib": 1})
    assert any("no evaluation" in note for note in answer["notes"]), "the script has none"
    named = ("--workload", "command:train.py", "--batch-size", str(answer["max_batch"]))
    checked = tonnage("check", *named, "--set", "mib=1", *TINY)
    assert checked.returncode == 0 and "fits" in checked.stdout, checked.stderr

    planned = (*TINY, "--batch-size", str(answer["max_batch"]), "--set", "mib=1")
    by_name = tonnage("check", "--workload", "command:train.py", *planned)
    given = tonnage("check", *command, *TINY, "--batch-size", "4096")
    assert (by_name.returncode, by_name.stdout[:5]) == (0, "fits:"), by_name.stderr
    assert (given.returncode, given.stdout[:13]) == (1, "does not fit:"), given.stderr


def test_a_single_probe_of_a_command_can_be_checked_by_its_name(tonnage: Run) -> None:
    batch = ("--batch-size", "4")
    assert tonnage("probe", "--command", TRAIN, *TINY, *batch).returncode == 0
    checked = tonnage("check", "--workload", "command:train.py", *TINY, *batch)
    assert (checked.returncode, checked.stdout[:5]) == (0, "fits:"), checked.stderr


def test_a_study_of_a_registered_command_is_kept_like_any(tonnage: Run) -> None:
    tune = (
        "tune",
        "net",
        "--budget",
        "smoke_test",
        "--set",
        "note=",
        "--set",
        "mib=2",
        *TINY,
        "--json",
    )
    first = tonnage(*tune)

    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert (found["workload"], found["batch_size"], found["binding"]) == ("net", 8, "cap")
    again = tonnage(*tune)
    assert json.loads(again.stdout) == found and "Answered from the store" in again.stderr
    exported = tonnage("export", "latest", "--to", "args")
    assert "--batch-size 8" in exported.stdout and "--mib" in exported.stdout


def test_a_dry_run_shows_the_filled_configuration_file(tonnage: Run, folder: Path) -> None:
    (folder / "train.yaml").write_text(
        'batch: {batch_size}\nlayers: {layers}\nmode: "{{layers}}"\n'
    )
    command = ["--command", "{python} train.py --config {config}", "--option", "config=train.yaml"]
    shown = ["--dry-run", "--python", "/bin/true"]

    ran = tonnage("max-batch", *command, "--set", "layers=3", *shown)
    as_json = tonnage("tune", *command, "--space", "layers=3,4", *shown, "--json")

    assert ran.returncode == as_json.returncode == 0, ran.stderr + as_json.stderr
    assert 'batch: 8\nlayers: 3\nmode: "{layers}"' in ran.stdout
    first, second = json.loads(as_json.stdout)["commands"]
    assert "layers: 4" in second["config_file"]["text"]
    assert first["config_file"]["path"] == first["argv"][-1]
    assert not Path(first["argv"][-1]).exists()
