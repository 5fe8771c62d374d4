"""Ablations that the service was asked for: jobs that measure what a knowledge page claims.

How a claim is measured and what it comes to is in ``app.knowledge``.
"""
