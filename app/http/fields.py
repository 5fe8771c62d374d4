"""Field types that several resources share. They are bounded, so that every valid value can be
stored.

Bodies are read strictly: text that looks like a number is not accepted as a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)

from app.http.words import fields_at, said
from probes import space
from probes.errors import InputError
from probes.formatting import is_non_finite, sentences
from probes.group import MOST_RANKS

LARGEST = space.LARGEST
DEEPEST = 16
"""How many levels deep free JSON may be nested."""
WIDEST = 200
"""How many fields one object may have."""

_NO_CONTROL = r"^[^\x00-\x1f\x7f]+$"


def _whole(value: Any) -> Any:
    """JSON has only one kind of number, so 8.0 is accepted as 8."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, Field(ge=0, le=LARGEST), BeforeValidator(_whole)]
Positive = Annotated[int, Field(ge=1, le=LARGEST), BeforeValidator(_whole)]
MicroBatch = Annotated[int, Field(ge=1, le=2**32), BeforeValidator(_whole)]
Accumulation = Annotated[int, Field(ge=1, le=2**20), BeforeValidator(_whole)]
"""The product of both and the number of ranks is stored too, in 64 bits."""
MemoryBudget = Annotated[int, Field(ge=2**20, le=LARGEST), BeforeValidator(_whole)]
Trials = Annotated[int, Field(ge=1, le=100_000), BeforeValidator(_whole)]
CycleBatches = Annotated[int, Field(ge=1, le=10**9), BeforeValidator(_whole)]
EffectiveBatch = Annotated[int, Field(ge=1, le=10**9), BeforeValidator(_whole)]
DevicesAtOnce = Annotated[int, Field(ge=1, le=10_000), BeforeValidator(_whole)]
RankCount = Annotated[int, Field(ge=1, le=MOST_RANKS), BeforeValidator(_whole)]
ExitStatus = Annotated[int, Field(ge=0, le=255), BeforeValidator(_whole)]
"""The bounds come before the validator; otherwise the API description would not show them."""
Number = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=10**7, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=0.5)]
Text = Annotated[str, Field(max_length=20_000)]
Short = Annotated[str, Field(min_length=1, max_length=64, pattern=_NO_CONTROL)]
DeviceText = Annotated[str, Field(pattern=r"^[a-z]{1,8}(:[0-9]{1,2})?$")]
"""One device as its host names it."""
WantedDevice = Annotated[
    str | None,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$",
        description="`cuda:0`, a fingerprint's key or a product's name. Default: the best device "
        "of a host with a runner.",
    ),
]
WorkloadText = Annotated[str, Field(min_length=1, max_length=1024, pattern=_NO_CONTROL)]
Key = Annotated[str, Field(pattern="^[0-9A-Za-z]{1,64}$")]
Id = Annotated[str, Field(pattern="^[0-9A-Za-z_]{1,40}$")]
Scalar = bool | int | Number | Annotated[str, Field(max_length=1000)] | None
"""A value of a dimension or an option."""


def plain(value: Any) -> Any:
    """Free JSON that can be stored and sent again. Raises ``ValueError``."""
    level = [value]
    for _ in range(DEEPEST):
        level = [item for part in level for item in _items(part)]
        if not level:
            return value
    raise ValueError(f"nested deeper than {DEEPEST} levels")


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    if isinstance(value, list):
        return value
    if is_non_finite(value):
        raise ValueError("NaN and infinity are not JSON")
    if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError("text with half a surrogate pair is not Unicode")
    return []


def few(value: Any) -> Any:
    """Refuses an object with very many fields before pydantic reports an error for each of them,
    which would take seconds. Raises ``ValueError``."""
    if isinstance(value, dict) and len(value) > WIDEST:
        raise ValueError(f"more than {WIDEST} fields")
    return value


Few = BeforeValidator(few)
Json = Annotated[dict[str, Any], AfterValidator(plain)]
Config = Annotated[dict[str, Scalar], Field(max_length=WIDEST), Few, AfterValidator(plain)]
FirstError = FailFast()
"""For long lists: only the first error is reported."""


class RequestBody(BaseModel):
    """What a client sends. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Self:
        """A request within every bound. Raises ``InputError`` that names the first field that is
        not."""
        try:
            return cls.model_validate(given, strict=False)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            known = fields_at(cls, first["loc"][:-1])
            raise InputError(sentences(f"{where}: {said(first, known)}")) from None

    @classmethod
    def trusted(cls, given: Mapping[str, Any]) -> Self:
        """A stored request or one of the local user: the bounds, which are for requests over HTTP,
        are not checked, and unknown fields are left out."""
        known = {name: value for name, value in given.items() if name in cls.model_fields}
        return cls.model_construct(**known)

    def to_dict(self) -> dict[str, Any]:
        """What is stored; ``trusted`` reads it back."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    @model_validator(mode="before")
    @classmethod
    def _few(cls, value: Any) -> Any:
        return few(value)
