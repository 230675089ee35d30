"""Certificates and web configuration files, made anew for each test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import bcrypt
import trustme
import yaml

USER = "prometheus"
PASSWORD = "sesame"
CHEAP = 4
"""The lowest cost of bcrypt."""


def hashed(password: str = PASSWORD, prefix: str = "2b") -> str:
    """Return a bcrypt hash, made at the lowest cost."""
    made = bcrypt.hashpw(password.encode(), bcrypt.gensalt(CHEAP)).decode()
    return f"${prefix}{made.removeprefix('$2b')}"


@dataclass
class Folder:
    """A folder with a web configuration file, the certificate of a server and those of its clients."""

    path: Path
    authority: trustme.CA = field(default_factory=trustme.CA)
    """Of the server."""
    clients: trustme.CA = field(default_factory=trustme.CA)
    """Of the clients."""

    def __post_init__(self) -> None:
        """Write the certificates."""
        self.renew()
        self.replace("clients.pem", self.clients.cert_pem.bytes())

    @property
    def file(self) -> Path:
        """The web configuration file."""
        return self.path / "web.yml"

    @property
    def ca_path(self) -> str:
        """What a client of the server trusts; a file for each authority."""
        path = self.path / f"{id(self.authority)}.pem"
        self.authority.cert_pem.write_to_path(path)
        return str(path)

    def replace(self, name: str, content: bytes) -> None:
        """Put a new file in the place of an old one at once, as those who care do."""
        fresh = self.path / f"{name}.new"
        fresh.write_bytes(content)
        fresh.rename(self.path / name)

    def renew(self, not_after: datetime | None = None) -> None:
        """Give the server a certificate of its authority, which expires at a date of its own or far away."""
        issued = self.authority.issue_cert("localhost", "127.0.0.1", not_after=not_after)
        self.replace("server.key", issued.private_key_pem.bytes())
        self.replace("server.crt", b"".join(pem.bytes() for pem in issued.cert_chain_pems))

    def write(self, *, tls: Mapping[str, Any] | None = None, **sections: Any) -> Path:
        """Write the file: `tls` is added to certificate and key, other sections are taken as they are."""
        document = dict(sections)
        if tls is not None:
            files = {"cert_file": "server.crt", "key_file": "server.key"}
            document["tls_server_config"] = {**files, **tls}
        self.replace("web.yml", yaml.safe_dump(document).encode())
        return self.file

    def client(self, *names: str, by: trustme.CA | None = None) -> str:
        """Return the path of a client's key and certificate."""
        issued = (by or self.clients).issue_cert(*names)
        number = len(list(self.path.glob("client-*.pem")))
        path = self.path / f"client-{number}.pem"
        issued.private_key_and_cert_chain_pem.write_to_path(path)
        return str(path)


MUTUAL: Mapping[str, str] = {
    "client_auth_type": "RequireAndVerifyClientCert",
    "client_ca_file": "clients.pem",
}
"""What asks clients for certificates."""
