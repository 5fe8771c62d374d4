"""Which files of a working directory are not sent: ``.tonnageignore``, with the rules of Git.

Supported are comments, ``!`` (send it after all), a ``/`` at the end (folders only) or elsewhere
(counted from the working directory), ``*``, ``?``, ``[…]`` and ``**``. As in Git, the last pattern
that matches decides, and nothing in an ignored folder can be sent after all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

IGNORE_FILE = ".tonnageignore"
DEFAULT = (
    ".git/",
    ".hg/",
    ".svn/",
    ".venv/",
    "venv/",
    "__pycache__/",
    "*.py[co]",
    ".*_cache/",
    ".ipynb_checkpoints/",
    ".tox/",
    ".nox/",
    ".idea/",
    ".vscode/",
    "node_modules/",
    "*.egg-info/",
    ".DS_Store",
    ".env",
    ".netrc",
    "id_rsa*",
    "id_ed25519*",
    "*.pem",
    "tonnage.toml",
    "fleet.token",
)
"""Never part of a training, or a secret; a line such as ``!venv/`` in the file sends it anyway."""


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    sends: bool
    only_folders: bool


class IgnoreRules:
    """``lines`` are those of ``.tonnageignore``; they come after, and so overrule, the defaults."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        rules = [*map(_rule, DEFAULT), *map(_rule, lines)]
        self._rules = [rule for rule in rules if rule is not None]

    def ignores(self, path: str, *, is_folder: bool) -> bool:
        """Whether a file or folder is left out; ``path`` is relative, with ``/``. Ask for its
        folders first."""
        return self._last(path, is_folder) is False

    def asks_for(self, path: str, *, is_folder: bool) -> bool:
        """Whether a line says that it is sent."""
        return self._last(path, is_folder) is True

    def _last(self, path: str, is_folder: bool) -> bool | None:
        for rule in reversed(self._rules):
            if (is_folder or not rule.only_folders) and rule.pattern.fullmatch(path):
                return rule.sends
        return None


def _rule(line: str) -> _Rule | None:
    text = line.rstrip("\r\n")
    text = text if text.endswith("\\ ") else text.rstrip()
    if not text or text.startswith("#"):
        return None
    sends = text.startswith("!")
    text = text[1:] if sends else text
    only_folders = text.endswith("/")
    text = text.rstrip("/")
    if not text:
        return None
    is_anchored = "/" in text
    inner = _expression(text.removeprefix("/"))
    return _Rule(re.compile(inner if is_anchored else f"(?:.*/)?{inner}"), sends, only_folders)


def _expression(glob: str) -> str:
    """A pattern of Git as a regular expression."""
    found, at = "", 0
    while at < len(glob):
        rest = glob[at:]
        if rest.startswith("**/") and (at == 0 or glob[at - 1] == "/"):
            found, at = found + "(?:.*/)?", at + 3
        elif rest == "**" and (at == 0 or glob[at - 1] == "/"):
            found, at = found + ".*", at + 2
        elif rest[0] == "*":
            found, at = found + "[^/]*", at + 1
        elif rest[0] == "?":
            found, at = found + "[^/]", at + 1
        elif rest[0] == "[" and (span := re.match(r"\[[!^]?\]?[^\]/]*\]", rest)):
            inside = span[0][1:-1].replace("\\", "\\\\")
            negated = inside[:1] in ("!", "^")
            inside = re.sub(r"([\[&~|])", r"\\\1", inside[1:] if negated else inside)
            found, at = f"{found}[{'^' if negated else ''}{inside}]", at + len(span[0])
        elif rest[0] == "\\" and len(rest) > 1:
            found, at = found + re.escape(rest[1]), at + 2
        else:
            found, at = found + re.escape(rest[0]), at + 1
    return found
