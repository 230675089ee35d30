"""The documentation: its tables, pictures, links, commands and queries."""
