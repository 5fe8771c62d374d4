"""One file per revision, named ``NNNN_what_changes.py``."""
