"""Keeping results for long: backup, export and import, and deleting what is old."""
