"""Whatever bytes the gateway answers with, a fetch has one outcome and the metrics can be read."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.errors import GatewayError, Outcome
from exporter.gateway.decode import FIELD_NAMES, MAX_TEXT, decode, parse
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, ProviderList, ProviderStats
from tests.properties.inside import FEW, inside
from tests.properties.strategies import bodies, near_lists, written
from tests.rig import OPENMETRICS, TEXT

REFUSALS = (Outcome.NOT_JSON, Outcome.WRONG_SHAPE)


def decoded(endpoint: Endpoint, body: bytes) -> Answer | Outcome:
    """Return what a body is decoded to, or the outcome of that."""
    try:
        return decode(endpoint, parse(body))
    except GatewayError as error:
        return error.outcome


def is_usable(answer: object) -> bool:
    """Tell whether all that is in a list can be published and shown."""
    assert isinstance(answer, ProviderList)
    slugs = [provider.slug for provider in answer.providers]
    times = [
        provider.response_time_ms for provider in answer.providers if provider.response_time_ms is not None
    ]
    for provider in answer.providers:
        # Raises where there is no such date.
        datetime.fromtimestamp(provider.last_health_check or 0, UTC)
    return (
        len(slugs) == len(set(slugs)) <= answer.rows
        and all(1 <= len(slug) <= MAX_TEXT for slug in slugs)
        and all(0 <= time < math.inf for time in times)
        and set(answer.invalid_fields) <= set(FIELD_NAMES)
    )


@pytest.mark.parametrize("endpoint", Endpoint, ids=str)
@given(body=bodies)
def test_decode(endpoint: Endpoint, body: bytes) -> None:
    """Bytes become values that can be used, or a `GatewayError`; no other exception leaves."""
    answer = decoded(endpoint, body)

    assert isinstance(answer, ProviderStats) or answer in REFUSALS or is_usable(answer)


@given(rows=near_lists, strictly=st.booleans())
def test_nearly_good_list(rows: list[object], strictly: bool) -> None:
    """Of rows that are nearly right all that is kept can be used, whatever else is in them."""
    answer = decoded(Endpoint.PROVIDERS, written(rows, strictly=strictly))

    assert answer in REFUSALS or is_usable(answer)


@FEW
@given(providers=bodies, stats=bodies)
def test_poll(providers: bytes, stats: bytes) -> None:
    """A poll ends, each endpoint's fetch is counted under one outcome, and both parsers read the metrics."""
    with inside() as polling:
        polling.poll(providers, stats)

        outcomes = polling.outcomes()
        exposition = polling.rig.poller.published.current
        text = list(parse_text(exposition.encode(TEXT).decode()))
        openmetrics = list(parse_openmetrics(exposition.encode(OPENMETRICS).decode()))
        records = polling.rig.lines()

    assert [[1], [1]] == [list(counts.values()) for counts in outcomes.values()]
    assert {Outcome.OK, *REFUSALS} >= {o for counts in outcomes.values() for o in counts}
    assert len(text) == len(openmetrics)
    failed = [line["endpoint"] for line in records if line["message"] == "Fetch failed"]
    assert [endpoint for endpoint, counts in outcomes.items() if Outcome.OK not in counts] == failed
