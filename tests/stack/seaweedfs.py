"""SeaweedFS with the command of the compose overlay, on free loopback ports and scratch data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.http_server import free_port
from tests.stack.compose import Tree
from tests.stack.scale import STORAGE
from tests.stack.servers import Server, run

SECRET = f"{STORAGE['S3_SECRET_KEY']}: #"
"""What YAML reads as something else where no quotes are around it."""
PORTS = ("s3", "master", "filer", "volume")
NAME, BUCKETS = "seaweedfs", "seaweedfs-buckets"


@contextmanager
def seaweedfs(program: Path, folder: Path, services: Tree) -> Iterator[Server]:
    """Run SeaweedFS with the overlay's buckets and key, whose secret is `SECRET`."""
    folder.mkdir(parents=True)
    ports, grpc = ({name: free_port() for name in PORTS} for _ in range(2))
    listening = [f"-{name}.port={port}" for name, port in ports.items()]
    listening += [f"-{name}.port.grpc={port}" for name, port in grpc.items()]
    changes = {"/data": str(folder / "data"), "0.0.0.0": "127.0.0.1"}
    command = services[NAME]["command"]
    for old, new in changes.items():
        command = [argument.replace(old, new) for argument in command]
    (folder / "data").mkdir()
    server = Server(
        NAME,
        [str(program), *command, *listening],
        folder,
        f"http://127.0.0.1:{ports['s3']}",
        "/healthz",
        {**services[NAME]["environment"], "AWS_SECRET_ACCESS_KEY": SECRET, "HOME": str(folder)},
    )
    with server:
        master = f"127.0.0.1:{ports['master']}.{grpc['master']}"
        creating = services[BUCKETS]
        # `compose config` prints $ as it must be written in a file.
        script = [
            part.replace("127.0.0.1:9333", master).replace("$$", "$") for part in creating["entrypoint"]
        ]
        path = f"{program.parent}:{os.environ['PATH']}"
        for _ in ("create", "exist"):
            code, output = run(*script, *creating["command"], env={"PATH": path, "HOME": str(folder)})
            assert 0 == code, output
        yield server
        # Its data are not needed any more, and it takes its time to end.
        server.kill()


def storage(variables: Mapping[str, str], store: Server) -> Mapping[str, str]:
    """Return the variables of a client of the object storage, for one that runs here."""
    address = store.url.removeprefix("http://")
    return {**variables, "S3_ENDPOINT": address, "S3_SECRET_KEY": SECRET, "S3_INSECURE": "true"}
