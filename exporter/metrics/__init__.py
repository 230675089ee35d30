"""Metrics: the table of instruments, collection, exposition, push."""
