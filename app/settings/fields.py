"""What every table of the settings is made of: the base of all, and the types of their values."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
"""A registered name."""


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


def none_word(value: Any) -> Any:
    return None if isinstance(value, str) and value.strip().lower() == "none" else value


def _scalar(value: Any) -> Any:
    if value is not None and not isinstance(value, (int, float, str, bool)):
        raise ValueError("a number, text, true or false is expected")
    return value


Whole = Annotated[int, BeforeValidator(_no_boolean)]
Number = Annotated[float, BeforeValidator(_no_boolean)]
Option = Annotated[Any, AfterValidator(_scalar)]
"""One option of a dimension, as ``probes.space.Choice`` takes it."""


class Section(BaseModel):
    """A table. Pydantic builds one validator for all of them, with the first ``Settings``."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)
