"""Object storage that speaks as much S3 as Loki needs, in memory; a real one would be a server to build."""

from __future__ import annotations

import hashlib
import threading
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class ObjectStore:
    """Keeps objects by `bucket/key`; who asks may be anybody."""

    def __init__(self) -> None:
        """Listen on a free port of the loopback."""
        self.objects: dict[str, bytes] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Start."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        objects = self.objects

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if "aws-chunked" in self.headers.get("Content-Encoding", ""):
                    body = _joined(body)
                objects[self._name()] = body
                self._answer(200, b"", body)

            def do_HEAD(self) -> None:
                self.do_GET()

            def do_GET(self) -> None:
                name = self._name()
                if "/" not in name.strip("/"):
                    self._answer(200, self._listing(name.strip("/")))
                elif name in objects:
                    self._answer(200, objects[name], objects[name])
                else:
                    self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

            def do_DELETE(self) -> None:
                objects.pop(self._name(), None)
                self._answer(204, b"")

            def _name(self) -> str:
                return unquote(urlsplit(self.path).path).lstrip("/")

            def _listing(self, bucket: str) -> bytes:
                asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
                prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
                keys = sorted(
                    name[len(bucket) + 1 :] for name in objects if name.startswith(f"{bucket}/{prefix}")
                )
                folders = {
                    prefix + key[len(prefix) :].split(delimiter)[0] + delimiter
                    for key in keys
                    if delimiter and delimiter in key[len(prefix) :]
                }
                files = [key for key in keys if not any(key.startswith(folder) for folder in folders)]
                rows = [
                    f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[f'{bucket}/{key}'])}</Size>"
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                    for key in files
                ]
                rows += [
                    f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>"
                    for folder in sorted(folders)
                ]
                text = "".join(rows)
                return (
                    '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
                    f"<Name>{bucket}</Name><IsTruncated>false</IsTruncated>{text}</ListBucketResult>"
                ).encode()

            def _answer(self, status: int, body: bytes, content: bytes = b"") -> None:
                self.send_response(status)
                self.send_header("ETag", f'"{hashlib.md5(content).hexdigest()}"')
                self.send_header("Last-Modified", formatdate(usegmt=True))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler


def _joined(body: bytes) -> bytes:
    """Return what is in signed chunks: each has a line with its size before it."""
    joined = b""
    while body:
        line, _, body = body.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)
        if size == 0:
            break
        joined, body = joined + body[:size], body[size + 2 :]
    return joined
