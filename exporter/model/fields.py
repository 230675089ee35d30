"""The fields of the gateway's list: one row has the JSON path, the check and the published gauge of a field.

Decoding, the gauges, the documentation, the tests and the benchmark read this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exporter.model.converters import boolean, health, identifier, link, non_negative, slug, text, timestamp


@dataclass(frozen=True, slots=True)
class Gauge:
    """A gauge with the label `provider` and a series for each provider whose value is known."""

    name: str
    """Ends with the unit, if there is one: OpenTelemetry's unit would be appended for Prometheus."""
    help: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a row."""

    path: str
    """Keys in the JSON object, separated by dots."""
    convert: Callable[[object], object]
    """Raises ValueError; never called with null, except for the slug."""
    attribute: str = ""
    """Of `Provider`, for a field that other code reads; empty for one that is only published."""
    gauge: Gauge | None = None


FIELDS = (
    Field("slug", slug, attribute="slug"),
    Field("name", text, attribute="name"),
    Field("id", identifier, attribute="id"),
    Field(
        "health_status",
        health,
        attribute="health",
        gauge=Gauge(
            "gatewayz_provider_health_status",
            "Last reported health: 0 unknown, 1 healthy, 2 degraded, 3 down.",
        ),
    ),
    Field(
        "is_active",
        boolean,
        attribute="is_active",
        gauge=Gauge(
            "gatewayz_provider_is_active",
            "Whether the gateway routes requests to the provider (1) or not (0).",
        ),
    ),
    Field(
        "supports_streaming",
        boolean,
        attribute="supports_streaming",
        gauge=Gauge(
            "gatewayz_provider_supports_streaming", "Whether the provider supports streaming (1) or not (0)."
        ),
    ),
    Field(
        "supports_function_calling",
        boolean,
        attribute="supports_function_calling",
        gauge=Gauge(
            "gatewayz_provider_supports_function_calling",
            "Whether the provider supports function calling (1) or not (0).",
        ),
    ),
    Field(
        "supports_vision",
        boolean,
        attribute="supports_vision",
        gauge=Gauge(
            "gatewayz_provider_supports_vision",
            "Whether the provider accepts images as input (1) or not (0).",
        ),
    ),
    Field(
        "supports_image_generation",
        boolean,
        attribute="supports_image_generation",
        gauge=Gauge(
            "gatewayz_provider_supports_image_generation",
            "Whether the provider supports image generation (1) or not (0).",
        ),
    ),
    Field(
        "average_response_time_ms",
        non_negative,
        attribute="response_time_ms",
        gauge=Gauge(
            "gatewayz_provider_response_time_ms",
            "Average response time in milliseconds, as last reported to the gateway.",
        ),
    ),
    Field(
        "last_health_check_at",
        timestamp,
        attribute="last_health_check",
        gauge=Gauge(
            "gatewayz_provider_last_health_check_timestamp_seconds",
            "Unix time of the last health check that was reported to the gateway.",
        ),
    ),
    Field("site_url", link, attribute="site_url"),
    Field("status_page_url", link, attribute="status_page_url"),
)

PUBLISHED_ONLY = tuple(field.path for field in FIELDS if not field.attribute)
"""Paths of the values in `Provider.published`."""

FIELD_NAMES = ("record", *(field.path for field in FIELDS))
"""Values of the label `field` of `gatewayz_exporter_invalid_fields`; `record` is a row that is not an
object."""
