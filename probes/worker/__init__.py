"""The isolated worker: the part of a probe that runs in the user's interpreter.

Imports torch, the standard library and ``probes`` only. Python 3.10 syntax.
"""
