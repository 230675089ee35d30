"""Proof with the real servers that the exporter is made for."""
