"""The command line. ``main`` is the entry point of ``tonnage``.

Importing this package stays cheap: no torch ever, and no database, Optuna or plotting before a
command needs it.
"""

from __future__ import annotations

import logging
import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the command line and exit with the contract's status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """0 done, 1 the answer is no, 2 the input is wrong, 3 it could not be measured, 130
    interrupted. Errors are printed on stderr, without a traceback unless ``-v`` is given."""
    from app.cli.application import application
    from probes.errors import TonnageError

    try:
        application(arguments, prog_name="tonnage")
    except SystemExit as ended:  # how the command line library ends every command
        status = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        return _interrupted() if status == EXIT_INTERRUPTED else status
    except TonnageError as error:
        logging.getLogger(__name__).debug("failed", exc_info=error)
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _interrupted() -> int:
    print("\nInterrupted. What was measured is kept; the same command goes on.", file=sys.stderr)
    return EXIT_INTERRUPTED
