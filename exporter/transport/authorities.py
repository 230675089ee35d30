"""Certificate authorities of the environment, which replace the bundle of requests."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from exporter.files.read import read_file

AUTHORITIES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""Variables that name a file or a directory, in order of precedence."""
WANTED = "It must name a PEM file, or one directory, of trusted authorities."


@dataclass(frozen=True, slots=True)
class Authorities:
    """A file or directory of certificates, and its variable."""

    variable: str
    path: Path

    def problem(self) -> str | None:
        """Return why they are invalid, without the path; None if they are valid."""
        # Unlike `Path.is_dir` it never raises.
        if os.path.isdir(self.path):
            return None
        if self.variable == "SSL_CERT_DIR" and os.pathsep in str(self.path):
            return f"{self.variable} names several directories. {WANTED}"
        try:
            # A pipe would block OpenSSL.
            read_file(self.path)
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(self.path)
        except ssl.SSLError:
            return f"{self.variable} names a file without a PEM certificate. {WANTED}"
        except OSError as error:
            return f"{self.variable} cannot be read: {error.strerror}. {WANTED}"
        return None


def find_authorities(environ: Mapping[str, str]) -> Authorities | None:
    """Return the authorities of the environment; an empty variable counts as unset."""
    named = ((name, environ.get(name, "").strip()) for name in AUTHORITIES)
    return next((Authorities(name, Path(path)) for name, path in named if path), None)
