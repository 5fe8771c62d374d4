"""Every probe that ran, what was predicted for it, and how good the predictions were: rows, the
rules for reusing them, and ``/v1/measurements`` and ``/v1/predictions``."""
