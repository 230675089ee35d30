"""Custom metrics: their file, JMESPath expressions, values in answers."""
