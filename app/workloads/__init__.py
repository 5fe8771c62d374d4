"""Workloads: the registered names, commands as workloads, their search spaces, those that were
measured, and ``/v1/workloads``."""
