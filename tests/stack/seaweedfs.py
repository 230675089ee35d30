"""SeaweedFS with the command of the compose overlay, on free loopback ports and scratch data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.http_server import free_port
from tests.stack.compose import Tree
from tests.stack.scale import STORAGE
from tests.stack.servers import Server

SECRET = f"{STORAGE['S3_SECRET_KEY']}: #"
"""What YAML reads as something else where no quotes are around it."""
PORTS = ("s3", "master", "filer", "volume")
NAME = "seaweedfs"


def seaweedfs(program: Path, folder: Path, services: Tree) -> Server:
    """Return SeaweedFS, with the secret `SECRET`."""
    folder.mkdir(parents=True)
    ports = {name: free_port() for name in PORTS}
    listening = [f"-{name}.port={port}" for name, port in ports.items()]
    listening += [f"-{name}.port.grpc={free_port()}" for name in PORTS]
    changes = {"/data": str(folder / "data"), "0.0.0.0": "127.0.0.1"}
    command = services[NAME]["command"]
    for old, new in changes.items():
        command = [argument.replace(old, new) for argument in command]
    (folder / "data").mkdir()
    return Server(
        NAME,
        [str(program), *command, *listening],
        folder,
        f"http://127.0.0.1:{ports['s3']}",
        "/healthz",
        {**services[NAME]["environment"], "AWS_SECRET_ACCESS_KEY": SECRET, "HOME": str(folder)},
    )


def storage(variables: Mapping[str, str], store: Server) -> Mapping[str, str]:
    """Return the variables of a client of the object storage, for one that runs here."""
    address = store.url.removeprefix("http://")
    return {**variables, "S3_ENDPOINT": address, "S3_SECRET_KEY": SECRET, "S3_INSECURE": "true"}
