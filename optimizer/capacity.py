"""How capable the models of a space are, counted or estimated before any is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from optimizer.predictors import fit_sizes
from optimizer.records import Key, config_key
from optimizer.spaces import cost_rank
from probes.measurement import Config, Measurement
from probes.model_size import ModelSize
from probes.space import Space

SizesOf = Callable[[Sequence[Config]], "list[ModelSize]"]

MOST_BUILT = 64
"""Models built to count their parameters; the parameters of the others are estimated."""


class Capacities:
    """Parameters and capacity of the configs of a finite space.

    ``sizes_of`` builds models without training them. Without it, capacity is derived from the
    dimensions whose cost grows, which suffices for configs that differ in those only.
    """

    def __init__(self, space: Space, configs: Sequence[Config], sizes_of: SizesOf | None) -> None:
        self._space = space
        self._parameters: dict[Key, float] = {}
        self._capacity: dict[Key, float] = {}
        self.unbuildable: dict[Key, str] = {}
        """Why a config has no model."""
        if sizes_of is not None and configs:
            self._look(configs, sizes_of)

    def parameters(self, config: Config) -> float | None:
        """Parameters of the model, counted or estimated; ``None`` if neither is possible."""
        return self._parameters.get(config_key(config))

    def capacity(self, config: Config) -> float:
        """How capable the model is, in the workload's own unit, else in parameters. Comparable
        within one study."""
        key = config_key(config)
        return self._capacity[key] if key in self._capacity else self._order(config)

    def learn(self, run: Measurement) -> None:
        """Replace an estimated parameter count by the real one. A config without an estimate is
        skipped: predictors need the count for all configs or for none."""
        key = config_key(run.config)
        if run.parameters is None or key not in self._parameters:
            return
        if key in self._capacity and self._capacity[key] == self._parameters.get(key):
            self._capacity[key] = float(run.parameters)
        self._parameters[key] = float(run.parameters)

    def _look(self, configs: Sequence[Config], sizes_of: SizesOf) -> None:
        built = list(configs) if len(configs) <= MOST_BUILT else _spread(configs)
        known: list[tuple[Config, ModelSize]] = []
        for config, size in zip(built, sizes_of(built)):
            if size.parameters is None and not size.reason.startswith("not built"):
                self.unbuildable[config_key(config)] = size.reason
            if size.parameters is not None and size.capacity is not None:
                known.append((config, size))
        rest = [c for c in configs if config_key(c) not in self.unbuildable]
        for target, values in (
            (self._parameters, [(c, float(s.parameters or 0)) for c, s in known]),
            (self._capacity, [(c, float(s.capacity or 0)) for c, s in known]),
        ):
            target.update({config_key(c): value for c, value in values})
            missing = [c for c in rest if config_key(c) not in target]
            estimated = fit_sizes(self._space, values, missing)
            target.update({config_key(c): value for c, value in zip(missing, estimated)})
        for target in (self._parameters, self._capacity):
            if any(config_key(c) not in target for c in rest):
                target.clear()  # never two units in one comparison

    def _order(self, config: Config) -> float:
        product = 1.0
        for name, dimension in self._space.items():
            if dimension.cost_grows:
                product *= max(cost_rank(dimension, config[name]), 0.0) + 1.0
        return product


def _spread(configs: Sequence[Config]) -> list[Config]:
    """``MOST_BUILT`` evenly spaced configs, both ends included."""
    last = len(configs) - 1
    chosen = {round(i * last / (MOST_BUILT - 1)) for i in range(MOST_BUILT)}
    return [configs[i] for i in sorted(chosen)]
