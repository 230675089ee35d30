"""Reads from a Prometheus what it has kept of the providers, so that a restart loses no history."""
