"""Admin keys for clients that tests make by themselves."""

from __future__ import annotations

from exporter.files.secret import Secret
from exporter.gateway.credentials import AdminKey


def refuse(successful: bool) -> None:
    """Fail: a key without a file, or with one that is always good, has nothing to tell."""
    raise AssertionError(successful)


def fixed_key(text: str) -> AdminKey:
    """Return a key that comes from no file."""
    return AdminKey(Secret(text), None, refuse)
