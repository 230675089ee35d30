"""Each variable of the libraries alone, and a silent collector with a long timeout."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.libraries import plausible, variables
from tests.otlp import OtlpReceiver
from tests.process import program
from tests.replay import ReplayGateway
from tests.sweep import start

PROGRAMS = 2
"""Concurrent processes."""
OTLP = "OTEL_EXPORTER_OTLP_ENDPOINT"


def base(gateway: ReplayGateway, receiver: OtlpReceiver) -> dict[str, str]:
    """Return an environment with the replaying gateway and all OTLP signals."""
    return {
        "GATEWAY_API_URL": gateway.url,
        "ADMIN_KEY": "test-admin-key",
        "METRICS_HOST": "127.0.0.1",
        "METRICS_PORT": "0",
        "OTEL_METRICS_EXPORTER": "otlp",
        OTLP: receiver.url,
    }


def test_every_variable_by_itself(gateway: ReplayGateway) -> None:
    """With any variable of any library set, the program runs, or names it and exits with 2."""
    with OtlpReceiver() as receiver:

        def is_bad(case: tuple[str, str]) -> bool:
            name, text = case
            protocol = "grpc" if "GRPC" in name else "http/protobuf"
            result = start({**base(gateway, receiver), "OTEL_EXPORTER_OTLP_PROTOCOL": protocol, name: text})
            return not result.is_good or (result.code == 2 and f" {name}" not in result.output)

        cases = [(name, text) for name in variables() for text in ("foo", plausible(name))]
        with ThreadPoolExecutor(PROGRAMS) as pool:
            bad = list(pool.map(is_bad, cases))

    assert [] == [case for case, is_one in zip(cases, bad, strict=True) if is_one]


def test_hanging_collector_with_a_long_timeout(gateway: ReplayGateway) -> None:
    """A silent collector is logged within a minute, whatever the timeout."""
    more = {"OTEL_EXPORTER_OTLP_TIMEOUT": "10000"}
    with (
        OtlpReceiver(silent=True) as receiver,
        program(**base(gateway, receiver), **more) as running,
    ):
        record = running.record("Telemetry not delivered", 60)

    assert "4317 for grpc" in record["hint"]
