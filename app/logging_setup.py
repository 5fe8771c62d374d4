"""Two channels: the console (stderr, as chatty as asked) and a rotating file (always everything).

stdout is never written to: it belongs to the answer.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from app.log_context import context

OURS = ("app", "optimizer", "probes")
LOG_FILE = "tonnage.log"
FILE_BYTES = 2 * 2**20
FILE_COUNT = 5

_QUIET = ("alembic", "sqlalchemy", "urllib3", "asyncio", "uvicorn", "httpx", "httpcore")
# Optuna sets the level of its own root logger when it is imported, so its children are told.
_QUIET_OPTUNA = ("study", "storages", "trial", "samplers", "pruners", "_gp", "_callbacks")

_COLOURS = {"WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[31;1m"}
_RESET = "\x1b[0m"

log = logging.getLogger(__name__)


class _Console(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to whatever ``sys.stderr`` is at that moment, so that a progress bar may wrap it."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


class _ConsoleFormatter(logging.Formatter):
    """Time of day, level and message; the level coloured on a terminal."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        colour = _COLOURS.get(record.levelname, "")
        if not colour or not sys.stderr.isatty():
            return text
        return text.replace(record.levelname, f"{colour}{record.levelname}{_RESET}", 1)


class _UtcFormatter(logging.Formatter):
    """ISO 8601 in UTC, the process and where it was said: what is needed weeks later."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03dZ %(process)d %(levelname)-7s %(name)s: %(message)s",
            datefmt="%Y-%m-%dT%H:%M:%S",
        )

    def formatMessage(self, record: logging.LogRecord) -> str:
        about = " ".join(f"{name}={value}" for name, value in getattr(record, "about", {}).items())
        return super().formatMessage(record) + (f" [{about}]" if about else "")


class _JsonFormatter(logging.Formatter):
    """One JSON object per line, with the names bound by ``app.log_context`` and what the call gave
    as ``extra={"facts": {…}}``."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **getattr(record, "about", {}),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _File(logging.handlers.RotatingFileHandler):
    """Goes on without a line where the disk is full: whoever logs is not to blame, and a traceback
    on the console for every line would only bury the line there."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def _note_context(record: logging.LogRecord) -> bool:
    """Where the line is said is where its context is known, not where it is written."""
    record.about = dict(context())
    return True


def configure_logging(
    verbosity: int, data_dir: Path | str | None, *, json_lines: bool = False
) -> None:
    """Set both channels up; calling it again replaces them.

    ``verbosity`` is the count of ``-v`` less that of ``-q``: -2 errors only, -1 warnings, 0
    progress too, 1 everything of ours, 2 everything of the libraries too. ``data_dir=None`` and a
    folder that cannot be written to mean the console only (the latter with a warning).
    ``json_lines`` makes the console one JSON object per line, for programs that collect logs.
    """
    levels = {-1: logging.WARNING, 0: logging.INFO}
    level = logging.ERROR if verbosity <= -2 else levels.get(verbosity, logging.DEBUG)
    console = _Console()
    console.setLevel(level)
    console.setFormatter(_JsonFormatter() if json_lines else _ConsoleFormatter())
    handlers: list[logging.Handler] = [console]
    problem = ""
    if data_dir is not None:
        try:
            handlers.append(_file_handler(Path(data_dir)))
        except OSError as error:
            problem = error.strerror or str(error)
    _install(handlers, libraries=logging.DEBUG if verbosity >= 2 else logging.WARNING)
    if problem:
        log.warning("No log file: %s cannot be written to (%s).", data_dir, problem)


def _file_handler(folder: Path) -> logging.Handler:
    folder.mkdir(parents=True, exist_ok=True)
    handler = _File(
        folder / LOG_FILE, maxBytes=FILE_BYTES, backupCount=FILE_COUNT - 1, encoding="utf-8"
    )
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(_UtcFormatter())
    return handler


def _install(handlers: list[logging.Handler], libraries: int) -> None:
    """On the root logger, replacing only what an earlier call put there."""
    root = logging.getLogger()
    for old in [h for h in root.handlers if getattr(h, "_tonnage", False)]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler._tonnage = True  # type: ignore[attr-defined]
        handler.addFilter(_note_context)
        root.addHandler(handler)
    root.setLevel(libraries)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    for name in (*_QUIET, *(f"optuna.{child}" for child in _QUIET_OPTUNA)):
        logging.getLogger(name).setLevel(libraries)
