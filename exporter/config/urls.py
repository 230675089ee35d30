"""Checks of URLs in settings."""

from __future__ import annotations

from urllib.parse import urlsplit

from exporter.config.quotes import unquoted


def url_problem(text: str, credentials: str) -> str | None:
    """Return what is wrong with the root URL of a server, None if it is valid.

    The URL itself is not in the result: it can contain a password.

    Args:
        text: The URL.
        credentials: Where a user or password belongs, as the end of a sentence.
    """
    try:
        url = urlsplit(text)
        has_valid_port = url.port != 0
    except ValueError:
        return "is not a valid URL."
    checks = (
        (unquoted(text) == text, "is in quotes, which would be part of the value: remove them."),
        (url.scheme in ("http", "https"), "must begin with http:// or https://"),
        (bool(url.hostname) and has_valid_port, "must have a host and a valid port."),
        (url.username is None and url.password is None, f"must not contain credentials: {credentials}."),
        ("?" not in text and "#" not in text, "must not have a query or a fragment."),
        (
            text.isascii() and text.isprintable() and " " not in text,
            "must be printable ASCII without whitespace.",
        ),
    )
    return next((problem for is_met, problem in checks if not is_met), None)


def is_http_url(text: str) -> bool:
    """Return whether a text is an HTTP URL with a host and without a user."""
    try:
        url = urlsplit(text)
        has_host = bool(url.hostname) and url.port != 0 and url.username is None
        return has_host and url.scheme in ("http", "https")
    except ValueError:
        return False
