"""The largest model that fits, found on the monotone lattice of a space. Pure: ask and tell.

A config that fits settles every one that cannot cost more; one that does not fit settles every one
that cannot cost less. So each test is chosen to settle as many as it can, whatever its outcome: on
a single dimension that is bisection, with about log2(n) tests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from optimizer.records import config_key
from optimizer.spaces import cost_rank
from probes.measurement import Config
from probes.space import Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LargestModel:
    """Finds the config with the most ``capacity`` among those that fit.

    ``capacities`` has one value per config, in any unit. Configs that differ in a dimension
    whose cost does not grow are never compared: neither settles the other.

    Example::

        search = LargestModel(space, configs, capacities)
        while (config := search.ask()) is not None:
            search.tell(config, fits(config))
        best = search.result()
    """

    def __init__(
        self, space: Space, configs: Sequence[Config], capacities: Sequence[float]
    ) -> None:
        import numpy as np

        self._configs: list[Config] = list(configs)
        self._index = {config_key(config): i for i, config in enumerate(self._configs)}
        self._capacity = np.asarray(capacities, dtype=float)
        self._costs_at_least = _order(space, self._configs)
        self._open = np.ones(len(self._configs), dtype=bool)
        self._fits: set[int] = set()
        self.ruled_out: dict[int, Config] = {}
        """Configs that need no test, by index, each with the one that rules it out."""

    def ask(self, chance: Callable[[Config], float] = lambda config: 0.5) -> Config | None:
        """The config to test next, or ``None`` when the answer is known.

        ``chance`` is the guessed probability that a config fits: a good guess saves tests and a
        bad one costs some, but cannot change the answer.
        """
        import numpy as np

        relevant = self._open & (self._capacity > self._best_capacity())
        found = np.flatnonzero(relevant)
        if not len(found):
            return None
        among = self._costs_at_least[np.ix_(found, found)]
        if_not = among.sum(axis=0)  # those that cost at least as much
        if_fits = (self._capacity[found][:, None] <= self._capacity[found][None, :]).sum(axis=0)
        p = np.array([min(max(chance(self._configs[i]), 0.05), 0.95) for i in found])
        settled = p * np.log2(1 + if_fits) + (1 - p) * np.log2(1 + if_not)
        balanced = np.minimum(if_fits, if_not)
        best = max(range(len(found)), key=lambda k: (settled[k] + balanced[k] / len(found), k))
        return self._configs[int(found[best])]

    def tell(self, config: Config, fits: bool) -> None:
        """Whether a config fits. Telling one again, the other way, is allowed: a few steps may
        have passed what a long run does not."""
        i = self._index[config_key(config)]
        self._open[i] = False
        if fits:
            self._fits.add(i)
            return
        self._fits.discard(i)
        for j in self._costs_at_least[:, i].nonzero()[0]:
            if self._open[j]:
                self._open[j] = False
                self.ruled_out[int(j)] = config

    def skip(self, config: Config) -> None:
        """A config about which nothing could be learnt: it settles no other."""
        i = self._index[config_key(config)]
        self._open[i] = False
        self._fits.discard(i)

    def result(self) -> Config | None:
        """The largest config that is known to fit; ``None`` without one."""
        best = max(self._fits, key=lambda i: (self._capacity[i], -i), default=None)
        return None if best is None else self._configs[best]

    def _best_capacity(self) -> float:
        return max((float(self._capacity[i]) for i in self._fits), default=float("-inf"))


def _order(space: Space, configs: Sequence[Config]) -> NDArray[np.bool_]:
    """[N, N]: whether config i costs at least as much as config j."""
    import numpy as np

    result = np.ones((len(configs), len(configs)), dtype=bool)
    for name, dimension in space.items():
        values = [config[name] for config in configs]
        if dimension.cost_grows:
            column = np.asarray([cost_rank(dimension, value) for value in values], dtype=float)
            result &= column[:, None] >= column[None, :]
        else:
            codes = {repr(value): k for k, value in enumerate(values)}
            column = np.asarray([codes[repr(value)] for value in values])
            result &= column[:, None] == column[None, :]
    return result
