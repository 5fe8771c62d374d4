"""The chosen device class as a resource request for a scheduler."""
