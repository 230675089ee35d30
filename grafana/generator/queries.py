"""PromQL expressions of several panels.

Replicas of an exporter have the same series except for `instance`; `max` merges them.
"""

from __future__ import annotations

from grafana.generator import states
from grafana.generator.sources import JOB, ONE_OF
from grafana.generator.states import LAST_KNOWN_RANK, UNKNOWN_RANK

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
HELD = f"max by (provider) (job_provider:gatewayz_health_status:held{{{ONE_OF}}})"
"""Health of the selected active providers, the last known one while the list is missing."""
_HELD_OF_ALL = f"max by (provider) (job_provider:gatewayz_health_status:held{{{JOB}}})"
LISTED = f"max by (provider) (gatewayz_provider_info{{{ONE_OF}}})"
"""1 for each selected provider that is listed, inactive ones included."""
LIST = f"max(gatewayz_provider_is_active{{{JOB}}})"
"""Present while there is a current list."""
ROWS = f"({LISTED} or 0 * {HELD} + 1 unless on () {LIST})"
"""1 for each row of a table of providers: those that are listed, or were when the list went missing."""
ALERT_SINCE = (
    "1000 * min by (provider) (ALERTS_FOR_STATE"
    f'{{alertname=~"GatewayzProvider(Down|Degraded|HealthUnknown)", {ONE_OF}}})'
)
"""Start of the current alert on the health of each provider, Unix time in milliseconds."""
_LAST_UPDATE = f"gatewayz_provider_metrics_last_update{{{JOB}}}"
DATA_AGE = f"time() - max(last_over_time({_LAST_UPDATE}[1d]))"
"""Seconds; it also grows while the exporter is down."""
FRESHEST = f"topk(1, last_over_time({_LAST_UPDATE}[1d]))"
"""The replica with the last complete poll, as others of the last day may have ended with other values."""


def _last(name: str) -> str:
    """Return the last known series of a metric, of the replica that was polling last."""
    return f"last_over_time({name}{{{JOB}}}[1d]) and on (job, instance) {FRESHEST}"


DATA_AGE_INTERVALS = (
    f"(min(timestamp({_LAST_UPDATE}) - {_LAST_UPDATE}) or {DATA_AGE})"
    f" / max({_last('gatewayz_exporter_poll_interval_seconds')})"
)
"""Age at the last scrape in poll intervals, independent of the scrape interval."""
_SCRAPED = f"max(up{{{JOB}}})"
EXPORTER_STATE = (
    f"{_SCRAPED} + (max(gatewayz_up{{{JOB}}}) or 0 * {_SCRAPED})"
    f" * (1 + ((max(gatewayz_providers_listed{{{JOB}}}) == bool 0) or 0 * {_SCRAPED}))"
)
"""0 exporter down, 1 gateway failing, 2 both up, 3 both up without any listed provider."""


RESPONSE_TIME = f"{per_provider('gatewayz_provider_response_time_ms')} and on (provider) ({HEALTH}) < 3"
"""Milliseconds, without providers that are down: their last value is stale."""


def count(name: str, value: float) -> str:
    """Return the number of providers with a value; no sample without data."""
    return f"sum({per_provider(name, JOB)} == bool {value:g})"


def count_active(name: str, value: float) -> str:
    """Return the number of active providers with a value; no sample without a list."""
    found = f"({per_provider(name, JOB)} == bool {value:g}) and on (provider) ({IS_ACTIVE})"
    return f"sum({found}) or 0 * {LIST}"


def last_count(name: str) -> str:
    """Return the last known value of a metric of the whole gateway, while there is no current one."""
    return f"max({_last(name)}) unless max({name}{{{JOB}}})"


def last_count_by_activity(is_active: float) -> str:
    """Return the gateway's last known count of active or inactive providers, while there is no list."""
    name = "gatewayz_providers_active" if is_active else "gatewayz_providers_inactive"
    return f"max({_last(name)}) unless {LIST}"


def last_count_active(name: str, value: float) -> str:
    """Return the last known number of active providers with a value, while there is no list."""
    found = f"max by (provider) ({_last(name)})"
    return _while_missing(f"({found} == bool {value:g}) and on (provider) {_HELD_OF_ALL}")


def last_count_of_health(value: float) -> str:
    """Return the last known number of active providers with a health, while there is no list."""
    return _while_missing(f"{_HELD_OF_ALL} == bool {value:g}")


def ranked() -> str:
    """Return the health of the selected active providers as one of `states.RANKS`."""
    now, then = (f"({health}) + {UNKNOWN_RANK} * (({health}) == bool 0)" for health in (HEALTH, HELD))
    return f"({now}) or ({then}) + {LAST_KNOWN_RANK:g} unless on () {LIST}"


def in_every_row(expr: str, rows: str = ROWS) -> str:
    """Return a column with a sample in each row, NaN without a value: a column without samples disappears."""
    return f"({expr}) and on (provider) ({rows}) or on (provider) NaN * ({rows})"


def capabilities() -> str:
    """Return a number with a bit for each capability of a provider, in the order of `ABILITIES`."""
    return " + ".join(
        f"{2**place} * ({per_provider(f'gatewayz_provider_supports_{name}')} or 0 * {LISTED})"
        for place, name in enumerate(ABILITIES)
    )


def health_changes() -> str:
    """Return 1 for each provider whose health changed within the last interval, with the label `to`."""
    held = f"job_provider:gatewayz_health_status:held{{{ONE_OF}}}"
    # The first sees what is reversed within the interval, the second a change between two intervals.
    changed = f"{held} and (changes({held}[$__interval]) > 0 or {held} != {held} offset $__interval)"
    expr = f'count_values by (provider) ("to", max by (provider) ({changed}))'
    for value, state in states.HEALTH.items():
        expr = f'label_replace({expr}, "to", "{state.text}", "to", "{value:g}")'
    return expr


def uptime(window: str) -> str:
    """Return the share of a window in which the selected providers were up."""
    return per_provider(f"job_provider:gatewayz_uptime:ratio{window}")


def coverage(window: str) -> str:
    """Return the share of a window with data."""
    return per_provider(f"job_provider:gatewayz_uptime:coverage{window}")


def _while_missing(of_each: str) -> str:
    return f"sum({of_each}) unless {LIST}"


def failed_fetches() -> str:
    """Return the failed fetches within an interval by endpoint and outcome, of the replica with the most."""
    increase = f'increase(gatewayz_exporter_fetches_total{{{JOB}, outcome!="ok"}}[$__rate_interval])'
    return f"max by (endpoint, outcome) ({increase}) > 0"
