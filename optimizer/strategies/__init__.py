"""Strategies: which config a study settles next. One class per file, all with one interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from optimizer.records import Trial
from probes.measurement import Config


@dataclass(frozen=True)
class Proposal:
    """A config to settle next."""

    config: Config
    fully: bool = True
    """Whether to search for its maximum batch; else a few steps with its smallest batch do."""
    keep: bool = False
    """Whether to confirm it even if another config turns out to have a higher throughput."""


class Strategy(Protocol):
    """Proposes configs and is told how they were settled.

    A strategy learns of trials only by ``tell``: of those that were settled before it began, of
    its own proposals, and of those that other processes on the same study settle. Given the same
    trials and measurements, it proposes the same config, so a study that was killed continues as
    if it had not been.

    Example::

        search = CapacitySearch(state, forecaster, stopping)
        while (proposal := search.ask()) is not None:
            search.tell(settle(proposal))
    """

    def ask(self) -> Proposal | None:
        """The next config; ``None`` when there is nothing to propose, as far as is known now.

        Configs that other processes are settling are never proposed. When they are done, there
        may be something to propose again.
        """

    def tell(self, trial: Trial) -> None:
        """A config was settled, or settled again with another outcome."""
