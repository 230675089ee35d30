"""Checks of URLs in settings."""

from __future__ import annotations

import pytest

from exporter.config.urls import is_http_url, url_problem

INVALID = {
    "must begin with http:// or https://": ["host", "host:8000", "ftp://host", "user:sesame@host"],
    "must have a host and a valid port.": [
        *["https://", "https:///providers", "https://:443", "https://host:0"],
        *["https://user:sesame@host:0", "https://user:sesame@"],
    ],
    "is not a valid URL.": ["https://host:65536", "https://me:sesame@host:port", "https://me:sesame@[::1"],
    "must not contain credentials: use a file.": ["https://sesame@host", "https://:sesame@host"],
    "must not have a query or a fragment.": [
        *["https://host?key=sesame", "https://host/#sesame", "https://host/?", "https://host/#"]
    ],
    "must be printable ASCII without whitespace.": ["https://host/a b", "https://h\xe4st", "https://ho\nst"],
    "is in quotes, which would be part of the value: remove them.": ['"https://host"'],
}
"""URLs by their problem."""


@pytest.mark.parametrize(
    "text", ["http://host", "HTTPS://host:8443/path/", "https://[2001:db8::1]:8443", "http://127.0.0.1"]
)
def test_valid_url(text: str) -> None:
    """An HTTP URL with a host is valid, with or without port and path."""
    assert (None, True) == (url_problem(text, "use a file"), is_http_url(text))


@pytest.mark.parametrize(
    ("text", "problem"), [(text, problem) for problem, texts in INVALID.items() for text in texts]
)
def test_invalid_url(text: str, problem: str) -> None:
    """Anything else has one problem, which does not contain the URL."""
    assert problem == url_problem(text, "use a file")


@pytest.mark.parametrize(
    "text", ["host:4317", "//host", "unix:///host", "http://[host", "http://user@host", "http://host:0"]
)
def test_no_http_url(text: str) -> None:
    """Other schemes, users and malformed URLs are not accepted."""
    assert not is_http_url(text)
