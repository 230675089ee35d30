"""Whatever providers there are, Prometheus reads of them what the gateway said, no less and no more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.properties.inside import FEW, inside
from tests.properties.strategies import COUNTS, FLAGS, Row, fleets, stats
from tests.rig import OPENMETRICS, TEXT

Series = tuple[str, tuple[tuple[str, str], ...]]
Parser = Callable[[str], Iterable[Metric]]

HEALTH = ("unknown", "healthy", "degraded", "down")
"""Words of the contract, at the places that are their numbers."""


def series(name: str, /, **labels: str) -> Series:
    """Return what tells a series from all others."""
    return f"gatewayz_{name}", tuple(sorted(labels.items()))


def expected(rows: Sequence[Row]) -> Iterator[tuple[Series, float]]:
    """Yield every series that rows of the gateway have to become, by the README alone."""
    yield series("providers_listed"), len(rows)
    for row in rows:
        slug, known = row["slug"], {name: value for name, value in row.items() if value is not None}
        health = known.get("health_status", "unknown")
        names = {"id": str(known.get("id", "")), "name": known.get("name", "")}
        yield series("provider_info", provider=slug, **names), 1
        yield series("provider_health_status", provider=slug), HEALTH.index(health)
        for state in HEALTH:
            yield series("provider_health_state", provider=slug, state=state), state == health
        for flag in FLAGS:
            if flag in known:
                yield series(f"provider_{flag}", provider=slug), known[flag]
        if "average_response_time_ms" in known:
            yield series("provider_response_time_ms", provider=slug), known["average_response_time_ms"]
        if "last_health_check_at" in known:
            date = datetime.fromisoformat(known["last_health_check_at"])
            # The gateway means UTC where it does not say so.
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
            yield series("provider_last_health_check_timestamp_seconds", provider=slug), seconds


def parsed(parser: Parser, body: bytes) -> dict[Series, float]:
    """Return what an exposition says of providers; a series that comes twice fails."""
    samples = [sample for family in parser(body.decode()) for sample in family.samples]
    found = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in samples]
    assert len(found) == len(set(found))
    values = {key: sample.value for key, sample in zip(found, samples, strict=True)}
    return {
        key: value
        for key, value in values.items()
        if key[0].startswith(("gatewayz_provider_", "gatewayz_providers_"))
    }


@FEW
@given(rows=fleets, counts=stats)
def test_round_trip(rows: list[Row], counts: dict[str, Any]) -> None:
    """What either parser reads is the gateway's list and counts, value by value and label by label."""
    with inside() as polling:
        polling.poll(rows, counts)

        exposition = polling.rig.poller.published.current
        date = polling.rig.clock.date()

    own = {series("provider_metrics_last_update"): date, series("provider_scrape_errors_total"): 0}
    seven = {series(f"providers_{count}"): counts[count] for count in COUNTS}
    said = {**dict(expected(rows)), **seven, **own}
    assert said == parsed(parse_text, exposition.encode(TEXT))
    assert said == parsed(parse_openmetrics, exposition.encode(OPENMETRICS))
