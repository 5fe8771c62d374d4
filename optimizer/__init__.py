"""Decides what to measure next: budgets, search spaces, studies, choosing and explaining.

Knows ``probes``; knows nothing of HTTP or SQL.
"""
