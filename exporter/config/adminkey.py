"""Checks the gateway's admin key, and reads it from its file."""

from __future__ import annotations

from pathlib import Path

from exporter.config.quotes import unquoted
from exporter.errors import SettingsError
from exporter.files.secret import Secret, read_secret


def check_key(text: str) -> Secret:
    """Return the key if it can be sent as a bearer token.

    Raises:
        SettingsError: Without any part of the key.
    """
    if unquoted(text) != text:
        raise SettingsError(
            ["ADMIN_KEY, or its file, is in quotes, which would be part of the key: remove them."]
        )
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise SettingsError(["ADMIN_KEY, or its file, must be printable ASCII without whitespace."])
    return Secret(text)


def read_key(path: Path) -> Secret:
    """Return the key in a file, without surrounding whitespace.

    Raises:
        SettingsError: Without the path and without any part of the key.
    """
    return check_key(read_secret(path, "ADMIN_KEY_FILE"))
