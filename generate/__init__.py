"""Generates what is made from code: tables of pages, files for the benchmark, screenshots."""
