"""The panels that tell whether the others can be believed."""

from __future__ import annotations

from grafana_foundation_sdk.builders import stat
from grafana_foundation_sdk.models.common import BigValueTextMode

from grafana.generator import states
from grafana.generator.panels import Text, named, state, value
from grafana.generator.queries import DATA_AGE, DATA_AGE_SHARE, EXPORTER_STATE
from grafana.generator.sources import metric

SHARE = "Of STALE_AFTER"
SHARE_COLORS = states.thresholds(states.GREEN, (0.66, states.ORANGE), (1, states.RED))
"""By default orange is one missed poll: the age is two of the three intervals then."""


def data_age() -> stat.Panel:
    """Return the age of the last complete poll."""
    text = Text(
        "Data Age",
        "Time since the last complete poll, as Prometheus knows it: at most the poll and the scrape interval "
        "while all is well. The share is that of STALE_AFTER at the last scrape: at 100 % the data are "
        "dropped. See the runbook of GatewayzDataStale.",
        "No complete poll within a day",
    )
    panel = value(text, "s", metric(DATA_AGE, "Age"), metric(DATA_AGE_SHARE, SHARE))
    panel = panel.text_mode(BigValueTextMode.VALUE_AND_NAME)
    return named(panel, SHARE, {"unit": "percentunit", "decimals": 0, "thresholds": SHARE_COLORS.build()})


def exporter_state() -> stat.Panel:
    """Return whether exporter and gateway answer."""
    text = Text(
        "Exporter",
        "Whether the exporter answers Prometheus and the gateway answers the exporter. If not, other panels "
        "show what was, or nothing: see the runbooks of GatewayzExporterDown, GatewayzGatewayUnreachable, "
        "GatewayzDatabaseDown and GatewayzKeyRefused. Without any provider see GatewayzNoProviders.",
        "Not scraped",
    )
    return state(text, states.EXPORTER, metric(EXPORTER_STATE))
