"""Outgoing HTTP, and the only package that knows requests and urllib3."""
