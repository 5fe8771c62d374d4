"""What the adapters have in common: a space, and a model or loader built for each config."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from probes.adapters.data import LoaderData, WorstCase
from probes.errors import InputError
from probes.space import Choice, Space, as_space, smallest


class Adapter:
    """A workload whose model and data come out of one function of the config.

    ``build`` is called for the first config of the space to learn what does not depend on it, and
    once in every probe.
    """

    def __init__(
        self,
        space: Mapping[str, Any],
        *,
        worst_case: WorstCase = None,
        data_files: Sequence[str | Path] = (),
    ) -> None:
        self.own_space: Space = as_space(space)
        self.worst_case = worst_case
        self.data_files = list(data_files)
        self._built: tuple[dict[str, Any], Any] | None = None
        self._data: tuple[Any, LoaderData] | None = None

    # -- what an adapter says ------------------------------------------------------------------

    def build(self, config: dict[str, Any]) -> Any:
        """What is trained, for a config. Raises ``InputError`` where it is something else."""
        raise NotImplementedError

    def loader(self, built: Any) -> Any:
        """The training DataLoader of what was built."""
        raise NotImplementedError

    def levers(self, built: Any) -> dict[str, Any]:
        """Levers that the user's training sets already."""
        return {}

    def remarks(self, built: Any) -> list[str]:
        """Where a probe differs from the user's training, as sentences."""
        return []

    # -- the workload --------------------------------------------------------------------------

    def space(self) -> dict[str, Any]:
        """The user's space, plus the levers that training sets already as fixed dimensions."""
        fixed = {name: Choice([value]) for name, value in self.levers(self.first()).items()}
        return {**fixed, **self.own_space}

    @property
    def dataset_size(self) -> int | None:
        size: int | None = _unmasked(lambda: self.data(self.first()).size)
        return size

    @property
    def notes(self) -> list[str]:
        def said() -> list[str]:
            built = self.first()
            return [*self.data(built).notes, *self.remarks(built)]

        notes: list[str] = _unmasked(said)
        return notes

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[Any]:
        return self.data(self.of(config)).batches(batch_size)

    # -- what was built ------------------------------------------------------------------------

    def fresh(self, config: dict[str, Any]) -> Any:
        """Build for this config, and keep the result for further questions about it."""
        self._built = None  # before the next one needs the memory
        self._data = None
        built = self.build(dict(config))
        self._built = (dict(config), built)
        return built

    def of(self, config: dict[str, Any]) -> Any:
        """The last build if it was for this config, else a new one."""
        if self._built is not None and self._built[0] == config:
            return self._built[1]
        return self.fresh(config)

    def first(self) -> Any:
        """The last build, or else one for the smallest config of the space."""
        if self._built is not None:
            return self._built[1]
        return self.fresh(smallest(self.own_space))

    def data(self, built: Any) -> LoaderData:
        return self.data_with(built, self.worst_case)

    def data_with(self, built: Any, worst_case: WorstCase) -> LoaderData:
        """The data of what was built, made once, with this worst case."""
        if self._data is None or self._data[0] is not built:
            self._data = (built, LoaderData(self.loader(built), worst_case))
        return self._data[1]


def check_function(name: str, given: Any, returns: str) -> None:
    """Raise ``InputError`` unless ``given`` can be called with a config."""
    if not callable(given) or isinstance(given, type):
        raise InputError(
            f"{name} must be a function of the config that returns {returns}, a new one at each "
            f"call; it is {_a(given)}. Write: lambda config: …"
        )


def _a(given: Any) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"


def _unmasked(read: Callable[[], Any]) -> Any:
    """An AttributeError inside a property would look like an attribute that is not there."""
    try:
        return read()
    except AttributeError as error:
        raise RuntimeError(f"AttributeError: {error}") from error
