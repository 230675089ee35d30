"""The admin key of the gateway: what a valid one looks like, and how its file is read."""

from __future__ import annotations

from pathlib import Path

from exporter.config.quotes import unquoted
from exporter.errors import SettingsError
from exporter.files.read import read_file
from exporter.files.secret import Secret


def check_key(text: str) -> Secret:
    """Return the key, if it can be sent as a bearer token.

    Raises:
        SettingsError: Without a word of the key.
    """
    if unquoted(text) != text:
        raise SettingsError(
            ["ADMIN_KEY, or its file, is in quotes, which would be part of the key: remove them."]
        )
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise SettingsError(
            ["ADMIN_KEY, or its file, has blanks or characters that are not printable ASCII."]
        )
    return Secret(text)


def read_key(path: Path) -> Secret:
    """Return the key that the file holds, white space around it left out.

    Raises:
        SettingsError: With the reason, but without the path, which may be the key itself in the wrong
            variable, and without a word of the file.
    """
    try:
        text = read_file(path).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise SettingsError([f"ADMIN_KEY_FILE cannot be read: {reason}."]) from error
    if not text:
        raise SettingsError(["ADMIN_KEY_FILE names a file that is empty."])
    return check_key(text)
