"""Measurements: every probe that ran, and what was predicted of it."""
