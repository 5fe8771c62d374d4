"""Compares evaluated models: paired tests on the rows that were kept, and what they say in words.

``compare.compare`` is the entry point. Reading and showing a stored ``result.Comparison`` needs
neither numpy nor scipy.
"""
