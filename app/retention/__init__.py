"""Keeping and moving what was measured: backup, export and import, and forgetting what is old."""
