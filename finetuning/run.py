"""One fine-tuning run, from rows to a model: prepare, fit, train; each part is done once.

The state of a run is in its folder, so the same call continues after a kill. Everything heavy runs
in a worker in the user's interpreter; this module imports no torch.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from finetuning.fit import Fit, Measurer, fit
from finetuning.measuring import LocalMeasurer, workload
from finetuning.run_folder import RunFolder, RunState, read_json, write_json
from finetuning.settings.files import read_settings, write_settings
from finetuning.settings.model import FineTuningSettings
from finetuning.training.export import Form
from probes.devices.environment import worker_environment
from probes.errors import InputError, MeasurementError
from probes.formatting import sentences
from probes.isolation import Worker
from probes.prober import Prober
from probes.timeouts import Timeouts

PATIENCE = Timeouts(startup_s=3600.0, step_s=7200.0, probe_s=float("inf"))
"""Training is not a probe: a long evaluation is silent, and nobody waits for a verdict."""

Event = Mapping[str, Any]
OpenMeasurer = Callable[["FineTuning", int], contextlib.AbstractContextManager[Measurer]]
"""Opens what runs the probes of a fit, given the run and its number of training rows."""


@dataclass(frozen=True)
class Outcome:
    """What a run ended in."""

    state: RunState
    folder: Path
    reason: str = ""
    facts: Mapping[str, Any] | None = None
    """What the training job reported; see ``finetuning.training.job.train``."""
    as_asked: bool = False
    """Whether everything that was asked for is done: training, or the part named by ``until``."""
    fit: Mapping[str, Any] | None = None
    """``Fit.to_dict``, where nothing more than a fit was asked for."""


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """A run to be done, or done in part.

    Relative paths (of the model, the data and the output) are resolved against the current folder
    when it is constructed, and recorded as absolute: the program may change its folder afterwards,
    and a run can be resumed from any.

    Example::

        settings = presets["quick_lora"].settings("models/small", {"training.epochs": 1})
        run = FineTuning(settings=settings, data={"bfs": "logs/bfs_*"}, output=Path("out"))
        run.run()
    """

    settings: FineTuningSettings
    data: Mapping[str, str | Sequence[str]]
    """Name of each source, and the paths or patterns of its files."""
    output: Path | str
    device: str | None = None
    """``cpu``, ``cuda:0``, …; none: the best one that the interpreter has."""
    memory_budget_bytes: int | None = None
    """Memory that training may use; none: all of the device."""
    python: str = sys.executable
    """The interpreter that trains."""
    may_change: bool = True
    """Whether the fit may pull levers beyond the micro-batch."""
    keep_rows: bool = False
    """Whether rows that the folder holds are used, with a note, though their sources have changed
    since. A run that is resumed keeps them."""
    until: Literal["prepared", "fitted", "trained"] = "trained"
    """Which part is the last to be done."""
    open_measurer: OpenMeasurer | None = None
    on_event: Callable[[Event], None] = lambda event: None
    """Called with each event: ``phase``, and what is known."""

    def __post_init__(self) -> None:
        located = {
            "settings": self.settings.located(),
            "data": {name: _absolute_patterns(given) for name, given in self.data.items()},
            "output": _absolute(self.output),
        }
        for name, value in located.items():
            object.__setattr__(self, name, value)

    @property
    def folder(self) -> RunFolder:
        return RunFolder(Path(self.output))

    @classmethod
    def resume(cls, output: Path | str, **changes: Any) -> FineTuning:
        """The run of a folder, to be continued. Raises ``InputError`` where there is none."""
        folder = RunFolder(Path(output))
        folder.check_exists()
        kept = read_json(folder.sources) or {}
        return cls(
            settings=read_settings(folder.settings),
            data=kept.get("data", {}),
            output=Path(output),
            **{
                "device": kept.get("device"),
                "memory_budget_bytes": kept.get("memory_budget_bytes"),
                "python": kept.get("python", sys.executable),
                "may_change": kept.get("may_change", True),
                "keep_rows": True,
                **changes,
            },
        )

    def run(self) -> Outcome:
        """Do what is left to do. Raises ``InputError`` for settings or data that cannot be used,
        and ``MeasurementError`` where nothing can be measured here."""
        done = self.done_before()
        if done is not None:
            return done
        if self.device is None:
            return replace(self, device=self._best_device()).run()
        self._begin()
        self.folder.stop.unlink(missing_ok=True)
        try:
            rows = self.prepare()
            if self.until == "prepared":
                return self._paused("The data is prepared.")
            fitted = self.fit(rows)
            said = " ".join(fitted.sentences)
            if fitted.batches is None:
                failed = {"failed": fitted.failed} if fitted.failed else None
                return self._end(RunState.FAILED, said, failed)
            if self.until == "fitted":
                return replace(self._paused(said), fit=fitted.to_dict())
            return self.train(fitted)
        except KeyboardInterrupt:
            self._end(RunState.STOPPED, "It was interrupted.")
            raise
        except OSError as error:
            failure = MeasurementError(
                f"{error.filename or self.folder.path}: {error.strerror or error}. Solve that "
                f"first. {self._continue_words()}"
            )
            self._end(RunState.FAILED, str(failure))
            raise failure from error
        except (InputError, MeasurementError) as error:
            refused = isinstance(error, InputError)
            self._end(RunState.FAILED, str(error), {"refused": True} if refused else None)
            raise

    def done_before(self) -> Outcome | None:
        """The outcome where an earlier call has trained to the end. Needs no device. Raises
        ``InputError`` as ``check_folder`` does."""
        self.check_folder()
        state = self.folder.read_state()
        if state.get("state") != RunState.DONE.value or not self.folder.model.is_dir():
            return None
        return Outcome(RunState.DONE, self.folder.path, "It was done before.", state, True)

    def check_folder(self) -> None:
        """Raise ``InputError`` where the folder is that of the model, or holds a run with other
        settings, unless that run has ended with nothing that they could spoil: it was refused, for
        example."""
        folder = self.folder
        if folder.path == Path(self.settings.model.name):
            raise InputError(f"{folder.path} is the model's own folder. Choose another --output.")
        if not folder.settings.is_file() or (folder.is_free and not folder.has_rows):
            return
        kept = read_settings(folder.settings).located()
        same_rows = _rows_of(kept) == _rows_of(self.settings)
        if kept != self.settings and not (folder.is_free and same_rows):
            raise InputError(
                f"{folder.path} holds a run with other settings. Choose another --output, or "
                f"continue that run: tonnage finetune resume {folder.path}"
            )

    # -- the parts -------------------------------------------------------------------------

    def prepare(self) -> int:
        """Make the data folder unless it is there. Returns the number of training rows."""
        self._enter(RunState.PREPARING)
        arguments = {
            "output": str(self.folder.path),
            "sources": dict(self.data),
            "keep": self.keep_rows,
        }
        with self._worker() as worker:
            summary = self._call(worker, "finetuning.data.job:prepare_job", arguments)
        self._write_sources()
        self._tell({"phase": "prepared", **summary})
        return int(summary["rows"]["train"])

    def fit(self, rows: int) -> Fit:
        """Fit to the device unless the same settings were fitted to the same limit before. What did
        not fit is tried again: other programs may have held the memory."""
        kept = read_json(self.folder.fit)
        if kept is not None and kept["fits"] and kept.get("asked") == self._asked():
            return Fit.from_dict(kept)
        self._enter(RunState.FITTING)
        opened = self.open_measurer or FineTuning._local_measurer
        with opened(self, rows) as measurer:
            fitted = fit(
                self.settings,
                measurer,
                lambda line: self._tell({"phase": "fit", "line": line}),
                may_change=self.may_change,
            )
        write_json(self.folder.fit, {**fitted.to_dict(), "asked": self._asked()})
        self._tell({"phase": "fitted", **fitted.to_dict()})
        return fitted

    def train(self, fitted: Fit) -> Outcome:
        """Train to the end, or until a stop is asked for."""
        assert fitted.batches is not None
        self._enter(RunState.TRAINING, fit=fitted.to_dict()["batches"])
        write_settings(fitted.settings, self.folder.fitted_settings)
        arguments = {
            "output": str(self.folder.path),
            "device": self.device,
            "limit_bytes": self.memory_budget_bytes,
            "micro_batch": fitted.batches.micro_batch,
            "accumulation": fitted.batches.accumulation,
        }
        with self._worker() as worker:
            facts = self._call(worker, "finetuning.training.job:train", arguments)
        facts["predicted_peak_bytes"] = fitted.peak_bytes
        facts["predicted_step_s"] = fitted.step_s.get("mean")
        if "failed" in facts:
            failed = facts["failed"]
            return self._end(RunState.FAILED, sentences(failed["reason"], failed["hint"]), facts)
        if facts["stopped"]:
            words = f"Stopped after step {facts['step']}, with a checkpoint."
            return self._end(RunState.STOPPED, words, facts)
        return replace(self._end(RunState.DONE, "", facts), as_asked=True)

    def evaluate(
        self,
        tasks: Sequence[str] = ("language",),
        *,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        baseline: str | None = None,
        limit: int | None = None,
        names: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Evaluate the trained model in the interpreter that trained it; see
        ``finetuning.evaluating``. Returns ``{"run": …, "baseline": …}``.

        Raises ``InputError`` where there is no trained model, and as ``evaluate`` there does.
        """
        self.folder.check_trained()
        arguments = {
            "output": str(self.folder.path),
            "tasks": list(tasks),
            "options": {name: dict(given) for name, given in (options or {}).items()},
            "baseline": baseline,
            "limit": limit,
            "names": dict(names or {}),
            "device": self.device,
        }
        with self._worker() as worker:
            return self._call(worker, "finetuning.evaluating:evaluate_job", arguments)

    def with_events(self, on_event: Callable[[Event], None]) -> FineTuning:
        """The same run, telling its events."""
        return replace(self, on_event=on_event)

    def export(self, form: Form, destination: Path | None = None) -> dict[str, Any]:
        """Write the trained model in another form. Returns ``destination`` and ``size_bytes``.

        Raises ``InputError`` where there is no trained model, or something would be overwritten.
        """
        self.folder.check_trained()
        arguments = {
            "output": str(self.folder.path),
            "form": form.value,
            "destination": str((destination or self.folder.path / form.value).absolute()),
        }
        with self._worker() as worker:
            return self._call(worker, "finetuning.training.export:export_job", arguments)

    def request_stop(self) -> None:
        """Let training save a checkpoint and end after the step in progress."""
        self.folder.stop.touch()

    # -- inside ----------------------------------------------------------------------------

    def _begin(self) -> None:
        """Write down what is to be done, or check that the folder is of the same run."""
        self.check_folder()
        folder = self.folder
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            if not self._is_written():
                write_settings(self.settings, folder.settings)
            if not folder.has_rows or not folder.sources.is_file():
                self._write_sources()  # those of rows that are there stay until others are accepted
        except OSError as error:
            raise InputError(
                f"{folder.path} cannot be written: {error.strerror}. Choose another --output."
            ) from error

    def _write_sources(self) -> None:
        write_json(
            self.folder.sources,
            {
                "data": dict(self.data),
                "device": self.device,
                "memory_budget_bytes": self.memory_budget_bytes,
                "python": self.python,
                "may_change": self.may_change,
            },
        )

    def _is_written(self) -> bool:
        """Whether the folder's settings are these; see ``check_folder`` for when others may be."""
        file = self.folder.settings
        try:
            return file.is_file() and read_settings(file).located() == self.settings
        except InputError:
            return False

    def _asked(self) -> dict[str, Any]:
        return {
            "settings": self.settings.to_plain(),
            "device": self.device,
            "memory_budget_bytes": self.memory_budget_bytes,
            "may_change": self.may_change,
        }

    def _enter(self, state: RunState, **facts: Any) -> None:
        self.folder.write_state(state, since=time.time(), **facts)
        self._tell({"phase": state.value})

    def _end(self, state: RunState, reason: str, facts: Mapping[str, Any] | None = None) -> Outcome:
        # Where not even this can be written, the run is left as a kill leaves it.
        unwritten = (OSError,) if state in (RunState.FAILED, RunState.STOPPED) else ()
        with contextlib.suppress(*unwritten):
            self.folder.write_state(state, since=time.time(), reason=reason, **(facts or {}))
        self._tell({"phase": state.value, "reason": reason})
        return Outcome(state, self.folder.path, reason, facts)

    def _paused(self, reason: str) -> Outcome:
        words = f"{reason} {self._continue_words()}"
        return replace(self._end(RunState.STOPPED, words), as_asked=True)

    def _continue_words(self) -> str:
        return f"Continue with: tonnage finetune resume {self.folder.path}"

    def _tell(self, event: Event) -> None:
        self.on_event(event)

    def _best_device(self) -> str:
        """Raises ``MeasurementError`` where the interpreter has no usable torch."""
        with Prober(self.python) as prober:
            return str(prober.devices()["devices"][0]["device"])

    def _worker(self) -> Worker:
        kind = (self.device or "cpu").partition(":")[0]
        return Worker(self.python, {**worker_environment(kind), "HF_HUB_DISABLE_TELEMETRY": "1"})

    def _call(self, worker: Worker, function: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Let the worker call a function of ``finetuning``. Raises what it raises, in words."""
        job = {"kind": "call", "function": function, "arguments": arguments}
        reply = worker.request(job, PATIENCE, self._tell)
        result = reply.result
        if result is None:
            tail = (reply.stderr_tail or reply.stdout_tail).strip().splitlines()
            last = f" Its last words: {tail[-1]}" if tail else ""
            how = reply.timed_out or f"ended with status {reply.returncode}"
            raise MeasurementError(f"The process that trains {how}.{last}")
        if "error" in result:
            kind = InputError if result["exit_code"] == InputError.exit_code else MeasurementError
            raise kind(result["error"])
        if "exception" in result:
            facts = result["exception"]
            raise MeasurementError(
                f"{function.partition(':')[2]} failed with {facts['types'][0]}: "
                f"{facts['message']}\n{facts['traceback']}"
            )
        value: dict[str, Any] = result["value"]
        return value

    @contextlib.contextmanager
    def _local_measurer(self, rows: int) -> Iterator[Measurer]:
        device = self.device or self._best_device()
        reference = workload(self.folder.settings, self.folder.path, device)
        with Prober(self.python) as prober:
            prober.describe(reference)  # every probe then starts with the libraries imported
            yield LocalMeasurer(
                prober,
                reference,
                device,
                rows,
                limit_bytes=self.memory_budget_bytes,
                on_progress=self._tell,
                on_measurement=lambda m: self._tell(
                    {
                        "phase": "probed",
                        "batch_size": m.batch_size,
                        "verdict": m.verdict.value,
                        "peak_bytes": m.peak_bytes,
                    }
                ),
            )


def _rows_of(settings: FineTuningSettings) -> tuple[object, int]:
    """What the prepared rows depend on beside their sources."""
    return settings.data, settings.training.seed


def _absolute(path: Path | str) -> Path:
    return Path(path).expanduser().absolute()


def _absolute_patterns(given: str | Sequence[str]) -> list[str]:
    return [str(_absolute(one)) for one in ([given] if isinstance(given, str) else given)]
