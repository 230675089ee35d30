"""Exporter, collector, Loki and Tempo's place: a poll's record and its trace arrive, tied by the trace id."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import requests
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.process import program
from tests.replay import GOOD, LIST, answer, recorded_body, recording
from tests.stack.chain import Chain, exporter_environment
from tests.stack.servers import wait_until

needs_loki = pytest.mark.needs("loki")

QUERY = '{service="provider-metrics-exporter"} | json | providers_total > 0'
"""The contract's query."""
SPANS = {"poll", "convert", "publish", "GET", "fetch /providers", "fetch /providers/stats"}


def attributes(owner: Any) -> dict[str, Any]:
    """Return the attributes of a span or resource as plain values."""
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in owner.attributes}


def poll_record(stack: Chain) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """Return labels and content of a poll's record as Loki has it."""
    labels, line = wait_until(lambda: stack.log_lines(QUERY))[0]
    return labels, json.loads(line)


def poll_trace(stack: Chain) -> dict[str, Span]:
    """Return the spans of a whole poll by name; of several with one name, the last."""

    def whole() -> dict[str, Span] | None:
        for poll in [span for span in stack.tempo.spans if span.name == "poll"]:
            spans = {span.name: span for span in stack.tempo.trace(poll.trace_id.hex())}
            if set(spans) >= SPANS:
                return spans
        return None

    spans: dict[str, Span] = wait_until(whole)
    return spans


@needs_loki
def test_record_of_a_poll_is_found(stack: Chain) -> None:
    """The contract's query finds the record, parsed without an error, its numbers as numbers."""
    labels, record = poll_record(stack)

    assert "__error__" not in labels
    assert ("provider-metrics-exporter", "Updated provider metrics", 40, 34, 21, 40) == tuple(
        record[name]
        for name in (
            "service",
            "message",
            "providers_total",
            "providers_active",
            "providers_healthy",
            "providers_listed",
        )
    )
    assert [] == stack.log_lines('{service="provider-metrics-exporter"} | json | __error__ != ""')


@needs_loki
def test_numbers_can_be_counted_with(stack: Chain) -> None:
    """A metric query over a field of the record works, as a panel needs it."""
    poll_record(stack)
    query = f"max_over_time({QUERY.replace(' | providers_total > 0', '')} | unwrap providers_total [5m])"

    answered = stack.loki.get("/loki/api/v1/query", query=f"max({query})")

    assert "40" == answered["data"]["result"][0]["value"][1]


@needs_loki
def test_record_and_trace_share_their_id(stack: Chain) -> None:
    """The trace id of a record, in the line and as Loki's own, is that of a trace that Tempo got."""
    labels, record = poll_record(stack)

    wait_until(lambda: any(span.name == "poll" for span in stack.tempo.trace(record["trace_id"])))

    assert labels["trace_id"] == record["trace_id"]


@needs_loki
def test_fields_are_not_there_twice(stack: Chain) -> None:
    """Fields are in the line alone: as attributes they would come twice, and renamed."""
    labels, _ = poll_record(stack)

    twice = {name for name in labels if name.endswith("_extracted")}

    assert {"service_extracted", "trace_id_extracted", "span_id_extracted"} >= twice


@needs_loki
def test_one_stream_after_a_restart(stack: Chain) -> None:
    """A second start of the exporter adds no stream: there is one for the service."""
    poll_record(stack)
    marker = "restarted-for-the-stream-test"
    environment = exporter_environment(
        stack.gateway.url, stack.ports, OTEL_RESOURCE_ATTRIBUTES=f"host.name={marker}"
    )
    with program(**environment) as second:
        second.record("Updated provider metrics")
        second.end()
    wait_until(lambda: stack.log_lines(f'{{service="provider-metrics-exporter"}} | host_name="{marker}"'))

    answered = stack.loki.get("/loki/api/v1/series", **{"match[]": '{service="provider-metrics-exporter"}'})

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
        query = '{service="provider-metrics-exporter"} | json | provider="alibaba" | to="down"'
        _, line = wait_until(lambda: stack.log_lines(query))[0]
    finally:
        stack.gateway.answers[LIST] = recording(GOOD[LIST])

    assert ("Provider health changed", "healthy", "down", "warning") == tuple(
        json.loads(line)[name] for name in ("message", "from", "to", "level")
    )


def test_trace_of_a_poll_arrives(stack: Chain) -> None:
    """The spans of a poll arrive in one trace, each below its parent, with the documented attributes."""
    spans = poll_trace(stack)
    poll, fetch = spans["poll"], spans["fetch /providers"]

    assert b"" == poll.parent_span_id
    assert {poll.span_id} == {
        spans[name].parent_span_id
        for name in ("fetch /providers", "fetch /providers/stats", "convert", "publish")
    }
    assert spans["GET"].parent_span_id in {fetch.span_id, spans["fetch /providers/stats"].span_id}
    assert Span.SPAN_KIND_CLIENT == spans["GET"].kind
    seen = attributes(fetch)
    assert ("GET", f"{stack.gateway.url}/providers", 200, 40) == tuple(
        seen[name] for name in ("http.method", "http.url", "http.status_code", "provider_count")
    )
    assert seen["duration_ms"] > 0


def test_service_name_is_on_the_resource(stack: Chain) -> None:
    """All spans belong to the service by its name."""
    poll_trace(stack)

    assert {"provider-metrics-exporter"} == {
        attributes(resource)["service.name"] for resource in stack.tempo.resources
    }


def test_span_of_a_scrape_arrives(stack: Chain) -> None:
    """A scrape is a trace of its own, linked to the poll whose data it served."""
    stack.exporter.record("Updated provider metrics")
    assert requests.get(f"http://{stack.exporter_address}/metrics", timeout=5).ok
    scrape = wait_until(lambda: [span for span in stack.tempo.spans if span.name == "GET /metrics"])[-1]

    (link,) = scrape.links
    (poll,) = wait_until(
        lambda: [span for span in stack.tempo.trace(link.trace_id.hex()) if span.name == "poll"]
    )
    assert link.span_id == poll.span_id
    assert scrape.trace_id != poll.trace_id
    assert Span.SPAN_KIND_SERVER == scrape.kind
