"""An exporter with prometheus_client only: a custom collector creates the families at each scrape."""

from __future__ import annotations

import os
from collections.abc import Iterator

from prometheus_client import REGISTRY, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from bench.feed import PER_PROVIDER, Feed, singles


class Providers(Collector):
    """Collects the latest answers of the feed."""

    def __init__(self, feed: Feed) -> None:
        """Collect from a feed."""
        self._feed = feed

    def collect(self) -> Iterator[Metric]:
        """Yield all families of one poll."""
        answers = self._feed.latest
        for family in PER_PROVIDER:
            metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for record in answers.records:
                for labels, value in family.points(record):
                    metric.add_metric(labels, value)
            yield metric
        for name, value in singles(self._feed, answers).items():
            yield GaugeMetricFamily(name, name, value)
        yield CounterMetricFamily(
            "gatewayz_provider_scrape_errors", "Fetches that failed.", self._feed.errors
        )


def main() -> None:
    """Publish and poll until the process ends."""
    feed = Feed()
    REGISTRY.register(Providers(feed))
    start_http_server(int(os.environ["METRICS_PORT"]), os.environ["METRICS_HOST"])
    feed.run()


if __name__ == "__main__":
    main()
