"""The panels for age of data and state of the exporter."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.models.common import BigValueTextMode

from grafana.generator import states
from grafana.generator.panels import Text, named, state, value
from grafana.generator.queries import DATA_AGE, DATA_AGE_INTERVALS, EXPORTER_STATE
from grafana.generator.sources import metric

INTERVALS = "Intervals"
INTERVAL_COLORS = states.thresholds(states.GREEN, (1.5, states.ORANGE), (3, states.RED))
"""Orange: a poll is late. Red: as old as the default of STALE_AFTER, three intervals."""


def data_age() -> stat.Panel:
    """Return the panel for the age of the last complete poll."""
    text = Text(
        "Data Age",
        "Time since the last complete poll, as scraped by Prometheus: normally at most the poll interval "
        "plus the scrape interval. Beside it, the age at the last scrape in poll intervals: from 1.5 a poll "
        "is late, and after STALE_AFTER the data are dropped. See the runbook of GatewayzDataStale.",
        "No complete poll within a day",
    )
    panel = value(text, "s", metric(DATA_AGE, "Age"), metric(DATA_AGE_INTERVALS, INTERVALS))
    panel = panel.text_mode(BigValueTextMode.VALUE_AND_NAME)
    own = {"unit": "none", "decimals": 1, "thresholds": INTERVAL_COLORS.build()}
    return named(panel, INTERVALS, own)


def exporter_state() -> stat.Panel:
    """Return the panel for the state of exporter and gateway."""
    text = Text(
        "Exporter",
        "Whether Prometheus can scrape the exporter, and the exporter the gateway. If not, other panels show "
        "old data or none: see the runbooks of GatewayzExporterDown, GatewayzGatewayUnreachable, "
        "GatewayzDatabaseDown and GatewayzKeyRefused. Without any provider see GatewayzNoProviders.",
        "Not scraped",
    )
    return state(text, states.EXPORTER, metric(EXPORTER_STATE))
