"""Workloads: which ones have been measured, at which state of their source and options."""
