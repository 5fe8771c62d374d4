"""Devices that results are stored for, by fingerprint: rows and ``/v1/devices``. What this machine
has is in ``app.machine``."""
