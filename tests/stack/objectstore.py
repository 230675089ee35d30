"""The part of S3 that Loki uses, in memory and without authentication."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote
from xml.sax.saxutils import escape

from tests.http_server import Asked, Connection, StubServer, answer

NOT_FOUND = b"<Error><Code>NoSuchKey</Code></Error>"


@dataclass
class ObjectStore(StubServer):
    """Stores objects by the path of their URL: the bucket, and the key in it."""

    objects: dict[str, bytes] = field(default_factory=dict)

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Answer one request."""
        connection.send(answer(*self._respond(asked), connection="close"))
        return False

    def _respond(self, asked: Asked) -> tuple[int, bytes]:
        name = unquote(asked.path)
        if asked.method == "PUT":
            self.objects[name] = asked.body
            return 200, b""
        if asked.method == "DELETE":
            self.objects.pop(name, None)
            return 204, b""
        if prefix := asked.query.get("prefix"):
            return 200, self._listing(f"{name}/", prefix[0])
        return (200, self.objects[name]) if name in self.objects else (404, NOT_FOUND)

    def _listing(self, bucket: str, prefix: str) -> bytes:
        keys = [name.removeprefix(bucket) for name in self.objects if name.startswith(bucket + prefix)]
        rows = [
            f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for key in sorted(keys)
        ]
        return f"<ListBucketResult>{''.join(rows)}</ListBucketResult>".encode()
