"""What probes cannot see: what is learnt, and what a model computes after a change.

Each function runs in the user's interpreter as a job of its own, like a probe.
"""
