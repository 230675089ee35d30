"""PromQL that several panels share.

Two replicas of an exporter have the same series but for `instance`: `max` over it makes them one.
"""

from __future__ import annotations

from grafana.generator.sources import JOB, ONE_OF

ABILITIES = {
    "streaming": "Streaming",
    "function_calling": "Function Calling",
    "vision": "Vision",
    "image_generation": "Image Generation",
}
"""What a provider may be capable of: part of the metric's name, and how people call it."""


def per_provider(name: str, matchers: str = ONE_OF) -> str:
    """Return a provider metric without its replicas."""
    return f"max by (provider) ({name}{{{matchers}}})"


IS_ACTIVE = f"{per_provider('gatewayz_provider_is_active', JOB)} == 1"
"""The providers that the gateway routes to: an inactive one keeps its last health for ever."""
HEALTH = f"{per_provider('gatewayz_provider_health_status')} and on (provider) ({IS_ACTIVE})"
"""Health of the chosen providers, 0 to 3, where active."""
_LAST_UPDATE = f"gatewayz_provider_metrics_last_update{{{JOB}}}"
DATA_AGE = f"time() - max(last_over_time({_LAST_UPDATE}[1d]))"
"""Seconds; it goes on growing while the exporter is dead."""
DATA_AGE_SHARE = (
    f"(min(timestamp({_LAST_UPDATE}) - {_LAST_UPDATE}) or {DATA_AGE})"
    f" / max(last_over_time(gatewayz_exporter_stale_after_seconds{{{JOB}}}[1d]))"
)
"""Age at the last scrape as a share of STALE_AFTER, so that it does not depend on the scrape interval."""
_SCRAPED = f"max(up{{{JOB}}})"
EXPORTER_STATE = (
    f"{_SCRAPED} + (max(gatewayz_up{{{JOB}}}) or 0 * {_SCRAPED})"
    f" * (1 + ((max(gatewayz_providers_listed{{{JOB}}}) == bool 0) or 0 * {_SCRAPED}))"
)
"""0 exporter down, 1 gateway failing, 2 both well, 3 well but for a list without any provider."""


RESPONSE_TIME = f"{per_provider('gatewayz_provider_response_time_ms')} and on (provider) ({HEALTH}) < 3"
"""Milliseconds; not of one that is down, which keeps what was measured before."""


def count(name: str, value: int) -> str:
    """Return how many providers have a value; 0 if none, nothing when nothing is known."""
    return f"sum({per_provider(name, JOB)} == bool {value})"


def count_active(name: str, value: int) -> str:
    """Return how many active providers have a value; 0 if none, nothing when nothing is known."""
    return f"sum(({per_provider(name, JOB)} == bool {value}) and on (provider) ({IS_ACTIVE}))"


def uptime(window: str) -> str:
    """Return the share of the window in which the chosen providers were usable."""
    return per_provider(f"job_provider:gatewayz_uptime:ratio{window}")


def coverage(window: str) -> str:
    """Return the share of the window that the uptime stands for."""
    return per_provider(f"job_provider:gatewayz_uptime:coverage{window}")


def failed_fetches() -> str:
    """Return the failed fetches within an interval, by endpoint and outcome, of the replica that has most."""
    counted = f'increase(gatewayz_exporter_fetches_total{{{JOB}, outcome!="ok"}}[$__rate_interval])'
    return f"max by (endpoint, outcome) ({counted}) > 0"
