"""Polls without a gateway: the client returns the bytes of a property.

`tests/gateway/test_client.py` tests answers over sockets. Here sockets would only add time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import MagicMock, patch

from hypothesis import settings

from exporter.config.settings import load_settings
from exporter.errors import GatewayError, Outcome
from exporter.gateway.client import GatewayClient, Reply
from exporter.model.custom import CustomMetrics
from exporter.model.endpoints import Endpoint
from tests.clocks import MovedClock
from tests.rig import Rig, rig

STATS = dict.fromkeys(("total", "active", "inactive", "healthy", "degraded", "down", "unknown"), 1)
FEW = settings(max_examples=settings().max_examples // 3)
"""For properties of whole polls, which take longer."""
SETTINGS = load_settings({"GATEWAY_API_URL": "https://gateway.example", "ADMIN_KEY": "test-admin-key"})


@dataclass
class Inside:
    """A rig whose client returns `bodies`."""

    rig: Rig
    bodies: dict[Endpoint, bytes]

    def poll(self, providers: object, stats: object = STATS) -> None:
        """Poll once with these answers; anything but bytes is encoded as JSON."""
        for endpoint, answer in zip(Endpoint, (providers, stats), strict=True):
            self.bodies[endpoint] = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.rig.poller.poll_once()

    def outcomes(self) -> Mapping[Endpoint, dict[Outcome, float]]:
        """Return the number of fetches by endpoint and outcome, without those that are 0."""
        series = self.rig.series("gatewayz_exporter_fetches_total")
        return {
            endpoint: {
                Outcome(dict(labels)["outcome"]): count
                for labels, count in series.items()
                if count and endpoint == dict(labels)["endpoint"]
            }
            for endpoint in Endpoint
        }


@contextmanager
def inside(custom: Callable[[], CustomMetrics] = tuple) -> Iterator[Inside]:
    """Create a rig that needs no gateway, and close it."""
    bodies: dict[Endpoint, bytes] = {}

    def client(endpoint: Endpoint, *more: object) -> MagicMock:
        return MagicMock(
            spec=GatewayClient,
            get=lambda deadline: Reply(bodies[endpoint], 200, 1, None),
            abort=lambda: GatewayError(Outcome.TIMEOUT, "cut"),
        )

    with (
        patch("exporter.poll.poller.GatewayClient", client),
        rig(SETTINGS, MovedClock(), export=False, custom=custom) as running,
    ):
        yield Inside(running, bodies)
