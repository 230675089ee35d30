"""Property: collecting what has changed gives the exposition of a full collection."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from prometheus_client import Metric

from exporter.metrics.exposition import Exposition, Format, Variant
from exporter.metrics.meters import Metrics
from exporter.model.endpoints import Endpoint
from exporter.model.fields import PUBLISHED_ONLY
from exporter.model.provider import HealthStatus, Provider, ProviderStats
from exporter.model.snapshot import Snapshot

RESOURCE = Resource.create()
TEXT = Variant(Format.TEXT, gzip=False)

flags = st.none() | st.booleans()
numbers = st.none() | st.sampled_from([0.0, -0.0, 1.0, 1.5])
names = st.sampled_from(["", "x", "y"])
counts = st.integers(0, 2)
provider = st.builds(
    Provider,
    slug=st.sampled_from("abc"),
    name=names,
    id=names,
    health=st.sampled_from(HealthStatus),
    is_active=flags,
    supports_streaming=flags,
    supports_function_calling=flags,
    supports_vision=flags,
    supports_image_generation=flags,
    response_time_ms=numbers,
    last_health_check=numbers,
    published=st.tuples(*(numbers for _ in PUBLISHED_ONLY)),
)
snapshots = st.builds(
    Snapshot,
    providers=st.none() | st.lists(provider, max_size=3, unique_by=lambda one: one.slug).map(tuple),
    stats=st.none() | st.builds(ProviderStats, counts, counts, counts, counts, counts, counts, counts),
    invalid_fields=st.dictionaries(st.sampled_from(["name", "record"]), counts),
    last_update=numbers,
    last_success=st.dictionaries(st.sampled_from(Endpoint), st.sampled_from([1.0, 2.0])),
)


def lines(families: Sequence[Metric], previous: Exposition | None = None) -> tuple[Exposition, list[bytes]]:
    """Return an exposition and its sorted lines: the SDK orders series by their first observation."""
    exposition = Exposition(families, Snapshot(), 0.0, previous)
    text = exposition.encode(TEXT).splitlines()
    return exposition, sorted(line for line in text if line.startswith(b"gatewayz_"))


@given(before=snapshots, after=snapshots)
def test_successive_snapshots(before: Snapshot, after: Snapshot) -> None:
    """After a change of anything the exposition equals that of a collection without a past."""
    metrics = Metrics(RESOURCE)
    previous, _ = lines(metrics.collect(before))

    _, found = lines(metrics.collect(after), previous)

    _, expected = lines(Metrics(RESOURCE).collect(after))
    assert expected == found
