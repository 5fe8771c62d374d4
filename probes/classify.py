"""From what a failing run said to a verdict, a reason and what to do next.

Pure functions on text, so that a corpus of real messages can test them. Where a message comes
from is noted in that corpus (``tests/probes/corpus``). Standard library only, Python 3.10 syntax:
both the worker and its parent use it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from probes.devices.signatures import SIGNATURES, SMALLER, Signature
from probes.doubt import KILLED
from probes.formatting import first_line, size_text
from probes.measurement import Verdict

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}

_REQUESTED = (
    re.compile(r"you tried to allocate (?P<n>\d+) bytes", re.IGNORECASE),
    re.compile(r"Tried to allocate (?P<n>[\d.]+) ?(?P<unit>[KMGT]?)i?B", re.IGNORECASE),
    re.compile(r"Invalid buffer size: (?P<n>[\d.]+) ?(?P<unit>[KMGT]?)i?B", re.IGNORECASE),
    re.compile(r"Failed to CUDA (?:calloc|malloc)[\w ]* (?P<n>\d+) bytes", re.IGNORECASE),
    re.compile(r"Unable to allocate (?P<n>[\d.]+) ?(?P<unit>[KMGT]?)i?B", re.IGNORECASE),
)

_SIGNALS = {
    4: "SIGILL (an instruction this processor does not have)",
    6: "SIGABRT (a native library gave up)",
    7: "SIGBUS (memory that could not be provided)",
    8: "SIGFPE (an arithmetic fault)",
    9: "SIGKILL",
    11: "SIGSEGV (a native library touched memory that is not there)",
    15: "SIGTERM",
}

_SIGKILL = 9
_MEMORY_SIGNALS = (6, 7, 11)
"""How native code ends when it goes on with an allocation that failed."""


@dataclass(frozen=True)
class Classified:
    """What a failure means."""

    verdict: Verdict
    reason: str
    """What happened, in one line."""
    hint: str = ""
    """What to do next; empty when there is nothing to add."""
    requested_bytes: int | None = None
    """The allocation that failed, where the message names it."""
    ambiguous: bool = False
    """The text alone cannot tell size from support: re-run at batch 1 in a fresh process.
    Fails too: unsupported. Passes: it was the size, as this verdict says."""
    disturbed: str = ""
    """What may have ended the run from outside; empty where nothing did."""


def classify(
    error: BaseException, *, batch_size: int | None = None, near_cap: bool | None = None
) -> Classified:
    """Classify an exception, looking through the ones it was raised from.

    Returns text only: keep no reference to the exception afterwards, its traceback holds tensors.
    """
    first: Classified | None = None
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        names = [kind.__name__ for kind in type(current).__mro__]
        found = classify_exception(
            names,
            _message(current),
            error_code=getattr(current, "error_code", None),
            batch_size=batch_size,
            near_cap=near_cap,
        )
        first = first or found
        if found.verdict is not Verdict.CRASH:
            return found
        current = current.__cause__ or current.__context__
    assert first is not None
    return first


def classify_exception(
    type_names: Sequence[str],
    message: str,
    *,
    error_code: int | None = None,
    batch_size: int | None = None,
    near_cap: bool | None = None,
) -> Classified:
    """Classify an exception by the names of its classes (its MRO, most derived first) and text.

    ``error_code`` is what ``torch.AcceleratorError`` carries. ``batch_size`` and ``near_cap``
    (whether the run was close to its memory cap), where known, settle messages that can mean
    either too large or not supported.
    """
    if error_code == 2:
        message = f"CUDA error: out of memory\n{message}"
    for rule in SIGNATURES:
        if rule.matches(type_names, message):
            return _apply(rule, message, batch_size, near_cap)
    if "MemoryError" in type_names:
        return Classified(
            Verdict.OOM,
            "Python could not get memory from the operating system: "
            f"{first_line(message) or 'MemoryError'}",
            SMALLER,
            requested_bytes(message),
        )
    if "OutOfMemoryError" in type_names:
        return Classified(Verdict.OOM, first_line(message), SMALLER, requested_bytes(message))
    if "ImportError" in type_names:
        return _missing_module(message)
    if "NotImplementedError" in type_names:
        return Classified(
            Verdict.UNSUPPORTED,
            f"not implemented here: {first_line(message) or 'NotImplementedError'}",
            "Choose another device or precision for this config, or exclude it from the space.",
        )
    name = type_names[0] if type_names else "Error"
    text = first_line(message)
    return Classified(
        Verdict.CRASH,
        f"{name}: {text}" if text else name,
        "The error comes from the workload's own code; tonnage probe prints the traceback.",
    )


def classify_death(
    returncode: int, stderr_tail: str, *, near_cap: bool, cgroup_oom_kills: int
) -> Classified:
    """Classify a worker that died without a report.

    ``returncode`` as ``subprocess`` gives it (minus the signal); ``cgroup_oom_kills`` is by how
    much the control group's counter rose during its life. A SIGKILL is put down to memory only
    when it did: schedulers and people send that signal too.
    """
    signal = -returncode if returncode < 0 else returncode - 128 if 128 < returncode < 160 else 0
    if cgroup_oom_kills > 0:
        return Classified(
            Verdict.OOM,
            "the kernel's out-of-memory killer ended the worker: the machine or container has no "
            "memory left",
            f"{SMALLER} Or give the container more memory, and data loaders fewer workers.",
        )
    said = _from_stderr(stderr_tail, near_cap)
    if said is not None:
        return said
    last = _last_line(stderr_tail)
    last_words = f"; its last words: {last}" if last else ""
    if signal:
        return _from_signal(signal, last_words, near_cap)
    return Classified(
        Verdict.CRASH,
        f"the worker ended with status {returncode} before it could report{last_words}",
        "Something in the workload ended the process (sys.exit, os._exit): let it return or raise.",
    )


def silent_failure(stderr_tail: str) -> Classified | None:
    """A failure that raises nothing: the run goes on with garbage. None when there is no sign.

    Metal reports a command buffer that ran out of memory on stderr only.
    """
    if "command buffer exited with error status" not in stderr_tail:
        return None
    verdict = Verdict.OOM if "nsufficient Memory" in stderr_tail else Verdict.CRASH
    return Classified(
        verdict,
        "the GPU dropped work without an exception (Metal: command buffer exited with error "
        "status): the results of this run are garbage",
        SMALLER,
        ambiguous=verdict is Verdict.CRASH,
    )


def requested_bytes(message: str) -> int | None:
    """The size of the allocation that failed, where the message names it."""
    for pattern in _REQUESTED:
        match = pattern.search(message)
        if match:
            unit = match.groupdict().get("unit") or ""
            return int(float(match.group("n")) * _UNITS[unit.lower()])
    return None


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # a user's exception may not print
        return ""


def _apply(
    rule: Signature, message: str, batch_size: int | None, near_cap: bool | None
) -> Classified:
    requested = requested_bytes(message) if rule.verdict is Verdict.OOM else None
    details = first_line(_from_match(rule, message))
    if rule.allocator and requested is not None:
        details = f"an allocation of {size_text(requested)} failed"
    found = Classified(
        rule.verdict,
        f"{rule.meaning}: {details}",
        rule.hint,
        requested,
        ambiguous=rule.ambiguous,
    )
    if not rule.ambiguous:
        return found
    if near_cap:
        return replace(found, ambiguous=False)
    if batch_size == 1:
        return replace(
            found,
            verdict=Verdict.UNSUPPORTED,
            hint="It fails at batch size 1 too, so it is not the size: this device, precision or "
            "library version cannot run this operation. Change the config or update torch.",
            ambiguous=False,
        )
    return found


def _from_match(rule: Signature, message: str) -> str:
    """The message from the line on that made the rule match: that line is what to quote."""
    match = rule.pattern.search(message)
    start = message.rfind("\n", 0, match.start()) + 1 if match else 0
    return message[start:]


def _from_stderr(stderr_tail: str, near_cap: bool) -> Classified | None:
    silent = silent_failure(stderr_tail)
    if silent is not None:
        return silent
    for rule in SIGNATURES:
        if rule.in_stderr and rule.pattern.search(stderr_tail):
            return _apply(rule, stderr_tail, None, near_cap)
    return None


def _from_signal(signal: int, last_words: str, near_cap: bool) -> Classified:
    name = _SIGNALS.get(signal, f"signal {signal}")
    if signal in _MEMORY_SIGNALS and near_cap:
        return Classified(
            Verdict.OOM,
            f"the worker died by {name} at the memory cap: a library did not check whether its "
            "allocation succeeded",
            SMALLER,
            ambiguous=True,
        )
    if signal == _SIGKILL:
        return Classified(
            Verdict.CRASH,
            "the worker was killed (SIGKILL), and the kernel's out-of-memory killer was not seen "
            f"to do it{last_words}",
            "Look for a scheduler, a container limit or a person that ends processes (dmesg -T, "
            "docker inspect, the job's log).",
            disturbed=KILLED,
        )
    hints = {
        7: "Usually shared memory ran out: start the container with --shm-size=8g or --ipc=host, "
        "or use fewer data loader workers.",
        15: "Something asked it to stop: a scheduler, a container being stopped, or a person.",
    }
    hint = hints.get(signal, "Run the workload with `python -X faulthandler` to see where.")
    return Classified(Verdict.CRASH, f"the worker died by {name}{last_words}", hint)


def _missing_module(message: str) -> Classified:
    if match := _NOT_IN_MODULE.search(message):
        return _missing_name(match["name"], match["module"], is_circular=bool(match["partly"]))
    match = re.search(r"No module named '([^']+)'", message)
    if match is None:
        return Classified(
            Verdict.UNSUPPORTED,
            f"an import failed: {first_line(message)}",
            "Two packages of the training environment may not fit together: reinstall the one "
            "that is named, in the versions the workload was written for.",
        )
    module = match.group(1)
    return Classified(
        Verdict.UNSUPPORTED,
        f"the training environment has no module named {module!r}",
        f"Install it there: pip install {module.partition('.')[0]} (the package may be named "
        "differently), or point --python at the interpreter you train with.",
    )


def _missing_name(name: str, module: str, *, is_circular: bool) -> Classified:
    if is_circular:
        return Classified(
            Verdict.CRASH,
            f"{module!r} was asked for {name!r} before it was loaded: it and another module import "
            "each other",
            "Move one of the two imports into the function that needs it.",
        )
    return Classified(
        Verdict.UNSUPPORTED,
        f"the module {module!r} of the training environment has no {name!r}",
        f"Correct the name, or install the version of {module.partition('.')[0]} that has it.",
    )


_NOT_IN_MODULE = re.compile(
    r"cannot import name '(?P<name>[^']+)' from (?P<partly>partially initialized module )?"
    r"'(?P<module>[^']+)'"
)


def _last_line(text: str) -> str:
    """The last line that a program wrote itself: Python's own report of how it died comes after."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    report = next((n for n, line in enumerate(lines) if line.startswith(_FATAL)), None)
    if report is not None:
        lines = lines[:report] or [lines[report]]
    return first_line(lines[-1]) if lines else ""


_FATAL = "Fatal Python error"
