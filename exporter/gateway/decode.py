"""Decoding of the gateway's answers: an invalid field is dropped and counted, the rest of its row remains."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from exporter.errors import GatewayError, Outcome
from exporter.model.endpoints import Endpoint
from exporter.model.fields import FIELDS, PUBLISHED_ONLY
from exporter.model.provider import Answer, Provider, ProviderList, ProviderStats

MAX_VALUES = 2_000_000
"""60,000 providers have that many. A value takes up to 250 bytes: 64 MiB of `{},` would take 1.6 GiB."""
KEYS = tuple((field, tuple(field.path.split("."))) for field in FIELDS)


def parse(body: bytes) -> object:
    """Parse the body of an answer.

    Raises:
        GatewayError: `not_json` for a body that is not JSON by RFC 8259 (such as NaN and lone surrogates),
            `too_large` for more than `MAX_VALUES` values.
    """
    # One of these bytes precedes every item of an array or object. Those in strings count as well.
    if sum(map(body.count, b"[{,")) > MAX_VALUES:
        raise GatewayError(Outcome.TOO_LARGE, f"more than {MAX_VALUES} values")
    try:
        # With a hook, a number beyond a double's range becomes infinite, so that only its field is invalid.
        return msgspec.json.Decoder(float_hook=float).decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise GatewayError(Outcome.NOT_JSON, f"{len(body)} bytes that do not parse") from error


def decode(endpoint: Endpoint, document: object) -> Answer:
    """Decode a parsed answer.

    Raises:
        GatewayError: `wrong_shape` for a list that is not an array or has rows but no valid one, and for
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
    """Return a row as a provider, None without a valid slug; count invalid values by field."""
    if not isinstance(row, dict):
        invalid["record"] += 1
        return None
    values: dict[str, Any] = {}
    for field, keys in KEYS:
        try:
            value = row.get(keys[0]) if len(keys) == 1 else _nested(row, keys)
            if value is not None or field.path == "slug":
                values[field.attribute or field.path] = field.convert(value)
        except ValueError:
            invalid[field.path] += 1
    if "slug" not in values:
        return None
    return Provider(published=tuple([values.pop(path, None) for path in PUBLISHED_ONLY]), **values)


def _nested(row: Mapping[str, object], keys: Sequence[str]) -> object:
    """Return the value at a path, None if a key is missing or null.

    Raises:
        ValueError: When the value at a part of the path is not an object.
    """
    value: object = row
    for key in keys:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise ValueError
        value = value.get(key)
    return value
