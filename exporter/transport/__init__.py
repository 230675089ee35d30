"""Outgoing HTTP; the only package that imports requests and urllib3."""
