"""What a fine-tuning is told: settings, presets, and their files. Imports no torch."""
