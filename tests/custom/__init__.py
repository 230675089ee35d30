"""What custom metrics do."""
