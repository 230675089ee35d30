"""nginx as a foreground process with its own configuration and folder."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.processes import child, free_port

CONFIGURATION = """
daemon off;
master_process off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path temp;
    proxy_temp_path temp;
    fastcgi_temp_path temp;
    uwsgi_temp_path temp;
    scgi_temp_path temp;
    log_format polls '$msec $request_time $uri';
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    {http}
    server {{
        listen 127.0.0.1:{port};
        root {folder};
        {server}
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]


@contextmanager
def nginx(folder: Path, server: str, http: str = "") -> Iterator[Nginx]:
    """Serve the files of a folder until the block ends.

    Args:
        folder: Root of the files, also for files that nginx writes.
        server: Directives in the block `server`.
        http: Directives in the block `http`.
    """
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(folder=folder, port=port, server=server, http=http))
    command = ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
    with child(command, {}, folder / "nginx.log") as process:
        _wait_for(port, process, folder / "nginx.log")
        yield Nginx(f"http://127.0.0.1:{port}", process)


def version() -> str:
    """Return the version of nginx."""
    output = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return output.strip().rpartition("/")[2]


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError as error:
            if process.poll() is not None:
                raise RuntimeError(f"nginx has ended:\n{log.read_text()}") from error
        else:
            return
