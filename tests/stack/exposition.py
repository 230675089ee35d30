"""Series of an exposition and of Prometheus in the same form."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Series = dict[tuple[str, Labels], float]


def name_and_labels(metric: dict[str, str]) -> tuple[str, Labels]:
    """Return name and labels without those that a scrape or the intake adds, and buckets by their number."""
    name = metric.pop("__name__")
    if "le" in metric:
        metric["le"] = str(float(metric["le"]))
    # Prometheus knows no label that is empty.
    own = {key: value for key, value in metric.items() if value and key not in ("job", "instance")}
    return name, frozenset(own.items())


def exposed(text: str) -> Series:
    """Return the series of an exposition in the same way."""
    return {
        name_and_labels({"__name__": sample.name, **sample.labels}): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
