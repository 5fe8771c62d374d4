"""The methods of the client about fine-tunings."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

from app.client.calls import Calls
from app.finetuning_jobs.schemas import (
    EvaluationListOut,
    EvaluationOut,
    FineTuningJobOut,
    NamesOut,
)
from app.finetunings.schemas import FineTuningDetail, FineTuningOut

POLL_S = 2.0


class FineTuningCalls(Calls):
    """See ``Client``."""

    def start_finetuning(
        self,
        model: str,
        data: Sequence[str],
        *,
        idempotency_key: str | None = None,
        **asked: Any,
    ) -> FineTuningOut:
        """Queue a fine-tuning of a registered model on registered data. ``asked`` are the other
        fields of ``FineTuningPost``: ``preset``, ``settings``, ``device``, …"""
        body = {"model": model, "data": list(data), **asked}
        return self._send("/v1/finetunings", FineTuningOut, body, idempotency_key)

    def finetuning_names(self) -> NamesOut:
        """The models, data, tasks and presets that a fine-tuning may name."""
        return self._read("/v1/finetunings/registered", NamesOut)

    def finetuning(self, finetuning_id: str) -> FineTuningDetail:
        return self._read(f"/v1/finetunings/{finetuning_id}", FineTuningDetail)

    def finetunings(
        self,
        *,
        state: str | None = None,
        model: str | None = None,
        preset: str | None = None,
        strategy: str | None = None,
        device: str | None = None,
    ) -> Iterator[FineTuningOut]:
        """Newest first, those of the command line included."""
        wanted = {
            "state": state,
            "model": model,
            "preset": preset,
            "strategy": strategy,
            "device": device,
        }
        return self._pages("/v1/finetunings", FineTuningOut, wanted)

    def finetuning_job(self, finetuning_id: str) -> FineTuningJobOut:
        """Where one that was started through the service stands in the queue."""
        return self._read(f"/v1/finetunings/{finetuning_id}/job", FineTuningJobOut)

    def wait_for_finetuning(
        self, finetuning_id: str, *, poll_s: float = POLL_S
    ) -> FineTuningDetail:
        """Until a fine-tuning that was started through the service is over. Returns what has become
        of it. ``poll_s`` is the time between two looks, in seconds."""
        while not self.finetuning_job(finetuning_id).state.is_terminal:
            time.sleep(poll_s)
        return self.finetuning(finetuning_id)

    def cancel_finetuning(self, finetuning_id: str) -> FineTuningOut:
        """A running one saves a checkpoint after its step and ends."""
        path = f"/v1/finetunings/{finetuning_id}/cancel"
        return self._call("POST", path, FineTuningOut, repeatable=True)

    def resume_finetuning(self, finetuning_id: str) -> FineTuningOut:
        """One that was stopped or has failed continues from its last checkpoint."""
        path = f"/v1/finetunings/{finetuning_id}/resume"
        return self._call("POST", path, FineTuningOut, repeatable=True)

    def evaluate_finetuning(
        self,
        finetuning_id: str,
        tasks: Sequence[str] = ("language",),
        *,
        idempotency_key: str | None = None,
        **asked: Any,
    ) -> EvaluationOut:
        """Queue an evaluation of its model. ``asked`` are the other fields of ``EvaluationPost``:
        ``options``, ``baseline``, ``limit``."""
        body = {"tasks": list(tasks), **asked}
        path = f"/v1/finetunings/{finetuning_id}/evaluations"
        return self._send(path, EvaluationOut, body, idempotency_key)

    def finetuning_evaluations(self, finetuning_id: str) -> list[EvaluationOut]:
        """Its evaluations by the service, newest first."""
        path = f"/v1/finetunings/{finetuning_id}/evaluations"
        return self._read(path, EvaluationListOut).items

    def finetuning_evaluation(self, finetuning_id: str, evaluation_id: str) -> EvaluationOut:
        path = f"/v1/finetunings/{finetuning_id}/evaluations/{evaluation_id}"
        return self._read(path, EvaluationOut)

    def wait_for_evaluation(
        self, finetuning_id: str, evaluation_id: str, *, poll_s: float = POLL_S
    ) -> EvaluationOut:
        """Until an evaluation is over. Returns what has become of it. ``poll_s`` is the time
        between two looks, in seconds."""
        while True:
            found = self.finetuning_evaluation(finetuning_id, evaluation_id)
            if found.state.is_terminal:
                return found
            time.sleep(poll_s)

    def cancel_evaluation(self, finetuning_id: str, evaluation_id: str) -> EvaluationOut:
        """The rows that were made are kept on its host."""
        path = f"/v1/finetunings/{finetuning_id}/evaluations/{evaluation_id}/cancel"
        return self._call("POST", path, EvaluationOut, repeatable=True)

    def delete_finetuning(self, finetuning_id: str) -> None:
        """Delete what is stored of it. The folder of the run stays."""
        self._transport.json("DELETE", f"/v1/finetunings/{finetuning_id}")
