"""As much of S3 as Loki asks for in a test, in memory; who asks may be anybody."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

NOT_FOUND = "<Error><Code>NoSuchKey</Code></Error>"


class ObjectStore(ThreadingHTTPServer):
    """Keeps objects by the path of their URL: the bucket, and the key in it."""

    def __init__(self) -> None:
        """Take a free port of the loopback."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.address = f"127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        """Answer."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ObjectStore

    def do_PUT(self) -> None:
        self.server.objects[self._name()] = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"")

    def do_GET(self) -> None:
        if prefix := parse_qs(urlsplit(self.path).query).get("prefix"):
            self._answer(200, self._listing(prefix[0]).encode())
        elif self._name() in self.server.objects:
            self._answer(200, self.server.objects[self._name()])
        else:
            self._answer(404, NOT_FOUND.encode())

    def do_DELETE(self) -> None:
        self.server.objects.pop(self._name(), None)
        self._answer(204, b"")

    def _name(self) -> str:
        return unquote(urlsplit(self.path).path)

    def _listing(self, prefix: str) -> str:
        bucket = f"{self._name()}/"
        keys = [name.removeprefix(bucket) for name in self.server.objects if name.startswith(bucket + prefix)]
        rows = [
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for key in sorted(keys)
        ]
        return f"<ListBucketResult>{''.join(rows)}</ListBucketResult>"

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
