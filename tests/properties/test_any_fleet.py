"""Property: for any valid list the exposition contains exactly the gateway's values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import example, given
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from exporter.model import converters
from exporter.model.fields import FIELDS
from tests.properties.inside import FEW, inside
from tests.properties.strategies import COUNTS, Values, fleets, stats
from tests.rig import OPENMETRICS, TEXT
from tests.samples import row

Series = tuple[str, tuple[tuple[str, str], ...]]
Parser = Callable[[str], Iterable[Metric]]

HEALTH = ("unknown", "healthy", "degraded", "down")
"""The gateway's words, at the positions that are their numbers."""


def unix(text: str) -> float:
    """Return Unix seconds of a date-time by another parser than the exporter's."""
    date = datetime.fromisoformat(text)
    # Without an offset it is UTC.
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


NUMBERS: Mapping[Callable[[object], object], Callable[[Any], float]] = {
    converters.health: HEALTH.index,
    converters.boolean: int,
    converters.non_negative: float,
    converters.timestamp: unix,
}
"""Value of a sample by converter, implemented independently of it."""


def series(name: str, /, **labels: str) -> Series:
    """Return name and labels of a series."""
    return f"gatewayz_{name}", tuple(sorted(labels.items()))


def expected(rows: Sequence[Values]) -> Iterator[tuple[Series, float]]:
    """Yield all series of the providers."""
    yield series("providers_listed"), len(rows)
    for values in rows:
        slug, known = values["slug"], {path: value for path, value in values.items() if value is not None}
        known.setdefault("health_status", "unknown")
        names = {"id": str(known.get("id", "")), "name": known.get("name", "")}
        yield series("provider_info", provider=slug, **names), 1
        for state in HEALTH:
            yield series("provider_health_state", provider=slug, state=state), state == known["health_status"]
        for field in FIELDS:
            if field.gauge and field.path in known:
                name, value = field.gauge.name.removeprefix("gatewayz_"), known[field.path]
                yield series(name, provider=slug), NUMBERS[field.convert](value)


def parsed(parser: Parser, body: bytes) -> dict[Series, float]:
    """Return the series of providers in an exposition, which must be unique."""
    samples = [sample for family in parser(body.decode()) for sample in family.samples]
    values = {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}
    assert len(samples) == len(values)
    prefixes = ("gatewayz_provider_", "gatewayz_providers_")
    return {key: value for key, value in values.items() if key[0].startswith(prefixes)}


@FEW
@given(rows=fleets, counts=stats)
@example([], dict.fromkeys(COUNTS, 0))
def test_round_trip(rows: list[Values], counts: dict[str, Any]) -> None:
    """Both parsers read the values and labels of the gateway's list and counts, and no other series."""
    with inside() as polling:
        polling.poll([row(values) for values in rows], counts)

        exposition = polling.rig.poller.published.current
        date = polling.rig.clock.date()

    own = {series("provider_metrics_last_update"): date, series("provider_scrape_errors_total"): 0}
    seven = {series(f"providers_{count}"): counts[count] for count in COUNTS}
    all_series = {**dict(expected(rows)), **seven, **own}
    assert all_series == parsed(parse_text, exposition.encode(TEXT))
    assert all_series == parsed(parse_openmetrics, exposition.encode(OPENMETRICS))
