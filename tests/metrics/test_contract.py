"""The contract of the metrics, written by hand: an entry is never changed or removed."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.metrics.instruments import INSTRUMENTS
from exporter.model.fields import FIELDS

CONTRACT: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {
        "gatewayz_providers_total": ("gauge", ()),
        "gatewayz_providers_active": ("gauge", ()),
        "gatewayz_providers_inactive": ("gauge", ()),
        "gatewayz_providers_healthy": ("gauge", ()),
        "gatewayz_providers_degraded": ("gauge", ()),
        "gatewayz_providers_down": ("gauge", ()),
        "gatewayz_providers_unknown": ("gauge", ()),
        "gatewayz_provider_response_time_ms": ("gauge", ("provider",)),
        "gatewayz_provider_supports_streaming": ("gauge", ("provider",)),
        "gatewayz_provider_supports_function_calling": ("gauge", ("provider",)),
        "gatewayz_provider_supports_vision": ("gauge", ("provider",)),
        "gatewayz_provider_supports_image_generation": ("gauge", ("provider",)),
        "gatewayz_provider_is_active": ("gauge", ("provider",)),
        "gatewayz_provider_health_status": ("gauge", ("provider",)),
        "gatewayz_provider_metrics_last_update": ("gauge", ()),
        "gatewayz_provider_scrape_errors_total": ("counter", ()),
        "gatewayz_up": ("gauge", ()),
        "gatewayz_provider_info": ("gauge", ("provider", "id", "name")),
        "gatewayz_provider_health_state": ("gauge", ("provider", "state")),
        "gatewayz_provider_last_health_check_timestamp_seconds": ("gauge", ("provider",)),
        "gatewayz_providers_listed": ("gauge", ()),
        "gatewayz_exporter_fetches_total": ("counter", ("endpoint", "outcome")),
        "gatewayz_exporter_fetch_duration_seconds": ("histogram", ("endpoint",)),
        "gatewayz_exporter_last_fetch_outcome": ("gauge", ("endpoint", "outcome")),
        "gatewayz_exporter_last_reload_successful": ("gauge", ("file",)),
        "gatewayz_exporter_last_success_timestamp_seconds": ("gauge", ("endpoint",)),
        "gatewayz_exporter_poll_duration_seconds": ("gauge", ()),
        "gatewayz_exporter_invalid_fields": ("gauge", ("field",)),
        "gatewayz_exporter_custom_values_dropped": ("gauge", ("metric", "reason")),
        "gatewayz_exporter_log_records_lost_total": ("counter", ()),
        "gatewayz_exporter_telemetry_failures_total": ("counter", ("signal",)),
        "gatewayz_exporter_certificate_expiry_timestamp_seconds": ("gauge", ("file",)),
        "gatewayz_exporter_poll_interval_seconds": ("gauge", ()),
        "gatewayz_exporter_stale_after_seconds": ("gauge", ()),
        "gatewayz_exporter_fetch_timeout_seconds": ("gauge", ()),
        "gatewayz_exporter_health_check_overdue_seconds": ("gauge", ()),
        "gatewayz_exporter_build_info": ("gauge", ("version",)),
    }
)
"""Type and labels by name."""

FIELD_GAUGES: Mapping[str, str | None] = MappingProxyType(
    {
        "slug": None,
        "name": None,
        "id": None,
        "health_status": "gatewayz_provider_health_status",
        "is_active": "gatewayz_provider_is_active",
        "supports_streaming": "gatewayz_provider_supports_streaming",
        "supports_function_calling": "gatewayz_provider_supports_function_calling",
        "supports_vision": "gatewayz_provider_supports_vision",
        "supports_image_generation": "gatewayz_provider_supports_image_generation",
        "average_response_time_ms": "gatewayz_provider_response_time_ms",
        "last_health_check_at": "gatewayz_provider_last_health_check_timestamp_seconds",
    }
)
"""Gauge by the path of its field, which is also a value of the label `field`."""


def test_names_types_and_labels() -> None:
    """The table of instruments has all metrics of the contract, with their types and labels."""
    table = {instrument.name: (instrument.kind.value, instrument.labels) for instrument in INSTRUMENTS}

    assert dict(CONTRACT) == {name: table.get(name) for name in CONTRACT}


def test_gauges_of_fields() -> None:
    """The table of fields has all fields of the contract, each with its gauge."""
    table = {field.path: field.gauge.name if field.gauge else None for field in FIELDS}

    assert dict(FIELD_GAUGES) == {path: table.get(path, "") for path in FIELD_GAUGES}
