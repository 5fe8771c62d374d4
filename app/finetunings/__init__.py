"""Fine-tunings: their state, what they logged, their evaluation rows, and how they compare."""
