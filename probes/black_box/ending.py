"""What a command's exit status and its last output mean. Pure functions on text."""

from __future__ import annotations

import re
from dataclasses import replace

from probes.black_box.discovery.vocabulary import is_evaluation, words_of
from probes.classify import Classified, classify_death, classify_exception
from probes.measurement import Verdict

_EXCEPTION = re.compile(
    r"^(?:\[?rank\d+\]?: ?)?(?P<name>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?:: (?P<message>.*))?$"
)
_FRAME = re.compile(r"^ *File .*, in (\w+)$", re.MULTILINE)
_TRAINS = re.compile(r"\.backward\(|\boptim\w*\.step\(")
_TRACEBACK = "Traceback (most recent call last)"
_OWN_INTERPRETER = (
    "Install it for the interpreter that the command starts, or start the one that you train with, "
    'like --command "/path/to/venv/bin/python train.py …".'
)
_BY_ITSELF = "Run the command by itself to see where it goes wrong."
_NO_TERMINAL = re.compile(
    r"inappropriate ioctl for device|not a (?:tty|terminal)\b|errno 25\b", re.IGNORECASE
)
_TERMINAL = (
    "The command asks for a terminal, and Tonnage runs it without one, as a job scheduler does. "
    "Give it one, --command \"script -qec 'stty cols 120; python train.py …' /dev/null\", or "
    "remove what asks."
)
_NO_INPUT = re.compile(r"\bEOF when reading a line")
_INPUT = (
    "The command asks for input, and gets none here. Give the answer by an option of the script, "
    'or add --option shell=true and pipe it in: --command "echo yes | python train.py …".'
)
SHOWN_TAIL = 2000


def classify_ending(
    returncode: int,
    stdout_tail: str,
    stderr_tail: str,
    *,
    batch_size: int,
    near_cap: bool,
    cgroup_oom_kills: int,
) -> Classified:
    """Why a command ended with a status other than 0.

    What it said in a traceback decides first, then what native libraries write before they die,
    then the signal. A launcher's own traceback (torchrun's) comes after that of the process that
    failed, so every traceback is looked at, the first verdict but ``crash`` counts.
    """
    if cgroup_oom_kills == 0:
        first: Classified | None = None
        for name, message in [*exceptions_in(stderr_tail), *exceptions_in(stdout_tail)]:
            found = classify_raised(name, message, batch_size=batch_size, near_cap=near_cap)
            if found.verdict is not Verdict.CRASH:
                return found
            first = first or found
        if first is not None:
            return replace(first, hint=_by_itself(stdout_tail + stderr_tail))
    death = classify_death(
        returncode,
        stderr_tail or stdout_tail,
        near_cap=near_cap,
        cgroup_oom_kills=cgroup_oom_kills,
    )
    reason = death.reason.replace("the worker", "the command")
    reason = reason.replace(" before it could report", "")
    hint = death.hint
    if death.verdict is Verdict.CRASH and returncode > 0:
        hint = _by_itself(stdout_tail + stderr_tail)
    return replace(death, reason=reason, hint=hint)


def classify_raised(name: str, message: str, *, batch_size: int, near_cap: bool) -> Classified:
    """What an exception means that ended a command."""
    bases = _bases(name)
    found = classify_exception(bases, message, batch_size=batch_size, near_cap=near_cap or None)
    if found.verdict is Verdict.UNSUPPORTED and "No module named" in message:
        return replace(found, hint=_OWN_INTERPRETER)
    if found.verdict is Verdict.CRASH:
        return replace(found, hint=_BY_ITSELF)
    return found


def _by_itself(said: str) -> str:
    """What to do about a command that fails of its own: by itself it may have what it lacks."""
    if _NO_INPUT.search(said):
        return _INPUT
    return _TERMINAL if _NO_TERMINAL.search(said) else _BY_ITSELF


def exceptions_in(text: str) -> list[tuple[str, str]]:
    """(class, message) of every Python traceback that ends in a text, in order.

    The tail of an output may begin in the middle of a traceback: its end counts all the same.
    """
    found: list[tuple[str, str]] = []
    lines = text.splitlines()
    inside = bool(lines) and lines[0].startswith("  ")
    for index, line in enumerate(lines):
        if _TRACEBACK in line:
            inside = True
            continue
        bare = re.sub(r"^\[?rank\d+\]?: ?", "", line)
        if not inside or not bare or bare[0] in " \t+|":
            continue
        match = _EXCEPTION.match(bare)
        if match:
            more = [m for m in lines[index + 1 : index + 8] if m and _TRACEBACK not in m]
            message = "\n".join([match["message"] or "", *more])
            found.append((match["name"].rpartition(".")[2], message))
        inside = False
    return found


def _bases(name: str) -> list[str]:
    """The class and the well-known ones that it is probably derived from, by its name."""
    known = {
        "ModuleNotFoundError": "ImportError",
        "_ArrayMemoryError": "MemoryError",
        "OutOfMemoryError": "RuntimeError",
        "AcceleratorError": "RuntimeError",
    }
    return [name, known[name]] if name in known else [name]


def is_in_evaluation(text: str) -> bool | None:
    """Whether the last traceback in an output was raised in an evaluation, by the names of its
    functions, or in a training step; ``None`` where it does not tell."""
    frames = text[text.rfind(_TRACEBACK) :] if _TRACEBACK in text else ""
    if any(is_evaluation(words_of(name)) for name in _FRAME.findall(frames)):
        return True
    return False if _TRAINS.search(frames) else None


def last_lines(stdout_tail: str, stderr_tail: str) -> str:
    """What a command printed last, to quote in an error."""
    parts = [
        f"its last {name}:\n{tail.strip()[-SHOWN_TAIL:]}"
        for name, tail in (("stdout", stdout_tail), ("stderr", stderr_tail))
        if tail.strip()
    ]
    return "\n".join(parts) or "It printed nothing at all."
