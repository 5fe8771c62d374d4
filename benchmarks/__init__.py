"""Measurements behind every claim: ``make bench`` runs them all and writes dated results."""
