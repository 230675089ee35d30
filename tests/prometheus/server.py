"""A server with the two routes of Prometheus' HTTP API that are read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.http_server import Asked, Connection, StubServer, answer

SLOT = 900.0
START = 1_800_000_000.0
NUMBER = round(START / SLOT)
"""Of the slot that begins at START."""


def matrix(values: Mapping[str, Mapping[int, object]]) -> list[dict[str, Any]]:
    """Return the series of a range query: by provider, values by number of the slot after START."""
    return [
        {
            "metric": {"job": "provider_metrics", "provider": provider},
            "values": [[START + (slot + 1) * SLOT, str(value)] for slot, value in slots.items()],
        }
        for provider, slots in values.items()
    ]


def vector(values: Mapping[str, object]) -> list[dict[str, Any]]:
    """Return the series of an instant query."""
    return [{"metric": {"provider": name}, "value": [START, str(value)]} for name, value in values.items()]


@dataclass
class PrometheusServer(StubServer):
    """Answers queries by a part of their text; all others have no series."""

    series: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    raw: bytes | None = None
    """Sent in place of every answer."""

    def reply(self, asked: Asked, connection: Connection) -> bool:
        """Send the series whose key is in the query."""
        query = asked.query["query"][0]
        result = next((found for part, found in self.series.items() if part in query), [])
        document = {"status": "success", "data": {"resultType": "any", "result": result}}
        connection.send(self.raw or answer(200, json.dumps(document).encode()))
        return self.raw is None
