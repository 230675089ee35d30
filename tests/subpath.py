"""A reverse proxy that publishes a server below a path, and strips that path, as many do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

PASSED_ON = ("content-type", "location")


@contextmanager
def stripping_proxy(upstream: str, path: str) -> Iterator[str]:
    """Publish `upstream` below `path`, and return its URL there, with a slash at its end."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith(f"{path}/"):
                self.send_error(404)
                return
            answer = requests.get(upstream + self.path.removeprefix(path), timeout=10, allow_redirects=False)
            self.send_response(answer.status_code)
            for name in PASSED_ON:
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}{path}/"
    server.shutdown()
    thread.join(10)
    server.server_close()
