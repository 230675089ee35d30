"""Property: collecting what has changed gives the exposition of a full collection."""

from __future__ import annotations

import gzip
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
TEXT, TEXT_GZIP = (Variant(Format.TEXT, gzip=compressed) for compressed in (False, True))

flags = st.none() | st.booleans()
numbers = st.none() | st.sampled_from([0.0, -0.0, 1.0, 1.5])
names = st.sampled_from(["", "x", "y"])
counts = st.integers(0, 2)
provider = st.builds(
    Provider,
    slug=st.sampled_from("abc"),
    health=st.sampled_from(HealthStatus),
    published=st.tuples(*(numbers for _ in PUBLISHED_ONLY)),
    **dict.fromkeys(("name", "id"), names),
    **dict.fromkeys(("response_time_ms", "last_health_check"), numbers),
    **{field: flags for field in Provider.__struct_fields__ if field.startswith(("is_", "supports_"))},
)
snapshots = st.builds(
    Snapshot,
    providers=st.none() | st.lists(provider, max_size=3, unique_by=lambda one: one.slug).map(tuple),
    stats=st.none() | st.builds(ProviderStats, *[counts] * 7),
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
    """After a change of anything, and back, the exposition equals that of a collection without a past."""
    metrics = Metrics(RESOURCE)
    exposition = None

    for snapshot in (before, after, after, before):
        exposition, found = lines(metrics.collect(snapshot), exposition)
        metrics.release()
        _, expected = lines(Metrics(RESOURCE).collect(snapshot))
        assert expected == found
        assert exposition.encode(TEXT) == gzip.decompress(exposition.encode(TEXT_GZIP))
