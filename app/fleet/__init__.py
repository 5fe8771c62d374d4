"""Many hosts as one: which node has which device, and running jobs there. An extra: Ray."""
