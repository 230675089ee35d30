"""Which Grafana, and as whom: the environment, read once; all problems at once, and no secret in any."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from grafana.access.errors import InputError

VARIABLES: tuple[tuple[str, str], ...] = (
    ("GRAFANA_URL", "Root of Grafana, its sub path included (default http://localhost:3000)"),
    ("GRAFANA_TOKEN", "Token of a service account with the role Admin; goes before a password"),
    ("GRAFANA_TOKEN_FILE", "File that holds the token, instead of GRAFANA_TOKEN"),
    ("GRAFANA_ADMIN_USER", "User, where there is no token (default admin)"),
    ("GRAFANA_ADMIN_PASSWORD", "Password of that user"),
    ("GRAFANA_ADMIN_PASSWORD_FILE", "File that holds the password, instead of GRAFANA_ADMIN_PASSWORD"),
)
"""Every variable and its meaning."""

DEFAULT_URL = "http://localhost:3000"
DEFAULT_USER = "admin"


@dataclass(frozen=True, slots=True)
class Settings:
    """Which Grafana, and as whom."""

    url: str
    """Without a trailing slash."""
    user: str | None
    """None: `secret` is a token, else it is this user's password."""
    secret: str = field(repr=False)


def load_settings(environ: Mapping[str, str], url: str | None) -> Settings:
    """Read every variable; `url`, where given, takes the place of GRAFANA_URL.

    Raises:
        InputError: With every problem that was found.
    """
    return _Reader(environ).settings(url)


class _Reader:
    """One pass over the environment; it collects problems and goes on."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # An empty value counts as unset: compose files pass empty values for what the user left out.
        self._environ = {name: value for name, value in environ.items() if value.strip()}
        self._problems: list[str] = []

    def settings(self, url: str | None) -> Settings:
        root = self._url(url)
        user = self._user()
        token = self._secret("GRAFANA_TOKEN").strip()
        password = self._secret("GRAFANA_ADMIN_PASSWORD")
        if not (token.isascii() and token.isprintable() and " " not in token):
            self._problems.append(
                "GRAFANA_TOKEN, or its file, has blanks or characters that are not printable ASCII."
            )
        if not password.isprintable():
            self._problems.append("GRAFANA_ADMIN_PASSWORD, or its file, has control characters.")
        if not (token or password or self._problems):
            self._problems.append(
                "Neither GRAFANA_TOKEN nor GRAFANA_ADMIN_PASSWORD is set, nor a file of theirs: one must be."
            )
        if self._problems:
            raise InputError(self._problems)
        return Settings(root, None, token) if token else Settings(root, user, password)

    def _url(self, option: str | None) -> str:
        name = "GRAFANA_URL" if option is None else "--url"
        text = (self._environ.get("GRAFANA_URL", DEFAULT_URL) if option is None else option).strip()
        problem = _url_problem(text)
        if problem:
            self._problems.append(f"{name} {problem}")
        return text.rstrip("/")

    def _user(self) -> str:
        user = self._environ.get("GRAFANA_ADMIN_USER", DEFAULT_USER).strip()
        if ":" in user or not user.isprintable():
            self._problems.append(
                "GRAFANA_ADMIN_USER has a colon or control characters, which no sign-in allows."
            )
        return user

    def _secret(self, name: str) -> str:
        """Return what the variable or its file holds, or nothing."""
        text, path = self._environ.get(name, ""), self._environ.get(f"{name}_FILE", "").strip()
        if text and path:
            self._problems.append(f"{name} and {name}_FILE are both set: keep one of them.")
        elif path:
            text = self._read(f"{name}_FILE", path)
        return text

    def _read(self, name: str, path: str) -> str:
        try:
            text = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
            # Without its value, which may be the secret itself, put into the wrong variable.
            self._problems.append(f"{name} cannot be read: {reason}.")
            return ""
        if not text.strip():
            self._problems.append(f"{name} names a file that is empty.")
        return text


def _url_problem(text: str) -> str | None:
    """Name what is wrong with a URL, without its text: it may hold a password."""
    try:
        url = urlsplit(text)
        port_is_good = url.port != 0
    except ValueError:
        return "is not a valid URL."
    checks = (
        (url.scheme in ("http", "https"), "must begin with http:// or https://"),
        (bool(url.hostname) and port_is_good, "has no usable host and port."),
        (
            url.username is None and url.password is None,
            "must hold no user or password: they go into GRAFANA_ADMIN_USER and GRAFANA_ADMIN_PASSWORD.",
        ),
        ("?" not in text and "#" not in text, "must hold no query and no fragment."),
        (
            text.isascii() and text.isprintable() and " " not in text,
            "has blanks or characters that are not ASCII.",
        ),
    )
    return next((problem for good, problem in checks if not good), None)
