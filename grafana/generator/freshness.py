"""The panels that tell whether the others can be believed."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat

from grafana.generator import states
from grafana.generator.panels import Text, state, value
from grafana.generator.queries import DATA_AGE, EXPORTER_STATE
from grafana.generator.sources import metric


def data_age() -> stat.Panel:
    """Return the age of the last complete poll."""
    text = Text(
        "Data Age",
        "Time since the last complete poll, as Prometheus knows it. With a poll and a scrape each minute up "
        "to two minutes are normal. Beyond that see the runbook of GatewayzDataStale.",
        "No complete poll within a day",
    )
    colors = states.thresholds(states.GREEN, (150, states.ORANGE), (300, states.RED))
    return value(text, "s", metric(DATA_AGE), colors=colors)


def exporter_state() -> stat.Panel:
    """Return whether exporter and gateway answer."""
    text = Text(
        "Exporter",
        "Whether the exporter answers Prometheus and the gateway answers the exporter. If not, other panels "
        "show what was, or nothing: see the runbooks of GatewayzExporterDown, GatewayzGatewayUnreachable "
        "and GatewayzKeyRefused.",
        "Not scraped",
    )
    return state(text, states.EXPORTER, metric(EXPORTER_STATE))
