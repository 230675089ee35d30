"""Traces and logs: OTLP exporters, JSON log records, standard output."""
