"""Admin keys for clients in tests."""

from __future__ import annotations

from exporter.files.secret import Secret
from exporter.gateway.credentials import AdminKey


def refuse(successful: bool) -> None:
    """Fail: no reload is expected to change its result."""
    raise AssertionError(successful)


def fixed_key(text: str) -> AdminKey:
    """Return a key without a file."""
    return AdminKey(Secret(text), None, refuse)
