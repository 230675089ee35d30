"""Tests of the documentation: tables, screenshot, links, commands and queries."""
