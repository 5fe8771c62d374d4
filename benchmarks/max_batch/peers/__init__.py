"""The peers, each through its real API; run with the interpreter of the peers' environment.

``python -m benchmarks.max_batch.peers METHOD …`` is one search in one process, as its users run
it. The process gets the memory limit that Tonnage's own workers get, by the same code.
"""

METHODS = {
    "lightning_power": "lightning_tuner:power",
    "lightning_binsearch": "lightning_tuner:binsearch",
    "accelerate": "accelerate_decorator:shrink",
    "transformers": "transformers_trainer:auto_find",
    "doubling": "plain:doubling",
    "bisection": "plain:bisection",
    "origin": "plain:origin",
}
"""Name to ``module:function``; a function takes a ``Trainee`` and returns the batch it found."""

STEPS_PER_TRIAL = 3
"""Lightning's default, given to everybody who has none."""
STARTING_BATCH = 4096
"""For the methods that shrink: above every edge of the benchmark."""
