"""What a study knows so far: its configs, its settled trials and their measurements."""

from __future__ import annotations

from collections.abc import Container

from optimizer import choose as choosing
from optimizer.budgets import Budget
from optimizer.capacity import Capacities, SizesOf
from optimizer.disturbed import in_doubt, standing
from optimizer.records import Key, Prediction, Store, StudySpec, Trial, config_key
from optimizer.spaces import contains, costs_at_least, finite
from probes.doubt import doubts
from probes.measurement import Config, Measurement, Purpose
from probes.space import grid


class SearchState:
    """The store's record of one study, kept in memory and in step with it.

    Everything added is committed before the call returns, so a study can be killed at any point
    and continue from there. ``refresh`` takes over what other processes on the same study added.
    """

    def __init__(
        self,
        spec: StudySpec,
        store: Store,
        *,
        sizes_of: SizesOf | None = None,
        accept_disturbed: bool = False,
    ) -> None:
        self.spec = spec
        self.store = store
        self.accept_disturbed = accept_disturbed
        self.configs: list[Config] = grid(finite(spec.space)) or []
        """Every config of the space, or an even selection of a large one."""
        self.capacities = Capacities(spec.space, self.configs, sizes_of)
        self.settled: dict[Key, Trial] = {}
        self.busy: dict[Key, Config] = {}
        """Configs that other live processes are settling now."""
        self.measurements: list[Measurement] = []
        self._shared = False
        self._news: list[Trial] = []
        self._standing: tuple[list[Measurement], list[Measurement]] = ([], [])
        self._load()

    @property
    def budget(self) -> Budget:
        return self.spec.budget

    def state_of(self, config: Config) -> str:
        """``Trial.state``, or an empty string for a config that is not settled."""
        trial = self.settled.get(config_key(config))
        return trial.state if trial is not None else ""

    def refresh(self) -> list[Trial]:
        """Update ``busy``; return the trials that other processes have settled since."""
        self.busy = {config_key(config): config for config in self.store.busy()}
        if self.busy or self._shared:
            self._shared = bool(self.busy)
            self._catch_up()
        news, self._news = self._news, []
        return news

    def look(self) -> bool:
        """Whether other processes work on the study; what they have added is then taken over, and
        ``refresh`` will return it."""
        if self._shared:
            self._catch_up()
        return self._shared

    def _catch_up(self) -> None:
        before = self.settled
        self._load()
        self._news += [trial for key, trial in self.settled.items() if before.get(key) != trial]

    def _load(self) -> None:
        self.settled = {config_key(trial.config): trial for trial in self.store.trials()}
        self.measurements = self.store.measurements()
        for run in self.measurements:
            self.capacities.learn(run)

    # -- adding ------------------------------------------------------------------------------

    def add_measurement(
        self, trial_number: int, run: Measurement, predictions: list[Prediction]
    ) -> None:
        self.store.add_measurement(trial_number, run, predictions)
        self.measurements.append(run)
        self.capacities.learn(run)

    def find_measurement(
        self, config: Config, batch_size: int, purpose: Purpose
    ) -> Measurement | None:
        """A stored run that may be used instead of a new probe, unless it is in doubt."""
        found = self.store.find_measurement(config, batch_size, purpose)
        if found is None or not self.stands(found):
            return None
        if found not in self.measurements:
            self.measurements.append(found)
        return found

    def add_trial(self, trial: Trial) -> None:
        self.store.add_trial(trial)
        self.settled[config_key(trial.config)] = trial

    # -- what follows from the measurements ----------------------------------------------------

    def runs(self) -> list[Measurement]:
        """One run of each probe: of several, the one that counts (see ``disturbed.standing``)."""
        if len(self._standing[0]) != len(self.measurements):
            self._standing = (list(self.measurements), standing(self.measurements))
        return self._standing[1]

    def stands(self, run: Measurement) -> bool:
        """Whether the outcome of a run is due to its config and not to a disturbed machine.

        The time of a confirmation matters: it may answer for a bracket, which then counts as
        confirmed.
        """
        if self.accept_disturbed:
            return True
        confirms = run.purpose is Purpose.CONFIRM
        return not doubts(run, self.budget.longest_step_s, time_matters=confirms)

    def standing_runs_of(self, config: Config) -> list[Measurement]:
        """The undoubted runs of a config: from before a kill, or before it is measured again."""
        return [run for run in self.runs() if run.config == config and self.stands(run)]

    def begun(self) -> list[Config]:
        """Configs with measurements of this study that are not settled: a killed process left
        them, unless another process is working on them."""
        found = {config_key(run.config): run.config for run in self.measurements}
        return [
            config
            for key, config in found.items()
            if key not in self.settled and contains(self.spec.space, config)
        ]

    def open_configs(self, taken: Container[Key]) -> list[Config]:
        """Configs that are not taken, and not ruled out by a settled one."""
        return [
            config
            for config in self.configs
            if config_key(config) not in taken and self.witness(config) is None
        ]

    def witness(self, config: Config) -> Trial | None:
        """An infeasible trial that this config cannot be cheaper than. A trial in doubt is no
        witness: it would rule configs out because of another process's load."""
        space, longest_step_s = self.spec.space, self.budget.longest_step_s
        for trial in self.settled.values():
            rules_out = trial.state == "infeasible" and costs_at_least(space, config, trial.config)
            if rules_out and (
                self.accept_disturbed or not in_doubt(trial, self.runs(), longest_step_s)
            ):
                return trial
        return None

    def selected(self) -> choosing.Selection | None:
        """What would be recommended now."""
        trials = list(self.settled.values())
        found = choosing.candidates(trials, self.runs(), self.capacities.capacity)
        return choosing.choose(found, self.budget, accept_disturbed=self.accept_disturbed)

    def in_doubt(self) -> list[tuple[Trial, list[str]]]:
        """Trials whose outcome may be due to a disturbed machine, each with what disturbed it."""
        if self.accept_disturbed:
            return []
        runs, longest_step_s = self.runs(), self.budget.longest_step_s
        found = ((t, in_doubt(t, runs, longest_step_s)) for t in self.settled.values())
        return [(trial, taints) for trial, taints in found if taints]
