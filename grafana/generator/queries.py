"""PromQL expressions of several panels.

Replicas of an exporter have the same series except for `instance`; `max` merges them.
"""

from __future__ import annotations

from grafana.generator.sources import JOB, ONE_OF

ABILITIES = {
    "streaming": "Streaming",
    "function_calling": "Function Calling",
    "vision": "Vision",
    "image_generation": "Image Generation",
}
"""Capabilities: part of the metric's name, and title."""


def per_provider(name: str, matchers: str = ONE_OF) -> str:
    """Return a provider metric, merged over replicas."""
    return f"max by (provider) ({name}{{{matchers}}})"


IS_ACTIVE = f"{per_provider('gatewayz_provider_is_active', JOB)} == 1"
"""Active providers; the health of inactive ones is never updated."""
HEALTH = f"{per_provider('gatewayz_provider_health_status')} and on (provider) ({IS_ACTIVE})"
"""Health of the selected active providers, 0 to 3."""
_LAST_UPDATE = f"gatewayz_provider_metrics_last_update{{{JOB}}}"
DATA_AGE = f"time() - max(last_over_time({_LAST_UPDATE}[1d]))"
"""Seconds; it also grows while the exporter is down."""
DATA_AGE_SHARE = (
    f"(min(timestamp({_LAST_UPDATE}) - {_LAST_UPDATE}) or {DATA_AGE})"
    f" / max(last_over_time(gatewayz_exporter_stale_after_seconds{{{JOB}}}[1d]))"
)
"""Age at the last scrape as a share of STALE_AFTER, independent of the scrape interval."""
_SCRAPED = f"max(up{{{JOB}}})"
EXPORTER_STATE = (
    f"{_SCRAPED} + (max(gatewayz_up{{{JOB}}}) or 0 * {_SCRAPED})"
    f" * (1 + ((max(gatewayz_providers_listed{{{JOB}}}) == bool 0) or 0 * {_SCRAPED}))"
)
"""0 exporter down, 1 gateway failing, 2 both up, 3 both up without any listed provider."""


RESPONSE_TIME = f"{per_provider('gatewayz_provider_response_time_ms')} and on (provider) ({HEALTH}) < 3"
"""Milliseconds, without providers that are down: their last value is stale."""


def count(name: str, value: int) -> str:
    """Return the number of providers with a value; no sample without data."""
    return f"sum({per_provider(name, JOB)} == bool {value})"


def count_active(name: str, value: int) -> str:
    """Return the number of active providers with a value; no sample without data."""
    return f"sum(({per_provider(name, JOB)} == bool {value}) and on (provider) ({IS_ACTIVE}))"


def uptime(window: str) -> str:
    """Return the share of a window in which the selected providers were up."""
    return per_provider(f"job_provider:gatewayz_uptime:ratio{window}")


def coverage(window: str) -> str:
    """Return the share of a window with data."""
    return per_provider(f"job_provider:gatewayz_uptime:coverage{window}")


def failed_fetches() -> str:
    """Return the failed fetches within an interval by endpoint and outcome, of the replica with the most."""
    increase = f'increase(gatewayz_exporter_fetches_total{{{JOB}, outcome!="ok"}}[$__rate_interval])'
    return f"max by (endpoint, outcome) ({increase}) > 0"
