"""Checks: answers to "will this planned run fit and finish in time here?", as they were given."""
