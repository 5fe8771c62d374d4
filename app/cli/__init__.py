"""The command line. ``main`` is the entry point of ``tonnage``.

Importing this package stays cheap: no torch ever, and no database, Optuna or plotting before a
command needs it.
"""

from __future__ import annotations

import gc
import logging
import sys
import traceback

from app.cli import interruption

EXIT_INTERRUPTED = 130
EXIT_DEFECT = 3
"""Nothing was answered. 1 would be the answer "no", which a script may act on."""
CONTINUED = ("tune", "finetune", "knowledge")
"""Commands that go on where they were interrupted when they are run again."""
OBJECTS_BEFORE_COLLECTING = 50_000
"""Python's default of 700 collects hundreds of times while a command imports what it needs, which
takes an eighth of the instructions of ``tonnage check`` and frees next to nothing."""


def main() -> None:
    """Run the command line and exit with the contract's status.

    A scheduler, ``timeout`` and a terminal that is closed end it as Ctrl-C does, with what it has
    left in temporary folders removed; the status is then 128 + the signal.
    """
    interruption.listen()
    status = run(sys.argv[1:])
    sys.exit(interruption.status(status) if status == EXIT_INTERRUPTED else status)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status.

    0 done, 1 the answer is no, 2 the input is wrong, 3 it could not be measured, 130 interrupted.
    Errors are printed on stderr, without a traceback unless ``-v`` is given. An error that nobody
    expected is printed with its traceback, and the status is 3.
    """
    from probes.errors import TonnageError

    gc.set_threshold(OBJECTS_BEFORE_COLLECTING)

    try:
        from app.cli.application import application

        application(arguments[0] if arguments else "")(arguments, prog_name="tonnage")
    except SystemExit as ended:  # the command line library ends every command like this
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return _interrupted(arguments) if status == EXIT_INTERRUPTED else status
    except TonnageError as error:
        logging.getLogger(__name__).debug("failed", exc_info=error)
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        return _defect(error)
    return 0


def _interrupted(arguments: list[str]) -> int:
    command = next((word for word in arguments if not word.startswith("-")), "")
    more = ""
    if any(word.partition("=")[0] == "--fleet" for word in arguments):
        more = " The same command follows it again."
    elif command in CONTINUED:
        more = " Results so far are stored; run the same command again to continue."
    print(f"\nInterrupted.{more}", file=sys.stderr)
    return EXIT_INTERRUPTED


def _defect(error: Exception) -> int:
    traceback.print_exception(error)
    print(
        "Error: Tonnage failed in a way that nobody expected. This is a defect of Tonnage: please "
        "report it with the lines above and the command that you ran.",
        file=sys.stderr,
    )
    return EXIT_DEFECT
