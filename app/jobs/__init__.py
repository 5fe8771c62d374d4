"""Jobs: studies that somebody asked for, run by a runner process, one per device at a time."""
