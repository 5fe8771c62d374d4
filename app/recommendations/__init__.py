"""Recommendations: what studies ended in, whether it still holds, and its export."""
