"""A whole run in its workers: prepare, fit, train; stopped, killed, resumed, exported."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetuning import FineTuning, presets
from finetuning.fit import Attempt, Fit
from finetuning.run_folder import RunFolder, RunState, write_json
from finetuning.settings.files import write_settings
from finetuning.training.arguments import Batches
from finetuning.training.export import Form
from probes.errors import InputError, MeasurementError
from tests.finetuning.conftest import write_rows
from tests.finetuning.test_fit import ScriptedMeasurer
from tests.warm import WarmEnvironment

MIB = 2**20


@pytest.fixture(scope="module")
def python(warm_trainer: WarmEnvironment) -> str:
    """What trains. A job of ``app`` trains with the real interpreter
    (``tests/app/finetuning_jobs/test_end_to_end.py``)."""
    return warm_trainer.python


def settings_of(models: dict[str, Path], **changes: Any) -> Any:
    usual = {
        "max_length": 96,
        "batch_size": 4,
        "effective_batch_size": 8,
        "max_steps": 6,
        "logging_steps": 1,
        "eval_steps": 2,
        "save_steps": 2,
        **changes,
    }
    return presets["quick_lora"].settings(str(models["llama"]), usual)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_rows(tmp_path_factory.mktemp("source") / "rows.jsonl", 80, seed=3)


@pytest.fixture(scope="module")
def finished(
    models: dict[str, Path],
    source: Path,
    python: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[FineTuning, Any, list[Any]]:
    """A run that was trained under a budget of 1 GiB, with its outcome and events."""
    events: list[Any] = []
    run = FineTuning(
        settings=settings_of(models),
        data={"numbers": str(source)},
        python=python,
        output=tmp_path_factory.mktemp("runs") / "out",
        memory_budget_bytes=1024 * MIB,
        on_event=events.append,
    )
    return run, run.run(), events


class TestARun:
    def test_it_ends_with_a_model_and_the_best_loss(self, finished: Any) -> None:
        run, outcome, _ = finished
        assert outcome.state is RunState.DONE
        assert (run.folder.model / "adapter_model.safetensors").is_file()
        assert (run.folder.model / "tokenizer.json").is_file()
        assert outcome.facts["eval_loss"] > 0
        assert outcome.facts["step"] == 6

    def test_training_takes_no_more_memory_than_the_probe_of_its_step(self, finished: Any) -> None:
        facts = finished[1].facts
        predicted, peak = facts["predicted_peak_bytes"], facts["peak_bytes"]
        # Its few batches may all be smaller than the worst case. Some MiB are libraries', which
        # matter in a model as small as this one only.
        assert 0.5 * predicted < peak <= 1.02 * predicted + 4 * MIB

    def test_every_step_is_logged_once_with_loss_memory_and_time_left(self, finished: Any) -> None:
        logged = [e for e in finished[0].folder.events() if "loss" in e]
        assert [e["step"] for e in logged] == [1, 2, 3, 4, 5, 6]
        assert all(e["peak_bytes"] > 0 and e["of"] == 6 for e in logged)
        assert logged[-1]["left_s"] == 0

    def test_it_is_evaluated_on_the_way(self, finished: Any) -> None:
        steps = [e["step"] for e in finished[0].folder.events() if "eval_loss" in e]
        assert steps == [2, 4, 6]

    def test_it_is_not_done_twice(self, finished: Any) -> None:
        run, _, _ = finished
        before = run.folder.progress.read_text()
        again = run.run()
        assert again.state is RunState.DONE
        assert run.folder.progress.read_text() == before

    def test_once_done_it_needs_neither_device_nor_interpreter(self, finished: Any) -> None:
        again = replace(finished[0], device=None, python="/no/such/python").run()
        assert (again.state, again.as_asked) == (RunState.DONE, True)

    def test_the_folder_refuses_other_settings(self, finished: Any, models: Any) -> None:
        run = replace(finished[0], settings=settings_of(models, max_steps=9))
        with pytest.raises(InputError, match="resume"):
            run.run()

    def test_it_is_resumed_from_its_folder_alone(self, finished: Any) -> None:
        run = FineTuning.resume(finished[0].output)
        assert run.settings == finished[0].settings
        assert run.memory_budget_bytes == 1024 * MIB

    def test_merged_weights_answer_as_the_adapters_do(self, finished: Any, tmp_path: Path) -> None:
        import torch
        from peft import AutoPeftModelForCausalLM
        from transformers import AutoModelForCausalLM

        run = finished[0]
        made = run.export(Form.MERGED, tmp_path / "merged")
        assert made["size_bytes"] > 0
        ids = torch.arange(2, 14).reshape(1, 12)
        with torch.no_grad():
            merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(ids).logits
            adapted = AutoPeftModelForCausalLM.from_pretrained(run.folder.model)(ids).logits
        assert torch.allclose(merged, adapted, atol=1e-4)

    def test_an_export_never_overwrites(self, finished: Any, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="exists"):
            finished[0].export(Form.ADAPTER, tmp_path)


def test_a_stop_keeps_a_checkpoint_and_resume_trains_the_rest(
    models: dict[str, Path], source: Path, python: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def stop_soon(event: Any) -> None:
        if event.get("phase") == "train" and event.get("loss") and event["step"] == 3:
            (out / "stop").touch()

    run = FineTuning(
        settings=settings_of(models, max_steps=40, save_steps=20, eval_steps=20),
        data={"numbers": str(source)},
        python=python,
        device="cpu",
        output=out,
        on_event=stop_soon,
        open_measurer=_roomy,
    )
    stopped = run.run()
    assert stopped.state is RunState.STOPPED
    assert 3 <= stopped.facts["step"] < 40
    resumed = FineTuning.resume(out).run()
    assert resumed.state is RunState.DONE
    assert resumed.facts["resumed_from_step"] == stopped.facts["step"]
    assert [e["step"] for e in run.folder.events() if "loss" in e] == list(range(1, 41))


class TestAFullDisk:
    @pytest.fixture
    def run(self, models: Any, source: Path, python: str, tmp_path: Path) -> FineTuning:
        return FineTuning(
            settings=settings_of(models),
            data={"numbers": str(source)},
            python=python,
            device="cpu",
            output=tmp_path / "out",
            open_measurer=_roomy,
        )

    def test_is_told_with_what_to_do(
        self, run: FineTuning, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, value: Any) -> None:
            if path.name == "state.json" and value["state"] != "preparing":
                raise OSError(errno.ENOSPC, "No space left on device")
            write_json(path, value)

        monkeypatch.setattr("finetuning.run_folder.write_json", full)
        with pytest.raises(MeasurementError, match=r"No space left .*finetune resume"):
            run.run()
        monkeypatch.undo()
        assert FineTuning.resume(run.output, until="fitted", open_measurer=_roomy).run().as_asked

    def test_in_training_is_no_crash_of_the_workload(self, tmp_path: Path) -> None:
        from finetuning.training.job import _is_of_a_full_disk

        try:
            try:
                raise OSError(errno.ENOSPC, "No space left on device")
            except OSError as error:
                raise RuntimeError("The file could not be written.") from error
        except RuntimeError as error:
            assert _is_of_a_full_disk(error, tmp_path)
        as_safetensors = RuntimeError("I/O error: No space left on device (os error 28)")
        assert _is_of_a_full_disk(as_safetensors, tmp_path)
        assert not _is_of_a_full_disk(OSError(errno.EACCES, "Permission denied"), tmp_path)


SCRIPT = """
import sys
from finetuning import FineTuning
from pathlib import Path
FineTuning.resume(Path(sys.argv[1])).run()
"""


def test_a_killed_run_goes_on_from_its_last_checkpoint_and_logs_nothing_twice(
    models: dict[str, Path], source: Path, python: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run = FineTuning(
        settings=settings_of(models, max_steps=300, save_steps=10, eval_steps=10),
        data={"numbers": str(source)},
        python=python,
        device="cpu",
        output=out,
        until="fitted",
        open_measurer=_roomy,
    )
    run.run()
    folder = RunFolder(out)
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(out)], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    _wait_for(lambda: any(e["step"] >= 13 for e in folder.events()), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder.checkpoints / "checkpoint-9999").mkdir()  # as a kill in the middle of saving leaves it
    damaged = shutil.copytree(folder.checkpoints / "checkpoint-10", folder.checkpoints / "copy")
    os.truncate(damaged / "optimizer.pt", 1000)
    damaged.rename(folder.checkpoints / "checkpoint-8888")
    with folder.progress.open("a") as file:
        file.write('{"step": 99')  # and a line that was cut off
    edited = folder.settings.read_text().replace("max_steps: 300", "max_steps: 30")
    folder.settings.write_text(edited)
    events: list[Any] = []
    outcome = FineTuning.resume(out, on_event=events.append).run()
    assert outcome.state is RunState.DONE
    assert 10 <= outcome.facts["resumed_from_step"] < 8888
    (told,) = [event["line"] for event in events if event["phase"] == "damaged"]
    assert "checkpoint-8888" in told and str(folder.checkpoints / "damaged-8888") in told
    assert [e["step"] for e in folder.events() if "loss" in e] == list(range(1, 31))


def _wait_for(condition: Any, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 240
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_relative_paths_hold_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = presets["quick_lora"].settings("models/small")
    run = FineTuning(settings=settings, data={"a": "logs/a_*"}, output="out")
    monkeypatch.chdir("elsewhere")
    run._begin()
    resumed = FineTuning.resume(tmp_path / "out")
    assert resumed.settings.model.name == str(tmp_path / "models" / "small")
    assert resumed.data == {"a": [str(tmp_path / "logs" / "a_*")]}
    assert resumed.output == tmp_path / "out"
    resumed.check_folder()


def test_a_relative_path_of_an_older_record_is_understood_where_it_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    settings = presets["quick_lora"].settings("small")
    write_settings(settings, tmp_path / "out" / "finetuning.yaml")
    FineTuning.resume("out").check_folder()
    FineTuning(settings=settings, data={}, output="out").check_folder()


def test_resume_keeps_the_rows_of_a_source_that_has_grown(
    models: dict[str, Path], python: str, tmp_path: Path
) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 80, seed=3)
    run = FineTuning(
        settings=settings_of(models),
        data={"numbers": str(rows)},
        python=python,
        device="cpu",
        output=tmp_path / "out",
        until="prepared",
    )
    run.run()
    write_rows(rows, 81, seed=3)
    events: list[Any] = []
    resumed = FineTuning.resume(run.output, until="prepared", on_event=events.append).run()
    assert resumed.as_asked
    (prepared,) = [event for event in events if event["phase"] == "prepared"]
    assert prepared["reused"] and "numbers" in prepared["notes"][-1]
    kept = run.folder.sources.read_text()
    with pytest.raises(InputError, match="numbers is missing"):
        replace(run, data={"others": str(rows)}).run()
    assert run.folder.sources.read_text() == kept  # resume would read it


class TestWhichFolderTakesOtherSettings:
    @pytest.fixture
    def refused(self, models: Any, source: Path, python: str, tmp_path: Path) -> FineTuning:
        """A run whose settings were refused."""
        run = FineTuning(
            settings=settings_of(models, max_length=4096),
            data={"numbers": str(source)},
            python=python,
            device="cpu",
            output=tmp_path / "out",
            open_measurer=_roomy,
        )
        with pytest.raises(InputError, match="4096"):
            run.run()
        assert run.folder.read_state()["refused"]
        return run

    def test_one_whose_settings_were_refused(self, refused: FineTuning, models: Any) -> None:
        corrected = replace(refused, settings=settings_of(models), until="prepared")
        assert corrected.run().as_asked
        assert FineTuning.resume(refused.output).settings == corrected.settings
        other = replace(corrected, settings=settings_of(models, learning_rate=1e-4))
        assert other.run().as_asked  # the rows do not depend on it
        with pytest.raises(InputError, match="other settings"):
            replace(corrected, settings=settings_of(models, **{"data.test_share": 0.3})).run()

    def test_never_that_of_the_model(self, models: Any, source: Path) -> None:
        run = FineTuning(
            settings=settings_of(models), data={"a": str(source)}, output=models["llama"]
        )
        with pytest.raises(InputError, match="model's own folder"):
            run.check_folder()

    def test_none_in_which_something_was_fitted(self, refused: FineTuning, models: Any) -> None:
        fitted = replace(refused, settings=settings_of(models), until="fitted")
        assert fitted.run().as_asked
        with pytest.raises(InputError, match="other settings"):
            replace(fitted, settings=settings_of(models, max_steps=9)).check_folder()

    @pytest.mark.parametrize("state", [RunState.PREPARING, RunState.FITTING, RunState.TRAINING])
    def test_none_in_which_a_run_goes_on(
        self, refused: FineTuning, models: Any, state: RunState
    ) -> None:
        refused.folder.write_state(state)
        with pytest.raises(InputError, match="other settings"):
            replace(refused, settings=settings_of(models)).check_folder()


def test_a_budget_that_is_too_small_says_what_it_lacks(
    models: dict[str, Path], source: Path, python: str, tmp_path: Path
) -> None:
    run = FineTuning(
        settings=settings_of(models, batch_size="auto"),
        data={"numbers": str(source)},
        python=python,
        device="cpu",
        output=tmp_path / "out",
        memory_budget_bytes=MIB,
        may_change=False,
        open_measurer=_cramped,
    )
    outcome = run.run()
    assert outcome.state is RunState.FAILED
    assert "do not fit" in outcome.reason
    assert json.loads(run.folder.state.read_text())["state"] == "failed"


def test_what_did_not_fit_before_is_tried_again(
    models: dict[str, Path], source: Path, python: str, tmp_path: Path
) -> None:
    run = FineTuning(
        settings=settings_of(models),
        data={"numbers": str(source)},
        python=python,
        output=tmp_path,
        device="cpu",
    )
    refused = Fit(run.settings, None, attempts=(Attempt((), None, "The memory was in use."),))
    write_json(run.folder.fit, {**refused.to_dict(), "asked": run._asked()})
    fitted = replace(run, open_measurer=_roomy).fit(40)
    assert fitted.batches == Batches(4, 2)
    assert (
        replace(run, open_measurer=None).fit(40) == fitted
    )  # and what fitted is not measured twice


@contextlib.contextmanager
def _roomy(run: FineTuning, rows: int) -> Iterator[ScriptedMeasurer]:
    yield ScriptedMeasurer(limit_mib=10_000)


@contextlib.contextmanager
def _cramped(run: FineTuning, rows: int) -> Iterator[ScriptedMeasurer]:
    yield ScriptedMeasurer(limit_mib=1)
