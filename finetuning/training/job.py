"""Training as a job of the worker: under the memory limit, watched, resumable.

Reads top to bottom what happens between the start of the process and the saved model.
"""

from __future__ import annotations

import errno
import shutil
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetuning.run_folder import RunFolder
from finetuning.settings.files import read_settings
from finetuning.training.arguments import Batches
from finetuning.training.checkpoints import latest_checkpoint, set_aside_damaged
from probes.classify import classify
from probes.devices import backend_for
from probes.errors import TonnageError
from probes.measurement import Verdict
from probes.worker.channel import Channel

if TYPE_CHECKING:
    from finetuning.settings.model import FineTuningSettings
    from finetuning.training.callbacks import ProgressLog
    from probes.devices.base import Backend, MemoryCap


PAGE_BYTES = 2**16


def train(arguments: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Train the run in ``arguments["output"]`` to its end, or on from its last checkpoint.

    ``arguments``: ``output``, ``device``, ``limit_bytes`` (none: all of the device),
    ``micro_batch``, ``accumulation``. Returns the outcome as plain data; what a training run can
    fail of is ``failed``, with verdict, reason and hint.
    """
    channel.progress("import")
    from finetuning.training.trainer import import_libraries

    import_libraries()
    from finetuning.training.callbacks import LastStep, ProgressLog, StopOnRequest

    folder = RunFolder(Path(arguments["output"]))
    settings = read_settings(folder.fitted_settings)
    device = arguments["device"]
    batches = Batches(arguments["micro_batch"], arguments["accumulation"])

    channel.progress("build")
    backend = backend_for(device)
    backend.initialise()
    cap = backend.apply_cap(arguments["limit_bytes"], 0.0)
    for file, aside in set_aside_damaged(folder.checkpoints):
        damaged = f"{file.parent.name} is damaged: {file.name} was cut off. It is kept as {aside}."
        channel.progress("damaged", always=True, line=damaged)
    earlier = latest_checkpoint(folder.checkpoints)
    if earlier is not None:
        channel.progress("resumed", earlier[1])
    log = ProgressLog(
        folder.progress,
        backend.peak_bytes,
        lambda event: channel.progress("train", always=True, **event),
        from_step=earlier[1] if earlier else 0,
    )
    stop = StopOnRequest(folder.stop)
    callbacks: list[Any] = [log, LastStep(), stop]
    trainer = None
    try:
        trainer = _trainer(settings, folder, batches, device, backend, callbacks)
        trainer.train(resume_from_checkpoint=str(earlier[0]) if earlier else None)
        peak_bytes = backend.peak_bytes()
        backend.lift_cap()
        if not stop.stopped:
            _save(trainer, folder)
    except TonnageError:
        raise
    except Exception as error:
        return {
            "failed": _failure(error, backend, cap, batches.micro_batch, folder),
            "step": trainer.state.global_step if trainer is not None else 0,
            "peak_bytes": backend.peak_bytes(),
        }
    return _outcome(trainer, log, stop.stopped, peak_bytes, earlier[1] if earlier else None)


def _trainer(
    settings: FineTuningSettings,
    folder: RunFolder,
    batches: Batches,
    device: str,
    backend: Backend,
    callbacks: list[Any],
) -> Any:
    """The trainer of the run, which stops early where that is asked for."""
    from transformers import EarlyStoppingCallback

    from finetuning.training.trainer import build_trainer

    trainer = build_trainer(
        settings,
        folder.data,
        folder.checkpoints,
        batches,
        device,
        callbacks=callbacks,
        host_memory=backend.host_memory,
    )
    patience = settings.reporting.early_stopping_patience
    if patience is not None and trainer.args.eval_strategy != "no":
        trainer.add_callback(EarlyStoppingCallback(patience))
    return trainer


def _failure(
    error: Exception, backend: Backend, cap: MemoryCap, micro_batch: int, folder: RunFolder
) -> dict[str, str]:
    """What training failed of. Lifts the cap: to classify takes memory too."""
    near_cap = backend.peak_bytes() >= 0.9 * cap.cap_bytes
    backend.lift_cap()
    if _is_of_a_full_disk(error, folder.path):
        return {
            "verdict": Verdict.CRASH.value,
            "reason": f"A disk is full, probably that of {folder.path}.",
            "hint": f"Free some space, then continue with: tonnage finetune resume {folder.path}",
        }
    found = classify(error, batch_size=micro_batch, near_cap=near_cap or None)
    return {"verdict": found.verdict.value, "reason": found.reason, "hint": found.hint}


def _is_of_a_full_disk(error: BaseException | None, folder: Path) -> bool:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left on device" in str(error):  # as the writer of safetensors says it
            return True
        if "inline_container" in str(error) and shutil.disk_usage(folder).free < PAGE_BYTES:
            return True  # the writer of torch names its own position only
        error = error.__cause__ or error.__context__
    return False


def _outcome(
    trainer: Any, log: ProgressLog, stopped: bool, peak_bytes: int, resumed_from: int | None
) -> dict[str, Any]:
    """How far training came, and what was measured of it."""
    state = trainer.state
    return {
        "stopped": stopped,
        "step": state.global_step,
        "steps": state.max_steps,
        "best_checkpoint": state.best_model_checkpoint,
        "eval_loss": state.best_metric,
        "peak_bytes": peak_bytes,
        "step_s": statistics.fmean(log.settled_step_s) if log.settled_step_s else None,
        "measured_steps": len(log.settled_step_s),
        "resumed_from_step": resumed_from,
        "trained_parameters": sum(p.numel() for p in trainer.model.parameters() if p.requires_grad),
    }


def _save(trainer: Any, folder: RunFolder) -> None:
    """The best model with its tokenizer; it appears complete or not at all."""
    partial = folder.model.with_name(f"{folder.model.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    trainer.save_model(str(partial))
    trainer.processing_class.save_pretrained(str(partial))
    shutil.rmtree(folder.model, ignore_errors=True)
    partial.rename(folder.model)
