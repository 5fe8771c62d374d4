"""Predict the memory and the step time of a config from what a study has measured.

Peak memory and step time are functions of config and batch. Both are modelled as Gaussian
processes on the logarithm (Rasmussen and Williams, 2006, chapter 2), with a linear part, since
cost is close to a product of powers of the dimensions, and a smooth rest. Predictions order and
stop the search; no answer rests on one.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from optimizer.records import config_key
from probes.curve import Estimate
from probes.measurement import Config, Measurement
from probes.space import Choice, Dimension, Float, Space

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FEWEST_CONFIGS = 2
"""Configs that must have been measured before anything is predicted for another one."""
MOST_RUNS = 240
"""Only this number of the newest runs is used, because fitting is cubic in it."""
LEAST_SPREAD = 0.03
"""Least relative uncertainty of a prediction: repeated runs on one machine differ by this much."""

Parameters = Callable[[Config], "float | None"]
Point = tuple[Config, int, float]
"""A config, a batch size, and what was measured there."""


@dataclass(frozen=True)
class Distribution:
    """A log-normal prediction: ``exp(log_mean)`` is its median, in the quantity's unit."""

    log_mean: float
    log_std: float

    @property
    def median(self) -> float:
        return math.exp(self.log_mean)

    def above(self, limit: float) -> float:
        """Probability that the truth is larger than ``limit``."""
        if limit <= 0:
            return 1.0
        z = (math.log(limit) - self.log_mean) / self.log_std
        return 0.5 * math.erfc(z / math.sqrt(2))

    def estimate(self) -> Estimate:
        """The median with its 90 % interval."""
        half = math.exp(1.645 * self.log_std)
        return Estimate(self.median, self.median / half, self.median * half)


class Predictors:
    """Peak memory and step time of any config of a space, from the runs of a study.

    ``parameters`` returns a config's parameter count, if known; it is a strong hint. A quantity is
    ``None`` while too little is known about it.
    """

    def __init__(self, space: Space, parameters: Parameters = lambda config: None) -> None:
        self._features = _Features(space, parameters)
        self.peak_bytes: GaussianProcess | None = None
        self.step_time_s: GaussianProcess | None = None

    def fit(self, runs: Sequence[Measurement], *, accept_disturbed: bool = False) -> None:
        """Learn from the runs that passed, and from the times of those that nothing disturbed."""
        self._learn(runs, accept_disturbed, refit=True)

    def update(self, runs: Sequence[Measurement], *, accept_disturbed: bool = False) -> None:
        """Like ``fit``, but keeps the hyperparameters if there are any, which is much quicker."""
        self._learn(runs, accept_disturbed, refit=False)

    def _learn(self, runs: Sequence[Measurement], accept_disturbed: bool, *, refit: bool) -> None:
        passed = [run for run in runs if run.passed][-MOST_RUNS:]
        peaks = [(r.config, r.batch_size, float(r.peak_bytes)) for r in passed if r.peak_bytes]
        times = [
            (r.config, r.batch_size, r.step_time.mean_s)
            for r in passed
            if r.step_time and (accept_disturbed or not r.tainted)
        ]
        self.peak_bytes = self._process(peaks, None if refit else self.peak_bytes)
        self.step_time_s = self._process(times, None if refit else self.step_time_s)

    def _process(self, points: list[Point], like: GaussianProcess | None) -> GaussianProcess | None:
        configs = {config_key(config) for config, _, _ in points}
        return (
            GaussianProcess(self._features, points, like)
            if len(configs) >= FEWEST_CONFIGS
            else None
        )


