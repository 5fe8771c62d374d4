"""Fine-tunes language models on the hardware at hand, evaluates them, and compares them honestly.

Runs in the user's interpreter beside ``probes``. Knows nothing of the database, HTTP or the search.
Nothing heavy is imported before it is needed.

Example::

    from finetuning import FineTuning, compare, evaluate, presets

    settings = presets["quick_lora"].settings("models/small", {"training.epochs": 1})
    FineTuning(settings=settings, data={"bfs": "logs/bfs_*"}, output="out").run()
    evaluate("out", tasks=["language"])
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_WHERE = {
    "FineTuning": ("finetuning.run", "FineTuning"),
    "FineTuningSettings": ("finetuning.settings.model", "FineTuningSettings"),
    "presets": ("finetuning.settings.presets", "PRESETS"),
    "evaluate": ("finetuning.evaluating", "evaluate"),
    "compare": ("finetuning.comparison.compare", "compare"),
}
__all__ = ["FineTuning", "FineTuningSettings", "compare", "evaluate", "presets"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'finetuning' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(module), attribute)
