"""Converters check one JSON value and return it as Python; each raises ValueError for an invalid value."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from types import MappingProxyType

import msgspec

from exporter.model.provider import HealthStatus

MAX_TEXT = 256
"""Characters."""
MAX_LINK = 1024
LINK = re.compile(r"https?://[A-Za-z0-9.\[\]:-]+(?:[/?#][!-~]*)?")
"""Without a user, whose name could look like a host."""
HEALTH_BY_WORD = MappingProxyType({status.label: status for status in HealthStatus})


def text(value: object) -> str:
    """Return a string of at most `MAX_TEXT` characters."""
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError
    return value


def link(value: object) -> str:
    """Return an http(s) URL, or an empty string for any other text: a page must not lead elsewhere."""
    if not isinstance(value, str):
        raise ValueError
    is_link = len(value) <= MAX_LINK and LINK.fullmatch(value)
    return value if is_link else ""


def slug(value: object) -> str:
    """Return a string that is not empty."""
    if not value:
        raise ValueError
    return text(value)


def identifier(value: object) -> str:
    """Return a 64-bit integer or a string as a string."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() < 64:
        return str(value)
    return text(value)


def boolean(value: object) -> bool:
    """Return true or false; a gauge publishes 1 or 0."""
    if not isinstance(value, bool):
        raise ValueError
    return value


def health(value: object) -> HealthStatus:
    """Return a health status; the gateway writes it in lower case."""
    status = HEALTH_BY_WORD.get(value) if isinstance(value, str) else None
    if status is None:
        raise ValueError
    return status


def non_negative(value: object) -> float:
    """Return a finite number from 0 up, in the unit of the gateway."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError
    try:
        number = float(value)
    except OverflowError as error:
        raise ValueError from error
    if not 0 <= number < math.inf:
        raise ValueError
    return number


def timestamp(value: object) -> float:
    """Return an RFC 3339 date-time in Unix seconds; one without an offset is UTC, as in the gateway."""
    moment = msgspec.convert(value, datetime)
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    # Raises ValueError if the offset moves the year out of 1 to 9999, which cannot be rendered.
    datetime.fromtimestamp(seconds, UTC)
    return seconds
