"""An exporter as in OpenTelemetry's documentation: the reader collects at each scrape."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from functools import partial

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider, ObservableGauge
from prometheus_client import start_http_server

from bench.feed import COUNTS, PER_PROVIDER, Family, Feed, singles

SINGLES = (
    *(f"gatewayz_providers_{count}" for count in COUNTS),
    "gatewayz_provider_metrics_last_update",
    "gatewayz_up",
    "gatewayz_providers_listed",
)


def main() -> None:
    """Publish and poll until the process ends."""
    feed = Feed()
    # The default limit is 2000 series per metric.
    reader = PrometheusMetricReader(
        scope_info_enabled=False, cardinality_limits={ObservableGauge: sys.maxsize}
    )
    meter = MeterProvider([reader]).get_meter("plain")
    for family in PER_PROVIDER:
        meter.create_observable_gauge(family.name, [partial(_observe, feed, family)], description=family.help)
    for name in SINGLES:
        meter.create_observable_gauge(name, [partial(_observe_one, feed, name)], description=name)
    meter.create_observable_counter(
        "gatewayz_provider_scrape_errors", [lambda options: [Observation(feed.errors)]]
    )
    start_http_server(int(os.environ["METRICS_PORT"]), os.environ["METRICS_HOST"])
    feed.run()


def _observe(feed: Feed, family: Family, options: CallbackOptions) -> Iterator[Observation]:
    for record in feed.latest.records:
        for labels, value in family.points(record):
            yield Observation(value, dict(zip(family.labels, labels, strict=True)))


def _observe_one(feed: Feed, name: str, options: CallbackOptions) -> Iterable[Observation]:
    value = singles(feed, feed.latest).get(name)
    return [] if value is None else [Observation(value)]


if __name__ == "__main__":
    main()
