"""Polls without a gateway: the client hands out bytes that a property made up.

`tests/gateway/test_client.py` tests answers over sockets. Here an answer starts as bytes: sockets would add
nothing but the noise of a loaded machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch

from hypothesis import settings

from exporter.config.settings import load_settings
from exporter.errors import GatewayError, Outcome
from exporter.gateway.client import Reply
from exporter.model.custom import CustomMetrics
from exporter.model.endpoints import Endpoint
from tests.clocks import MovedClock
from tests.rig import Rig, rig

STATS = dict.fromkeys(("total", "active", "inactive", "healthy", "degraded", "down", "unknown"), 1)
FEW = settings(max_examples=settings().max_examples // 3)
"""For properties of whole polls, since each takes a while."""
SETTINGS = load_settings({"GATEWAY_API_URL": "https://gateway.example", "ADMIN_KEY": "test-admin-key"})


@dataclass
class Inside:
    """A rig whose gateway answers with what was put into `bodies`."""

    rig: Rig
    bodies: dict[Endpoint, bytes]

    def poll(self, providers: object, stats: object = STATS) -> None:
        """Poll once, answered with these; what is not bytes becomes JSON."""
        for endpoint, answer in zip(Endpoint, (providers, stats), strict=True):
            self.bodies[endpoint] = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.rig.poller.poll_once()

    def outcomes(self) -> Mapping[Endpoint, dict[Outcome, float]]:
        """Return how often each endpoint's fetches ended how, outcomes that never were left out."""
        series = self.rig.series("gatewayz_exporter_fetches_total")
        return {
            endpoint: {
                Outcome(dict(labels)["outcome"]): count
                for labels, count in series.items()
                if count and endpoint == dict(labels)["endpoint"]
            }
            for endpoint in Endpoint
        }


class _Client:
    """Takes the place of a `GatewayClient`."""

    def __init__(self, endpoint: Endpoint, bodies: Mapping[Endpoint, bytes]) -> None:
        self._endpoint = endpoint
        self._bodies = bodies

    def get(self, deadline: float) -> Reply:
        return Reply(self._bodies[self._endpoint], 200, 1, None)

    def abort(self) -> GatewayError:
        return GatewayError(Outcome.TIMEOUT, "cut")

    def reset_redirect(self) -> None:
        pass

    def close(self) -> None:
        pass


@contextmanager
def inside(custom: Callable[[], CustomMetrics] = tuple) -> Iterator[Inside]:
    """Put a rig together that needs no gateway, and take it apart again."""
    bodies: dict[Endpoint, bytes] = {}

    def client(endpoint: Endpoint, *more: object) -> _Client:
        return _Client(endpoint, bodies)

    with (
        patch("exporter.poll.poller.GatewayClient", client),
        rig(SETTINGS, MovedClock(), export=False, custom=custom) as running,
    ):
        yield Inside(running, bodies)
