"""Predictions: how far what was expected of measurements was from what they gave."""
