"""Checks of URLs in settings."""

from __future__ import annotations

import pytest

from exporter.config.urls import is_http_url, url_problem

HTTP = "must begin with http:// or https://"
HOST = "must have a host and a valid port."
INVALID = "is not a valid URL."
CREDENTIALS = "must not contain credentials: use a file."
QUERY = "must not have a query or a fragment."
ASCII = "must be printable ASCII without whitespace."


@pytest.mark.parametrize(
    "text", ["http://host", "HTTPS://host:8443/path/", "https://[2001:db8::1]:8443", "http://127.0.0.1"]
)
def test_valid_url(text: str) -> None:
    """An HTTP URL with a host is valid, with or without port and path."""
    assert (None, True) == (url_problem(text, "use a file"), is_http_url(text))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("host", HTTP),
        ("host:8000", HTTP),
        ("ftp://host", HTTP),
        ("user:sesame@host", HTTP),
        ("https://", HOST),
        ("https:///providers", HOST),
        ("https://:443", HOST),
        ("https://host:0", HOST),
        ("https://user:sesame@host:0", HOST),
        ("https://user:sesame@", HOST),
        ("https://host:65536", INVALID),
        ("https://user:sesame@host:port", INVALID),
        ("https://user:sesame@[::1", INVALID),
        ("https://sesame@host", CREDENTIALS),
        ("https://:sesame@host", CREDENTIALS),
        ("https://host?key=sesame", QUERY),
        ("https://host/#sesame", QUERY),
        ("https://host/?", QUERY),
        ("https://host/#", QUERY),
        ("https://host/a b", ASCII),
        ("https://h\N{LATIN SMALL LETTER A WITH DIAERESIS}st", ASCII),
        ("https://ho\nst", ASCII),
        ('"https://host"', "is in quotes, which would be part of the value: remove them."),
    ],
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
