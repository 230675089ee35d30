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
HASHRING = "deploy/scale/thanos-hashring.json"
GRPC_PORT = 10901


@dataclass(frozen=True)
class Thanos:
    """Makes the servers of one Thanos, which know each other's addresses."""

    program: Path
    folder: Path
    services: Tree
    """The services of the overlay, as the compose program reads it."""
    storage: Mapping[str, str]
    """Variables of the object storage; without any, nothing is uploaded."""
    grpc: dict[str, int] = field(default_factory=lambda: defaultdict(free_port))
    """Ports by service."""
    write: dict[str, int] = field(default_factory=lambda: defaultdict(free_port))

    def write_url(self, receiver: str) -> str:
        """Return where a receiver accepts remote write."""
        return f"http://127.0.0.1:{self.write[receiver]}/api/v1/receive"

    def server(self, name: str, *flags: str) -> Server:
        """Return a server of the overlay, with more flags; one-shot flags of the overlay cannot be repeated."""
        folder, http = self.folder / name, free_port()
        folder.mkdir(parents=True)
        command = [
            *map(self._on_loopback, self.services[name]["command"]),
            f"--http-address=127.0.0.1:{http}",
        ]
        if name != COMPACT:
            command.append(f"--grpc-address=127.0.0.1:{self.grpc[name]}")
        if name in RECEIVERS:
            command.append(f"--remote-write.address=127.0.0.1:{self.write[name]}")
            # Always listens, in use or not.
            command.append(f"--receive.capnproto-address=127.0.0.1:{free_port()}")
        hashring = folder / "hashring.json"
        hashring.write_text(
            self._on_loopback((ROOT / HASHRING).read_text(encoding="utf-8")), encoding="utf-8"
        )
        paths = {
            "/etc/thanos/hashring.json": str(hashring),
            "/etc/thanos/storage.yaml": str(ROOT / "deploy/scale/thanos-storage.yaml"),
            "/var/thanos": str(folder / "data"),
        }
        for old, new in paths.items():
            command = [argument.replace(old, new) for argument in command]
        if not self.storage:
            command = [argument for argument in command if not argument.startswith("--objstore.")]
        command = [str(self.program), *command, *flags]
        return Server(name, command, folder, f"http://127.0.0.1:{http}", "/-/ready", self.storage)

    def _on_loopback(self, text: str) -> str:
        """Replace the addresses of the overlay."""
        for name in (*RECEIVERS, STORE):
            text = text.replace(f"{name}:{GRPC_PORT}", f"127.0.0.1:{self.grpc[name]}")
        return text
