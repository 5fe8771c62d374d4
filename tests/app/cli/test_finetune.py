"""``tonnage finetune`` from the command line: run, resume, evaluate, compare, export."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.cli import run
from app.cli.context import open_database, open_settings
from app.database.models.finetuning import FineTuningRow
from app.finetunings import reading
from finetuning.models.small import make_small_model
from finetuning.settings.presets import PRESETS
from probes.devices.lease import lease
from tests.app.cli.conftest import CPU
from tests.finetuning.conftest import rows, write_rows
from tests.warm import WarmEnvironment

Finetune = Callable[..., tuple[int, str, str]]
SETTINGS = ("max_length=96", "batch_size=4", "effective_batch_size=8", "max_steps=4")


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, warm_trainer: WarmEnvironment
) -> Iterator[Path]:
    """A folder with a model and rows, and the settings of every command in here."""
    root = tmp_path_factory.mktemp("finetune")
    texts = [row["prompt"] + row["completion"] for row in rows(50, 0)]
    make_small_model(root / "model", texts, layers=1, hidden_size=32, positions=256)
    write_rows(root / "rows.jsonl", 60, seed=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TONNAGE_DATA_DIR", str(root / "data"))
        patch.setenv("TONNAGE_PROBE__LEASE_DIR", str(root / "leases"))
        patch.setenv("TONNAGE_PROBE__ACCEPT_DISTURBED", "true")
        patch.setenv("TONNAGE_PROBE__REPEATS_WHEN_DISTURBED", "0")
        patch.setenv("TONNAGE_PROBE__CONFIRM_STEPS", "4")
        patch.setenv("TONNAGE_PROBE__MEASURE_BUDGET_S", "0.5")
        patch.setenv("XDG_CONFIG_HOME", str(root / "config"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("VIRTUAL_ENV", str(warm_trainer.folder))
        patch.chdir(root)
        yield root


@pytest.fixture
def finetune(folder: Path, capsys: pytest.CaptureFixture[str]) -> Finetune:
    """Run ``tonnage finetune …`` in this process: status, stdout, stderr."""

    def ran(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = run(["finetune", *arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return ran


def asked(output: str, *more: str) -> list[str]:
    settings = dict(setting.split("=", 1) for setting in (*SETTINGS, *more))
    changes = [word for each in settings.items() for word in ("--set", "=".join(each))]
    usual = ["--model", "model", "--data", "numbers=rows.jsonl", "--preset", "quick_lora"]
    return ["run", *usual, *changes, "--output", output, "--device", "cpu"]


def stored(output: str, url: str | None = None) -> FineTuningRow:
    """The row of the run in this folder, in the database of a single test where no other is
    named."""
    database = open_database(open_settings(), url)
    (row,) = [r for r in reading.page(database, limit=20) if r.output.endswith(f"/{output}")]
    database.close()
    return row


class TestWrongInput:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["run", "--output", "x"], "--model"),
            (["run", "--model", "model", "--output", "x"], "--data"),
            (asked("x", "lora.rr=3"), "lora.r"),
            (asked("x", "lora.r=0"), "1 to 256"),
            (["run", "--model", "model", "--preset", "quik_lora", "--output", "x"], "quick_lora"),
            (["resume", "nowhere"], "nowhere"),
            (["export", "nowhere", "--to", "onnx"], "gguf-ready"),
            (["compare", "nowhere", "elsewhere"], "nowhere"),
            (["evaluate", "nowhere"], "nowhere"),
        ],
    )
    def test_is_status_2_with_what_to_do(
        self, finetune: Finetune, arguments: list[str], words: str
    ) -> None:
        status, out, err = finetune(*arguments)
        assert status == 2
        assert words in err
        assert out == ""

    def test_a_model_that_is_not_there_is_named(self, finetune: Finetune) -> None:
        wanted = asked("missing")
        wanted[wanted.index("model")] = "./no/model"
        status, _, err = finetune(*wanted)
        assert status == 2
        assert "./no/model" in err

    def test_rows_longer_than_the_model_takes_are_refused_before_anything_is_measured(
        self, finetune: Finetune, folder: Path
    ) -> None:
        status, _, err = finetune(*asked("too-long", "max_length=512"))
        assert status == 2
        assert "max_length=512" in err and "max_length=256" in err
        assert not (folder / "too-long" / "fit.json").exists()

    def test_presets_that_the_model_cannot_take_are_refused_before_any_is_tried(
        self, finetune: Finetune
    ) -> None:
        wanted = ("presets", "--model", "model", "--set", "training.max_length=512")
        status, out, err = finetune(*wanted)
        assert (status, out) == (2, "")
        assert "max_length=512" in err and "max_length=256" in err

    def test_corrected_settings_go_into_the_folder_of_the_refused_ones(
        self, finetune: Finetune
    ) -> None:
        assert finetune(*asked("corrected", "max_length=4096"))[0] == 2
        for command in (["evaluate", "corrected"], ["export", "corrected", "--to", "merged"]):
            status, _, err = finetune(*command)
            assert status == 2
            assert "no trained model yet" in err and "finetune run" in err
        status, _, err = finetune(*asked("corrected"), "--prepare-only")
        assert status == 0, err

    def test_data_that_is_not_there_is_named(self, finetune: Finetune) -> None:
        wanted = asked("missing2")
        wanted[wanted.index("numbers=rows.jsonl")] = "numbers=no/rows_*.jsonl"
        status, _, err = finetune(*wanted)
        assert status == 2
        assert "rows_*.jsonl" in err


def test_presets_are_listed_with_what_they_set(finetune: Finetune) -> None:
    status, out, _ = finetune("presets", "--json")
    assert status == 0
    assert {row["name"] for row in json.loads(out)["presets"]} == set(PRESETS)
    assert "production_lora" in finetune("presets")[1]


@pytest.fixture(scope="module")
def trained(folder: Path) -> tuple[int, str]:
    """Status and stdout of a run that trained; its folder is ``out``."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        status = run(["finetune", *asked("out"), "--json"])
    return status, out.getvalue()


