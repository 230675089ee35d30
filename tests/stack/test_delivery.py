"""What the collector delivers to Loki's place: a receiver of OTLP over HTTP sees it as it is on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.otlp import attributes
from tests.stack.chain import Chain, chain
from tests.stack.loki import LokiStandIn
from tests.stack.servers import Programs
from tests.waiting import wait_until

MESSAGE = "Updated provider metrics"


@pytest.fixture(scope="module")
def delivered(
    programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Chain, LokiStandIn]]:
    """A chain without Loki, and the receiver in its place once a poll's record has arrived."""
    built = {name: path for name, path in programs.items() if name != "loki"}
    with chain(built, tmp_path_factory.mktemp("delivery")) as running:
        assert isinstance(running.logs, LokiStandIn)
        receiver = running.logs
        wait_until(lambda: records_of_polls(receiver))
        yield running, receiver


def records_of_polls(receiver: LokiStandIn) -> list[LogRecord]:
    """Return the records of successful polls."""
    return [record for record in receiver.records if MESSAGE in record.body.string_value]


def test_path_and_label(delivered: tuple[Chain, LokiStandIn]) -> None:
    """All comes to Loki's path; each resource has its only label, and no instance id, new at each start."""
    resources = [attributes(resource) for resource in delivered[1].resources]
    names = {(resource["service"], resource["service.name"]) for resource in resources}

    assert {"/otlp/v1/logs"} == set(delivered[1].paths)
    assert {("provider-metrics-exporter", "provider-metrics-exporter")} == names
    assert not any("service.instance.id" in resource for resource in resources)


def test_body_is_the_json_line(delivered: tuple[Chain, LokiStandIn]) -> None:
    """The body is the line that the exporter wrote to standard output, to the byte."""
    running, receiver = delivered
    bodies = [record.body.string_value for record in records_of_polls(receiver)]

    assert set(bodies) <= {line.rstrip("\n") for line in running.exporter.output}
    assert (40, 40) == tuple(json.loads(bodies[0])[name] for name in ("providers_total", "providers_listed"))


def test_attributes_and_trace_id(delivered: tuple[Chain, LokiStandIn]) -> None:
    """No attribute has the name of a field, which Loki would rename; the trace id is that of the line."""
    for record in records_of_polls(delivered[1]):
        line = json.loads(record.body.string_value)
        assert set() == set(attributes(record)) & set(line)
        assert line["trace_id"] == record.trace_id.hex()
