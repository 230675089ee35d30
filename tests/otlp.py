"""A receiver for OTLP/HTTP that replaces the collector."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass
class OtlpReceiver:
    """Stores received data; with `silent` it never responds. Port 0 selects a free port."""

    silent: bool = False
    tls: ssl.SSLContext | None = None
    port: int = 0
    paths: list[str] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    records: list[LogRecord] = field(default_factory=list)
    metrics: list[ResourceMetrics] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Listen on the loopback."""
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), self._handler())
        self._server.daemon_threads = True
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release waiting handlers, and close."""
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The value for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._server.server_port}"

    def _status(self, body: bytes) -> int:
        """Return the status of the response; bodies are stored only with 200."""
        return 200

    def _take(self, path: str, body: bytes) -> None:
        self.paths.append(path)
        if self.silent:
            self._released.wait()
        elif path == "/v1/traces":
            for traced in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(traced.resource)
                self.spans += [span for scope in traced.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            self.metrics += ExportMetricsServiceRequest.FromString(body).resource_metrics
        else:
            for logged in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.resources.append(logged.resource)
                self.records += [record for scope in logged.scope_logs for record in scope.log_records]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                receiver.headers.append(dict(self.headers.items()))
                status = receiver._status(body)
                if status == 200:
                    receiver._take(self.path, body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """Do not log."""

        return Handler
