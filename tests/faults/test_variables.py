"""Each variable of the libraries, and a silent collector with a long timeout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.libraries import plausible, variables
from tests.otlp import OtlpReceiver
from tests.process import program
from tests.replay import ReplayGateway
from tests.sweep import start_with_all

PARTS = 6
"""Tests of a value, for concurrent workers."""
SIZE = 8
"""Variables of a start."""
MASKING = "OTEL_SDK_DISABLED"
"""With it, the SDK does not read the others."""


def base(gateway: ReplayGateway, receiver: OtlpReceiver, **more: str) -> dict[str, str]:
    """Return an environment with the replaying gateway and all OTLP signals."""
    own = {"GATEWAY_API_URL": gateway.url, "ADMIN_KEY": "test-admin-key", "METRICS_HOST": "127.0.0.1"}
    otlp = {"OTEL_METRICS_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url}
    return {**own, "METRICS_PORT": "0", **otlp, **more}


def batches(part: int) -> Iterator[list[str]]:
    """Yield names that are set together; neighbours in the alphabet, which may depend, are apart."""
    alone = [[MASKING]]
    grpc = [name for name in variables() if "GRPC" in name]
    others = [name for name in variables() if "GRPC" not in name and name != MASKING]
    for names in (grpc, others):
        count = -(-len(names) // SIZE)
        alone += [names[first::count] for first in range(count)]
    yield from alone[part::PARTS]


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["foo", "plausible"])
def test_every_variable(gateway: ReplayGateway, kind: str, part: int) -> None:
    """With variables of the libraries set, the program runs, or names those it rejects and exits with 2."""
    for names in batches(part):
        swept: Mapping[str, str] = {name: "foo" if kind == "foo" else plausible(name) for name in names}
        protocol = "grpc" if "GRPC" in names[0] else "http/protobuf"
        with OtlpReceiver() as receiver:
            environ = {**base(gateway, receiver), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol}
            result, _ = start_with_all(environ, swept)

        assert (0, True) == (result.code, result.is_good), (swept, result.output)


def test_hanging_collector_with_a_long_timeout(gateway: ReplayGateway) -> None:
    """A silent collector is logged within a minute, for any timeout."""
    with (
        OtlpReceiver(silent=True) as receiver,
        program(**base(gateway, receiver, OTEL_EXPORTER_OTLP_TIMEOUT="10000")) as running,
    ):
        record = running.record("Telemetry not delivered", 60)

    assert "4317 for grpc" in record["hint"]
