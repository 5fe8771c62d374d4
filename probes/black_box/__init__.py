"""Black-box commands: a user's own training command as one more way to run a probe.

Runs in the parent: the command is started as it is, watched from outside, and ended after enough
steps. Never imports torch.
"""
