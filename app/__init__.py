"""Remembers and serves: settings, database, one folder per resource, the command line.

Importing this package loads nothing else, so that ``tonnage --help`` answers at once.
"""
