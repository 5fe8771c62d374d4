"""Is the step time true? Against a long run, beside ``torch.utils.benchmark`` on the same step."""

from benchmarks.step_time.run import main

__all__ = ["main"]
