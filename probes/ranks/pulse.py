"""A sign of life of a rank that makes no progress, with where it is. In the worker.

A rank that waits in a collective looks, from outside, like the one that it waits for. So a thread
says once a second what the main thread does: a rank that says nothing is stopped, and of those
that speak, the one that is furthest behind is the one that holds up the others.
"""

from __future__ import annotations

import sys
import sysconfig
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

INTERVAL_S = 1.0


class Pulse(threading.Thread):
    """``send`` reaches the parent; ``whereabouts`` returns what is known of the run: ``phase``,
    ``at`` (see ``Training.at``) and ``step``."""

    def __init__(
        self,
        send: Callable[[dict[str, Any]], None],
        whereabouts: Callable[[], dict[str, Any]],
    ) -> None:
        super().__init__(name="pulse", daemon=True)
        self._send = send
        self._whereabouts = whereabouts
        self._main_thread = threading.get_ident()

    def run(self) -> None:
        beat = threading.Event()
        while not beat.wait(INTERVAL_S):
            where = whereabouts(sys._current_frames().get(self._main_thread))
            self._send({"event": "pulse", **self._whereabouts(), **where})


def whereabouts(frame: Any) -> dict[str, Any]:
    """What a thread does now: the user's line (``where``, as ``train.py:20 in loss``), the
    collective that this line waits in (``call``), and whether it waits for other ranks, as far as
    Python can tell (``waits``)."""
    call = line = library = ""
    waits, is_innermost = False, True
    while frame is not None and not line:
        module = str(frame.f_globals.get("__name__", ""))
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        text = f"{Path(path).name}:{frame.f_lineno} in {name}"
        if module.startswith(_WAITING):
            waits = waits or is_innermost
            call = name if name in COLLECTIVES else call
        elif _is_library(path) or module.startswith("torch."):
            library = library or (text if not module.startswith("torch.") else "")
        elif not module.startswith("probes.") and Path(path).name != "boot.py":
            line = text
        is_innermost = is_innermost and module.startswith(_BETWEEN)
        frame = frame.f_back
    return {"where": line or library, "call": call, "waits": waits}


_WAITING = ("torch.distributed", "torch.nn.parallel", "torch.autograd")
"""Where a rank that does nothing waits: in the last of them for gradients of the others."""
_BETWEEN = ("torch._", "torch.utils", "contextlib", "functools", "threading")
"""Modules through which those call."""
COLLECTIVES = frozenset(
    [
        "all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "all_to_all",
        "all_to_all_single", "barrier", "broadcast", "broadcast_object_list", "gather",
        "gather_object", "monitored_barrier", "recv", "reduce", "reduce_scatter",
        "reduce_scatter_tensor", "scatter", "scatter_object_list", "send", "init_process_group",
        "new_group",
    ]
)  # fmt: skip


def _is_library(path: str) -> bool:
    return "site-packages" in path or path.startswith((_STANDARD, "<frozen"))


_STANDARD = sysconfig.get_paths()["stdlib"]
