"""Rows of several sources: read, checked, balanced, and divided by group."""