@pytest.fixture(scope="module")
def evaluated(trained: tuple[int, str]) -> tuple[int, str]:
    """Status and stdout of its evaluation."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        wanted = ["evaluate", "out", "--baseline", "base", "--limit", "6", "--json"]
        status = run(["finetune", *wanted])
    return status, out.getvalue()


@pytest.mark.usefixtures("trained")
class TestARun:
    def test_it_trains_and_prints_one_document(
        self, trained: tuple[int, str], folder: Path
    ) -> None:
        status, out = trained
        assert status == 0
        found = json.loads(out)
        assert found["state"] == "done"
        assert found["peak_bytes"] > 0 and found["predicted_peak_bytes"] > 0
        assert (folder / "out" / "model").is_dir()
        assert "predicted" not in out.partition("{")[0]

    def test_the_same_command_again_trains_nothing(self, finetune: Finetune) -> None:
        status, out, _ = finetune(*asked("out"), "--json")
        assert (status, json.loads(out)["state"]) == (0, "done")

    def test_once_done_it_waits_for_no_device(
        self, finetune: Finetune, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unwanted(*_: Any) -> None:
            raise AssertionError("It looks for a device.")

        with lease(CPU, command="tonnage tune elsewhere", wait_s=0, folder=folder / "leases"):
            unstored = ("--database", f"sqlite:///{folder}/another.db")
            for wanted in (["resume", "out"], asked("out")):
                for more in (unstored, ()):
                    assert finetune(*wanted, "--wait", "0", *more)[0] == 0
            monkeypatch.setattr("app.machine.target.open_single", unwanted)
            assert finetune("resume", "out")[0] == 0
            assert finetune(*asked("out"))[0] == 0

    def test_data_is_prepared_while_the_device_is_in_use(
        self, finetune: Finetune, folder: Path
    ) -> None:
        with lease(CPU, command="tonnage tune elsewhere", wait_s=0, folder=folder / "leases"):
            status, _, err = finetune(*asked("rows"), "--prepare-only", "--wait", "0")
        assert status == 0, err
        assert (folder / "rows" / "data" / "train.jsonl").is_file()

    def test_another_setting_needs_another_folder(self, finetune: Finetune) -> None:
        status, _, err = finetune(*asked("out", "lora.r=4"))
        assert status == 2
        assert "resume" in err

    def test_it_is_stored_with_its_grade(self, folder: Path) -> None:
        row = stored("out", f"sqlite:///{folder}/data/tonnage.db")
        assert row.state == "done"
        assert row.predicted_peak_bytes and row.measured_peak_bytes
        assert row.step == 4

    def test_it_is_evaluated_beside_its_base_model(self, evaluated: tuple[int, str]) -> None:
        status, out = evaluated
        assert status == 0
        found = json.loads(out)
        assert {"run", "baseline"} <= set(found)
        assert "perplexity" in json.dumps(found["run"]["language"])

    @pytest.mark.usefixtures("evaluated")
    def test_two_copies_compare_as_equal_with_a_report(
        self, finetune: Finetune, folder: Path
    ) -> None:
        shutil.copytree(folder / "out", folder / "copy")
        status, out, err = finetune(
            "compare", "out", "copy", "--report", "r.html", "--csv", "r.csv", "--json"
        )
        assert status == 0, err
        found: Any = json.loads(out)
        assert all(test["p_value"] in (None, 1.0) for test in found["tests"])
        assert "<html" in (folder / "r.html").read_text()
        assert (folder / "r.csv").read_text().count("\n") > 1

    def test_it_is_exported_once(self, finetune: Finetune, folder: Path) -> None:
        status, out, _ = finetune("export", "out", "--to", "gguf-ready", "--json")
        assert status == 0
        assert (Path(json.loads(out)["destination"]) / "model.safetensors").is_file()
        status, _, err = finetune("export", "out", "--to", "gguf-ready")
        assert status == 2
        assert "exists" in err


def test_stopping_after_a_part_that_was_asked_for_is_no_interruption(
    finetune: Finetune, folder: Path
) -> None:
    status, out, _ = finetune(*asked("prepared"), "--prepare-only")
    assert status == 0
    assert "finetune resume" in out
    assert (folder / "prepared" / "data" / "train.jsonl").is_file()
    assert not (folder / "prepared" / "model").exists()


def test_a_fit_alone_says_what_it_found_and_stores_no_training(
    finetune: Finetune, folder: Path
) -> None:
    status, out, err = finetune(*asked("fitted"), "--fit-only", "--json")
    assert status == 0, err
    document = json.loads(out)
    assert document["state"] == "stopped" and document["fit"]["batches"]["micro_batch"] == 4
    assert "4 rows" in err.partition("stable")[0]  # announced before it is measured
    assert not (folder / "fitted" / "model").exists()
    row = stored("fitted")
    assert row.predicted_peak_bytes and not row.measured_peak_bytes


def test_settings_that_cannot_fit_are_status_1(finetune: Finetune) -> None:
    status, out, _ = finetune(*asked("small"), "--memory-budget", "1MiB", "--keep-settings")
    assert status == 1
    assert "fit" in out
