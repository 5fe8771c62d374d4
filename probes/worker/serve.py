"""The worker's side of the conversation: read a job, do it, answer; one JSON object per line."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import Any

from probes.errors import InputError, TonnageError
from probes.job import ProbeJob, WorkloadRef
from probes.worker import fork_server
from probes.worker.channel import Channel

ASKING = ("describe", "devices")
"""Jobs that train nothing."""


def serve(job_fd: int, message_fd: int) -> None:
    """Answer jobs until the parent closes the pipe. Never prints: stdout is the workload's.

    Each job is answered from a fork where that is possible (see ``fork_server``): its ``result`` is
    followed by ``ended``, which comes alone when the fork died. Elsewhere the result says that
    this process is used up.
    """
    channel = Channel(message_fd)
    for fd in (job_fd, message_fd):
        os.set_inheritable(fd, False)  # a workload's own child processes must not hold them
    channel.progress("import")
    preload = fork_server.Preload()
    with os.fdopen(job_fd, "r", encoding="utf-8") as jobs:
        for line in jobs:
            job = json.loads(line)
            if job["kind"] == "prepare":
                _prepare(job, channel, preload)
                continue
            if job["kind"] not in ASKING:
                preload.finish()
            if fork_server.can_fork():
                returncode = fork_server.run_forked(partial(_result, job, channel), closing=job_fd)
                channel.begin_line()
                channel.send({"event": "ended", "returncode": returncode})
            else:
                _result(job, channel, used_up=True)
            preload.finish()  # while the parent thinks about the answer


def _prepare(job: dict[str, Any], channel: Channel, preload: fork_server.Preload) -> None:
    """The one job that is done in this process: it changes what the forks start with."""
    fit = fork_server.can_fork() and preload.add(**job["libraries"])
    channel.send({"event": "result", "used_up": not fit})
    if fit:
        channel.send({"event": "ended", "returncode": 0})


def _result(job: dict[str, Any], channel: Channel, *, used_up: bool = False) -> None:
    channel.send({"event": "result", "used_up": used_up, **_answer(job, channel)})


def _answer(job: dict[str, Any], channel: Channel) -> dict[str, Any]:
    channel.progress("import", always=True, pid=os.getpid())
    try:
        if job["kind"] == "probe":
            from probes.worker.probe import run_probe

            return {"measurement": run_probe(ProbeJob.from_dict(job), channel)}
        if job["kind"] == "estimate":
            from probes.worker.estimate import estimate

            return {"prior": estimate(ProbeJob.from_dict(job["job"]), job["ceiling"])}
        if job["kind"] == "sizes":
            from probes.worker.sizes import model_sizes

            return {"sizes": model_sizes(WorkloadRef(**job["workload"]), job["configs"])}
        if job["kind"] == "describe":
            from probes.worker.libraries import BeforeLoading
            from probes.workloads.loading import describe, load_workload

            before = BeforeLoading()
            loaded = load_workload(WorkloadRef(**job["workload"]))
            libraries = before.libraries(own=loaded.module) if fork_server.can_fork() else {}
            return {"workload": describe(loaded), "libraries": libraries}
        if job["kind"] == "call":
            from probes.beside import function_beside

            return {"value": function_beside(job["function"])(job["arguments"], channel)}
        if job["kind"] == "network":
            from probes.worker.network import measure_network

            return {"network": measure_network(job)}
        if job["kind"] == "devices":
            from probes.worker.facts import describe_devices

            return describe_devices()
        if job["kind"] == "footprint":
            from probes.worker.footprint import footprint

            return {"footprint": footprint(job["device"], job["limit_bytes"], job["headroom"])}
        raise InputError(f"Unknown job {job['kind']!r}.")
    except TonnageError as error:
        return {"error": str(error), "exit_code": error.exit_code}
    except Exception as error:
        return {"exception": _exception_facts(error)}


def _exception_facts(error: BaseException) -> dict[str, Any]:
    """Text only: a kept exception keeps its frames, and those keep tensors alive."""
    import traceback

    return {
        "types": [cls.__name__ for cls in type(error).__mro__],
        "message": str(error),
        "module": getattr(error, "name", None) if isinstance(error, ImportError) else None,
        "traceback": "".join(traceback.format_exception(error))[-6000:],
    }
