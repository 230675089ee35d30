"""Bytes of the gateway into values, field by field: a bad field loses only itself.

First they are parsed as JSON, then the document is decoded.

Fields and types are those of the gateway's contract. What cannot be understood is counted by field name in
`ProviderList.invalid_fields`; the name `record` stands for a row that is no object.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import msgspec

from exporter.errors import GatewayError, Outcome
from exporter.model.endpoints import Endpoint
from exporter.model.provider import Answer, HealthStatus, Provider, ProviderList, ProviderStats

MAX_TEXT = 256
MAX_VALUES = 2_000_000
"""As many as 60,000 providers have. One takes up to 250 bytes: without this, 64 MiB of `{},` are 1.6 GiB."""
HEALTH_BY_WORD = MappingProxyType({status.label: status for status in HealthStatus})


def parse(body: bytes) -> object:
    """Parse the body of an answer.

    Raises:
        GatewayError: `not_json` for what is not JSON by RFC 8259 (NaN and lone surrogates included),
            `too_large` for more values than are allowed.
    """
    # Every item of an array or object follows one of these; those in texts make the figure larger.
    if sum(map(body.count, b"[{,")) > MAX_VALUES:
        raise GatewayError(Outcome.TOO_LARGE, f"more than {MAX_VALUES} values")
    try:
        # With a hook, a number beyond a double's range becomes infinite and so loses only its own field.
        return msgspec.json.Decoder(float_hook=float).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayError(Outcome.NOT_JSON, f"{len(body)} bytes that do not parse") from error


def decode(endpoint: Endpoint, document: object) -> Answer:
    """Decode a parsed answer.

    Raises:
        GatewayError: `wrong_shape` for a list that is no array or has rows of which none is usable, and for
            counts that are not seven whole numbers from 0 up.
    """
    return _stats(document) if endpoint is Endpoint.STATS else _provider_list(document)


def _stats(document: object) -> ProviderStats:
    try:
        return msgspec.convert(document, ProviderStats)
    except msgspec.ValidationError as error:
        raise GatewayError(Outcome.WRONG_SHAPE, "not seven whole numbers from 0 up") from error


def _provider_list(document: object) -> ProviderList:
    if not isinstance(document, list):
        raise GatewayError(Outcome.WRONG_SHAPE, "not an array")
    invalid: Counter[str] = Counter()
    providers: dict[str, Provider] = {}
    for row in document:
        provider = _provider(row, invalid)
        if provider is None:
            continue
        if provider.slug in providers:
            invalid["slug"] += 1
        providers.setdefault(provider.slug, provider)
    if document and not providers:
        raise GatewayError(Outcome.WRONG_SHAPE, f"none of {len(document)} rows is a provider")
    return ProviderList(tuple(providers.values()), len(document), MappingProxyType(dict(invalid)))


def _provider(row: object, invalid: Counter[str]) -> Provider | None:
    if not isinstance(row, dict):
        invalid["record"] += 1
        return None
    values: dict[str, Any] = {}
    for field in FIELDS:
        value = row.get(field.name)
        if value is None and field.name != "slug":
            continue
        try:
            values[field.attribute] = field.convert(value)
        except ValueError:
            invalid[field.name] += 1
    return Provider(**values) if "slug" in values else None


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError
    return value


def _slug(value: object) -> str:
    if not value:
        raise ValueError
    return _text(value)


def _identifier(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 64:
        return str(value)
    return _text(value)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _health(value: object) -> HealthStatus:
    status = HEALTH_BY_WORD.get(value) if isinstance(value, str) else None
    if status is None:
        raise ValueError
    return status


def _milliseconds(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError from error
    if not 0 <= number < math.inf:
        raise ValueError
    return number


def _timestamp(value: object) -> float:
    """Read an RFC 3339 date-time; one without an offset is taken as UTC, as the gateway means it."""
    moment = msgspec.convert(value, datetime)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    # An offset can push it out of the years that can be written again: 1 to 9999 in UTC.
    datetime.fromtimestamp(seconds, UTC)
    return seconds


@dataclass(frozen=True, slots=True)
class Field:
    """How one field of a row becomes one attribute of a `Provider`; `convert` raises ValueError."""

    name: str
    attribute: str
    convert: Callable[[object], object]


FIELDS = (
    Field("slug", "slug", _slug),
    Field("name", "name", _text),
    Field("id", "id", _identifier),
    Field("health_status", "health", _health),
    Field("is_active", "is_active", _boolean),
    Field("supports_streaming", "supports_streaming", _boolean),
    Field("supports_function_calling", "supports_function_calling", _boolean),
    Field("supports_vision", "supports_vision", _boolean),
    Field("supports_image_generation", "supports_image_generation", _boolean),
    Field("average_response_time_ms", "response_time_ms", _milliseconds),
    Field("last_health_check_at", "last_health_check", _timestamp),
)

FIELD_NAMES = ("record", *(field.name for field in FIELDS))
"""Every value that the label `field` of `gatewayz_exporter_invalid_fields` can have."""
