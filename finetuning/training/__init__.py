"""TRL's trainer built from the settings, the run around it, and what becomes of it."""
