"""Fine-tunes language models on the hardware at hand, evaluates them, and compares them honestly.

Runs in the user's interpreter beside ``probes``. Knows nothing of the database, HTTP or the search.
Nothing heavy is imported before it is needed.
"""
