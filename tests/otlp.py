"""A receiver for OTLP/HTTP that replaces the collector."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.http_server import Asked, Connection, StubServer, answer


@dataclass
class OtlpReceiver(StubServer):
    """Stores received data; with `silent` it never responds."""

    silent: bool = False
    spans: list[Span] = field(default_factory=list)
    records: list[LogRecord] = field(default_factory=list)
    metrics: list[ResourceMetrics] = field(default_factory=list)
    resources: list[Resource] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        """The paths of the requests, in order."""
        return self.targets

    @property
    def headers(self) -> list[Mapping[str, str]]:
        """The headers of the requests, in order."""
        return [asked.headers for asked in self.asked]

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Store what the request contains, and respond."""
        if self.silent:
            connection.wait()
            return False
        compressed = asked.headers.get("Content-Encoding") == "gzip"
        body = gzip.decompress(asked.body) if compressed else asked.body
        status = self._status(body)
        if status == 200:
            self._take(asked.path, body)
        connection.send(answer(status, connection="close"))
        return False

    def _status(self, body: bytes) -> int:
        """Return the status of the response; bodies are stored only with 200."""
        return 200

    def _take(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            for traced in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(traced.resource)
                self.spans += [span for scope in traced.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            self.metrics += ExportMetricsServiceRequest.FromString(body).resource_metrics
        else:
            for logged in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.resources.append(logged.resource)
                self.records += [record for scope in logged.scope_logs for record in scope.log_records]


def attributes(owner: Resource | LogRecord | Span) -> dict[str, Any]:
    """Return the attributes as plain values."""
    return {item.key: getattr(item.value, item.value.WhichOneof("value") or "") for item in owner.attributes}