class GaussianProcess:
    """A Gaussian process over (config, batch) for one positive quantity."""

    def __init__(
        self, features: _Features, points: Sequence[Point], like: GaussianProcess | None = None
    ) -> None:
        import numpy as np
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel

        self._features = features
        x = features.rows([(config, batch) for config, batch, _ in points])
        y = np.log([value for _, _, value in points])
        self._centre = float(y.mean())
        linear = ConstantKernel(1.0, (1e-2, 1e2)) * DotProduct(1.0, sigma_0_bounds="fixed")
        smooth = ConstantKernel(0.1, (1e-4, 10.0)) * RBF(1.0, (0.3, 10.0))
        noise = WhiteKernel(1e-3, (LEAST_SPREAD**2, 0.1))
        kernel = linear + smooth + noise if like is None else like._model.kernel_
        optimizer = "fmin_l_bfgs_b" if like is None else None
        self._model: Any = GaussianProcessRegressor(kernel, optimizer=optimizer, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # hyperparameters at their bounds are expected
            self._model.fit(x, y - self._centre)
        self._overconfidence = self._left_out_error([config_key(c) for c, _, _ in points])

    def _left_out_error(self, keys: Sequence[Any]) -> float:
        """How many times larger the error is than predicted when a config's runs are left out:
        the root mean square of the standardised residuals, in closed form (Rasmussen and Williams,
        equation 5.12, for blocks). At least 1."""
        import numpy as np

        factor = self._model.L_
        inverse = np.linalg.inv(factor @ factor.T)
        squares: list[float] = []
        for key in dict.fromkeys(keys):
            block = [i for i, other in enumerate(keys) if other == key]
            covariance = np.linalg.inv(inverse[np.ix_(block, block)])
            residuals = covariance @ self._model.alpha_[block]
            squares += [float(r * r / v) for r, v in zip(residuals, covariance.diagonal())]
        return max(1.0, math.sqrt(sum(squares) / len(squares)))

    def at(self, wanted: Sequence[tuple[Config, int]]) -> list[Distribution]:
        """The prediction at each (config, batch)."""
        if not wanted:
            return []
        mean, std = self._model.predict(self._features.rows(wanted), return_std=True)
        return [
            Distribution(
                float(m) + self._centre, max(float(s) * self._overconfidence, LEAST_SPREAD)
            )
            for m, s in zip(mean, std)
        ]


class _Features:
    """A config and a batch size as numbers: logarithms of numbers, an indicator per option."""

    def __init__(self, space: Space, parameters: Parameters) -> None:
        self._columns = [
            column for name, dimension in space.items() for column in _columns(name, dimension)
        ]
        self._parameters = parameters

    def rows(self, wanted: Sequence[tuple[Config, int]]) -> Array:
        """[N, F]: one row per (config, batch)."""
        import numpy as np

        return np.array([self._row(config, batch) for config, batch in wanted], dtype=float)

    def _row(self, config: Config, batch: int) -> list[float]:
        parameters = self._parameters(config)
        return [
            *(column(config) for column in self._columns),
            math.log(parameters) / 2 if parameters else 0.0,
            math.log(batch) / 2,
        ]


def _columns(name: str, dimension: Dimension) -> list[Callable[[Config], float]]:
    """No column for a fixed dimension, a logarithm for positive numbers, else indicators."""
    if isinstance(dimension, Choice) and not dimension.is_numeric():
        options = dimension.options if len(dimension.options) > 1 else ()
        return [_switch(name, option) for option in options]
    values: Sequence[Any] = (
        (dimension.low, dimension.high) if isinstance(dimension, Float) else dimension.values()
    )
    low, high = min(values), max(values)
    if low == high:
        return []
    if low > 0:
        return [lambda config: math.log(config[name] / low)]
    return [lambda config: (config[name] - low) / (high - low)]


def _switch(name: str, option: Any) -> Callable[[Config], float]:
    return lambda config: float(config[name] == option)


def fit_sizes(
    space: Space, known: Sequence[tuple[Config, float]], wanted: Sequence[Config]
) -> list[float]:
    """Predict a positive size of each wanted config (its parameters, for example) from known sizes.
    Returns an empty list if too few are known."""
    positive = [(config, 1, value) for config, value in known if value > 0]
    if len(positive) < FEWEST_CONFIGS or not wanted:
        return []
    process = GaussianProcess(_Features(space, lambda config: None), positive)
    return [found.median for found in process.at([(config, 1) for config in wanted])]
