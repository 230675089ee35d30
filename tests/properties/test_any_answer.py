"""Property: for any body a fetch has one outcome, and the exposition can be parsed."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.errors import GatewayError, Outcome
from exporter.gateway.decode import decode, parse
from exporter.model.converters import MAX_TEXT
from exporter.model.endpoints import Endpoint
from exporter.model.fields import FIELD_NAMES
from exporter.model.provider import Answer, ProviderList, ProviderStats
from tests.properties.inside import FEW, inside
from tests.properties.strategies import bodies, near_lists, written
from tests.rig import OPENMETRICS, TEXT

REFUSALS = (Outcome.NOT_JSON, Outcome.WRONG_SHAPE)
nearly_valid = st.builds(written, near_lists, strictly=st.booleans())


def is_valid(answer: object) -> bool:
    """Return whether all values of a list can be published and rendered."""
    assert isinstance(answer, ProviderList)
    slugs = [provider.slug for provider in answer.providers]
    numbers: list[float] = []
    for provider in answer.providers:
        # Raises for a date that cannot be rendered.
        datetime.fromtimestamp(provider.last_health_check or 0, UTC)
        numbers += (value for value in (provider.response_time_ms, *provider.published) if value is not None)
    return (
        len(slugs) == len(set(slugs)) <= answer.rows
        and all(1 <= len(slug) <= MAX_TEXT for slug in slugs)
        and all(map(math.isfinite, numbers))
        and all((provider.response_time_ms or 0) >= 0 for provider in answer.providers)
        and set(answer.invalid_fields) <= set(FIELD_NAMES)
    )


@pytest.mark.parametrize("endpoint", Endpoint, ids=str)
@given(body=bodies | nearly_valid)
def test_decode(endpoint: Endpoint, body: bytes) -> None:
    """Returns a valid answer or raises `GatewayError`, and no other exception."""
    answer: Answer | Outcome
    try:
        answer = decode(endpoint, parse(body))
    except GatewayError as error:
        answer = error.outcome

    assert isinstance(answer, ProviderStats) or answer in REFUSALS or is_valid(answer)


@FEW
@given(providers=bodies, stats=bodies)
def test_poll(providers: bytes, stats: bytes) -> None:
    """A poll ends, counts each fetch under one outcome, and both parsers read the exposition."""
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
