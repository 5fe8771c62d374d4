"""Training runs that were started with a recommendation, and how they ended: what grades it."""
