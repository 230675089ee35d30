"""What stands in Tempo's place for tests that need none of Tempo's own answers: a receiver, and a search."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Self

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.http_server import Asked, Connection, StubServer
from tests.stack.loki import answer_of

NO_TRACES = b'{"traces": [], "metrics": {}}'


@dataclass
class EmptyTempo(StubServer):
    """Finds no trace: what Grafana asks has an answer."""

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Answer a search."""
        connection.send(answer_of(asked, NO_TRACES))
        return False


class TempoStandIn(TraceServiceServicer):
    """Keeps the spans that arrive, and the resources that they belong to."""

    def __init__(self) -> None:
        """Listen on a free port of the loopback."""
        self.spans: list[Span] = []
        self.resources: list[Resource] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    def __enter__(self) -> Self:
        """Start."""
        self._server.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Stop."""
        self._server.stop(1).wait()

    def Export(  # noqa: N802 - the name of the gRPC method
        self, request: ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> ExportTraceServiceResponse:
        """Take what arrives."""
        for traced in request.resource_spans:
            self.resources.append(traced.resource)
            self.spans += [span for scope in traced.scope_spans for span in scope.spans]
        return ExportTraceServiceResponse()

    def trace(self, trace_id: str) -> list[Span]:
        """Return the spans of one trace, given by its hexadecimal id."""
        return [span for span in self.spans if span.trace_id.hex() == trace_id]
