"""Devices: which ones have been seen here, by fingerprint."""
