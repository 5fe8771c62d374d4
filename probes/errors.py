"""Errors that reach a person. Their text says what happened, to which thing, and what to do."""

from __future__ import annotations


class TonnageError(Exception):
    """Base of every error that is shown without a traceback. ``exit_code`` is the CLI's."""

    exit_code = 1


class InputError(TonnageError):
    """What the user wrote is wrong: an argument, a configuration key, a workload method."""

    exit_code = 2


class MeasurementError(TonnageError):
    """It could not be measured: no device, no torch in the interpreter, a worker that died."""

    exit_code = 3
