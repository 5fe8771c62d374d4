"""Bundles: a working directory as one archive named by its SHA-256, packed where the user is, kept
in the database, and unpacked on the host that runs the user's code; and ``/v1/bundles``."""
