"""Workloads: the registered names, commands as workloads, their search spaces, those that were\nmeasured, and ``/v1/workloads``."""
