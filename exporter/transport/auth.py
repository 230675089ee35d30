"""The `Authorization` header of outgoing requests: bearer tokens (RFC 6750) and passwords (RFC 7617)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

import requests
from requests.auth import AuthBase

from exporter.files.secret import Secret


@dataclass(frozen=True, slots=True)
class Credentials:
    """Credentials for a server."""

    user: str | None
    """None: the secret is a token, else it is the password of this user."""
    secret: Secret


class HeaderAuth(AuthBase):
    """Sets the header of each request; with an auth object, requests does not read ~/.netrc."""

    def __init__(self, header: Callable[[], str | None]) -> None:
        """Call `header` for each request; None sends no header."""
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        # The request may have been sent before, with an earlier header.
        request.headers.pop("Authorization", None)
        if (header := self._header()) is not None:
            request.headers["Authorization"] = header
        return request


def bearer(token: Secret) -> str:
    """Return the header for a bearer token."""
    return f"Bearer {token.reveal()}"


def authorization(credentials: Credentials | None) -> str | None:
    """Return the header for credentials, None for an anonymous request."""
    if credentials is None:
        return None
    if credentials.user is None:
        return bearer(credentials.secret)
    return basic(credentials.user, credentials.secret)


def basic(user: str, password: Secret) -> str:
    """Return the header for basic authentication."""
    return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()
