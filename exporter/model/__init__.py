"""Frozen values: what the gateway answers, the snapshot of it, and its changes."""
