"""Where the collector sends log records: the real Loki, or a receiver of OTLP over HTTP in its place."""

from __future__ import annotations

import json
import time
from pathlib import Path

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.http_server import Asked, Connection, answer
from tests.otlp import OtlpReceiver
from tests.stack import servers
from tests.stack.servers import Ports, Programs, Server

NO_STREAMS = json.dumps({"status": "success", "data": {"resultType": "streams", "result": []}}).encode()
OLDEST_SECONDS = 7 * 24 * 3600.0
"""Loki rejects records older than `reject_old_samples_max_age`, a week by default."""


class LokiStandIn(OtlpReceiver):
    """Records what arrives at Loki's port; like a `Server` it can be stopped and started again."""

    def _status(self, body: bytes) -> int:
        return 400 if _is_too_old(body) else super()._status(body)


class EmptyLoki(LokiStandIn):
    """Takes log records, and finds none: what Grafana asks has an answer."""

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Answer a query with no streams, and take everything else."""
        if asked.method != "GET":
            return super().reply(asked, connection)
        connection.send(answer_of(asked, NO_STREAMS))
        return False


def answer_of(asked: Asked, nothing: bytes) -> bytes:
    """Return the answer of a server that finds nothing and has no metrics of its own."""
    if asked.path == "/metrics":
        return answer(200, content_type="text/plain", connection="close")
    return answer(200, nothing, content_type="application/json", connection="close")


def loki_or_stand_in(programs: Programs, folder: Path, ports: Ports) -> Server | LokiStandIn:
    """Return Loki where the machine has it, otherwise a receiver in its place."""
    if "loki" in programs:
        return servers.loki(programs, folder, ports)
    return LokiStandIn(port=ports.loki)


def _is_too_old(body: bytes) -> bool:
    oldest = (time.time() - OLDEST_SECONDS) * 1e9
    return any(
        record.time_unix_nano < oldest
        for resource in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )
