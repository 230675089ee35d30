"""Reads tenant and credentials of a server from the variables that begin with its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from exporter.errors import SettingsError
from exporter.files.problems import Problems
from exporter.files.secret import Secret, secret_or_file
from exporter.transport.auth import Credentials

TENANT_HEADER = "X-Scope-OrgID"


@dataclass(frozen=True, slots=True)
class Access:
    """Tenant and credentials of a server."""

    tenant: str = ""
    """Empty: none."""
    credentials: Credentials | None = field(default=None, repr=False)

    @property
    def headers(self) -> Mapping[str, str]:
        """The header of the tenant, if there is one."""
        return {TENANT_HEADER: self.tenant} if self.tenant else {}


def variables(prefix: str, place: str) -> tuple[tuple[str, str], ...]:
    """Return name and meaning of the variables.

    Args:
        prefix: Begins their names, such as `LOKI`.
        place: The server in their meaning, such as `there` or `at Loki`.
    """
    return (
        (f"{prefix}_TENANT", f"Tenant {place}, sent as {TENANT_HEADER}"),
        (f"{prefix}_USER", f"User {place}; without one, the password is a bearer token"),
        (f"{prefix}_PASSWORD", f"Password or bearer token {place}"),
        (f"{prefix}_PASSWORD_FILE", f"File that holds the password, instead of {prefix}_PASSWORD"),
    )


def read_access(environ: Mapping[str, str], prefix: str, problems: Problems) -> Access:
    """Return tenant and credentials; problems are added to `problems`."""
    credentials = None
    with problems.collect():
        credentials = _credentials(environ, prefix)
    tenant = environ.get(f"{prefix}_TENANT", "")
    if not _is_header_text(tenant):
        problems.append(f"{prefix}_TENANT must be printable ASCII.")
    return Access(tenant, credentials)


def _credentials(environ: Mapping[str, str], prefix: str) -> Credentials | None:
    user, password = environ.get(f"{prefix}_USER", ""), secret_or_file(environ, f"{prefix}_PASSWORD")
    if not (_is_header_text(user) and _is_header_text(password)) or ":" in user:
        raise SettingsError(
            [f"{prefix}_USER and {prefix}_PASSWORD must be printable ASCII, the user without a colon."]
        )
    if user and not password:
        raise SettingsError([f"{prefix}_USER is set without {prefix}_PASSWORD or its file."])
    return Credentials(user or None, Secret(password)) if password else None


def _is_header_text(text: str) -> bool:
    return text.isascii() and text.isprintable()
