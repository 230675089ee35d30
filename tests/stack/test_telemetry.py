"""Exporter, collector, Loki and Tempo's place: a poll's record and its trace arrive, tied by the trace id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.otlp import attributes
from tests.process import program
from tests.replay import GOOD, LIST, answer, recorded_body, recording
from tests.stack.chain import Chain, exporter_environment
from tests.waiting import wait_until

needs_loki = pytest.mark.needs("loki")

SERVICE = '{service="provider-metrics-exporter"}'
QUERY = f"{SERVICE} | json | providers_total > 0"
"""The contract's query."""
SPANS = {"poll", "convert", "publish", "GET", "fetch /providers", "fetch /providers/stats"}


def poll_record(stack: Chain) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Return labels and content of a poll's record as Loki has it."""
    labels, line = wait_until(lambda: stack.log_lines(QUERY))[0]
    return labels, json.loads(line)


@needs_loki
def test_record_of_a_poll_is_found(stack: Chain) -> None:
    """The contract's query finds the record, parsed without an error, with numbers and its trace id."""
    labels, record = poll_record(stack)

    assert ("__error__" in labels, labels["trace_id"]) == (False, record["trace_id"])
    assert "Updated provider metrics" == record["message"]
    counts = [record[f"providers_{name}"] for name in ("total", "active", "healthy", "listed")]
    assert [40, 34, 21, 40] == counts
    assert [] == stack.log_lines(f'{SERVICE} | json | __error__ != ""')


@needs_loki
def test_one_stream_after_a_restart(stack: Chain) -> None:
    """A second start of the exporter adds no stream: there is one for the service."""
    poll_record(stack)
    marker = "restarted-for-the-stream-test"
    more = {"OTEL_RESOURCE_ATTRIBUTES": f"host.name={marker}"}
    environment = exporter_environment(stack.gateway.url, stack.ports, **more)
    with program(**environment) as second:
        second.record("Updated provider metrics")
        second.end()
    wait_until(lambda: stack.log_lines(f'{SERVICE} | host_name="{marker}"'))

    answered = stack.loki.get("/loki/api/v1/series", **{"match[]": SERVICE})

    assert 1 == len(answered["data"])
    assert {"service", "service_name"} >= set(answered["data"][0])


@needs_loki
def test_health_change_is_found_by_provider(stack: Chain) -> None:
    """The records of one provider are found by its slug."""
    rows = json.loads(recorded_body(GOOD[LIST]))
    for row in rows:
        if row["slug"] == "alibaba":
            row["health_status"] = "down"
    try:
        stack.gateway.answers[LIST] = answer(200, json.dumps(rows).encode())
        query = f'{SERVICE} | json | provider="alibaba" | to="down"'
        _, line = wait_until(lambda: stack.log_lines(query))[0]
    finally:
        stack.gateway.answers[LIST] = recording(GOOD[LIST])

    assert ("Provider health changed", "healthy", "down", "warning") == tuple(
        json.loads(line)[name] for name in ("message", "from", "to", "level")
    )


def test_trace_of_a_poll_arrives(stack: Chain) -> None:
    """All spans of a poll arrive in one trace, and belong to the service by its name."""

    def whole() -> bool:
        polls = [span for span in stack.tempo.spans if span.name == "poll"]
        traces = [stack.tempo.trace(poll.trace_id.hex()) for poll in polls]
        return any(SPANS == {span.name for span in trace} for trace in traces)

    assert wait_until(whole)
    names = {attributes(resource)["service.name"] for resource in stack.tempo.resources}
    assert {"provider-metrics-exporter"} == names
