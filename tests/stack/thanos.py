"""Thanos with the commands of the compose overlay, on free loopback ports and scratch data."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.http_server import free_port
from tests.stack.compose import Tree
from tests.stack.servers import Server
from tests.stack.substitution import ROOT

RECEIVERS = ("thanos-receive-1", "thanos-receive-2", "thanos-receive-3")
QUERY, STORE, COMPACT = "thanos-query", "thanos-store", "thanos-compact"
HASHRING, STORAGE = "thanos-hashring.json", "thanos-storage.yaml"
GRPC_PORT = 10901
STOP_SECONDS = 120.0


def _ports() -> dict[str, int]:
    return defaultdict(free_port)


@dataclass(frozen=True)
class Thanos:
    """Makes the servers of one Thanos, which know each other's addresses."""

    program: Path
    folder: Path
    services: Tree
    """Those of the overlay, as the compose program reads it."""
    storage: Mapping[str, str]
    """Variables of the object storage."""
    grpc: dict[str, int] = field(default_factory=_ports)
    """Ports by service."""
    write: dict[str, int] = field(default_factory=_ports)

    def write_url(self, receiver: str) -> str:
        """Return the URL of a receiver for remote write."""
        return f"http://127.0.0.1:{self.write[receiver]}/api/v1/receive"

    def server(self, name: str) -> Server:
        """Return a server of the overlay."""
        folder, http = self.folder / name, free_port()
        folder.mkdir(parents=True)
        return Server(
            name,
            [str(self.program), *self._command(name, folder), f"--http-address=127.0.0.1:{http}"],
            folder,
            f"http://127.0.0.1:{http}",
            "/-/ready",
            self.storage,
            # Receivers upload their blocks at their end.
            stop_seconds=STOP_SECONDS,
        )

    def storage_flag(self) -> str:
        """Return the flag with the configuration of the object storage."""
        return f"--objstore.config-file={ROOT / 'deploy' / 'scale' / STORAGE}"

    def _command(self, name: str, folder: Path) -> list[str]:
        hashring = folder / "hashring.json"
        text = (ROOT / "deploy" / "scale" / HASHRING).read_text(encoding="utf-8")
        hashring.write_text(self._on_loopback(text), encoding="utf-8")
        paths = {
            "/etc/thanos/hashring.json": str(hashring),
            "/etc/thanos/storage.yaml": str(ROOT / "deploy" / "scale" / STORAGE),
            "/var/thanos": str(folder / "data"),
        }
        command = [self._on_loopback(argument) for argument in self.services[name]["command"]]
        for old, new in paths.items():
            command = [argument.replace(old, new) for argument in command]
        if name != COMPACT:
            command.append(f"--grpc-address=127.0.0.1:{self.grpc[name]}")
        if name in RECEIVERS:
            command.append(f"--remote-write.address=127.0.0.1:{self.write[name]}")
            # Always listens, in use or not.
            command.append(f"--receive.capnproto-address=127.0.0.1:{free_port()}")
        return command

    def _on_loopback(self, text: str) -> str:
        """Replace the addresses of the overlay."""
        for name in (*RECEIVERS, STORE):
            text = text.replace(f"{name}:{GRPC_PORT}", f"127.0.0.1:{self.grpc[name]}")
        return text
