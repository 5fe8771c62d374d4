"""Memory as it is seen from outside, in windows that can be compared. Pure.

A line of output arrives somewhere within a step, so memory seen at that moment may be low or high
in the step, and a busy machine moves the moment. What does not depend on the moment are
high-water marks over whole steps: one that the kernel keeps for good, and one that it keeps since
it was last reset.
"""

from __future__ import annotations

import bisect
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

SPAN_STEPS = 2
"""Between two looks this far apart there is at least one whole step."""
WINDOW_STEPS = 4
MOST_WINDOWS = 10
LOOKS_PER_STEP = 4
"""Looks that follow each other faster are put together."""


@dataclass(frozen=True)
class Look:
    """The memory of a command at one moment. Bytes; the time is on the monotonic clock."""

    at_s: float
    held_bytes: int
    """In use at this moment."""
    peak_bytes: int
    """The high-water mark since the start."""
    high_bytes: int | None = None
    """The exact high-water mark since the look before, in any unit that only differs from the
    others by what stays; ``None`` where the system does not keep one."""


@dataclass(frozen=True)
class Window:
    """Memory over some steps in a row."""

    step: float
    """Steps run at its end."""
    held_bytes: int
    """The least that was in use: between two steps, if memory was seen often enough."""
    peak_bytes: int
    """The high-water mark since the start, at the end of the window."""
    high_bytes: float | None
    """The high-water mark of an ordinary step in it: evaluations and checkpoints are left out as
    long as they take less than half of it."""


class Looks:
    """Collects looks, and the times at which steps ended."""

    def __init__(self) -> None:
        self._looks: list[Look] = []
        self._began_s = 0.0
        self._line_s: list[float] = []
        self._line_steps: list[int] = []
        self._last_s = 0.0
        self._step_s = 0.0

    @property
    def last_s(self) -> float:
        """When memory was last seen."""
        return self._last_s

    def stepped(self, at_s: float, steps: int, each_s: float) -> None:
        """So many steps had ended at this time; each took ``each_s``."""
        self._step_s = each_s
        if self._line_s and self._line_s[-1] >= at_s:  # several lines at one moment
            self._line_steps[-1] = steps
            return
        self._line_s.append(at_s)
        self._line_steps.append(steps)

    def see(self, look: Look) -> None:
        """Memory as it is now."""
        self._last_s = look.at_s
        if self._looks and look.at_s - self._began_s < self._step_s / LOOKS_PER_STEP:
            self._looks[-1] = _together([self._looks[-1], look])
            return
        self._looks.append(look)
        self._began_s = look.at_s

    def windows(self, first_step: int, steps: int) -> list[Window]:
        """At most ``MOST_WINDOWS`` windows of about equal numbers of steps, from ``first_step``
        to ``steps``. The first entry is the point at which they begin, without a length."""
        spans = self.spans(first_step)
        if not spans:
            return []
        least = max(WINDOW_STEPS, (steps - first_step) / MOST_WINDOWS)
        start, found, group = spans[0], [_window(spans[:1])], list[tuple[float, Look]]()
        for span in spans[1:]:
            group.append(span)
            if span[0] - start[0] >= least:
                found.append(_window(group))
                start, group = span, []
        return found

    def spans(self, first_step: int) -> list[tuple[float, Look]]:
        """Looks put together until there is a whole step in each, with the steps at its end. The
        first is the one look at which they begin."""
        found: list[tuple[float, Look]] = []
        waiting: list[Look] = []
        for look in self._looks:
            step = self._step_at(look.at_s)
            if step is None or step < first_step:
                continue
            waiting.append(look)
            if not found or step - found[-1][0] >= SPAN_STEPS:
                found.append((step, _together(waiting)))
                waiting = []
        return found

    def _step_at(self, at_s: float) -> float | None:
        """Steps run by then, evenly between two lines; ``None`` before the first line."""
        after = bisect.bisect_right(self._line_s, at_s)
        if after == 0:
            return None
        if after == len(self._line_s):
            return self._line_steps[-1]
        from_s, to_s = self._line_s[after - 1 : after + 1]
        from_step, to_step = self._line_steps[after - 1 : after + 1]
        return from_step + (to_step - from_step) * (at_s - from_s) / (to_s - from_s)


def _together(looks: Sequence[Look]) -> Look:
    highs = [look.high_bytes for look in looks if look.high_bytes is not None]
    return Look(
        looks[-1].at_s,
        min(look.held_bytes for look in looks),
        looks[-1].peak_bytes,
        max(highs, default=None),
    )


def _window(spans: Sequence[tuple[float, Look]]) -> Window:
    looks = [look for _, look in spans]
    highs = [look.high_bytes for look in looks if look.high_bytes is not None]
    return Window(
        spans[-1][0],
        min(look.held_bytes for look in looks),
        looks[-1].peak_bytes,
        statistics.median_low(highs) if highs else None,
    )
