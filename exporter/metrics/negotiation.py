"""Content negotiation by `Accept` and `Accept-Encoding` (RFC 9110, sections 12.5.1 and 12.5.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from exporter.metrics.exposition import Format, Variant

OFFERED = (
    (Format.TEXT, "text", "plain", "0.0.4"),
    (Format.OPENMETRICS, "application", "openmetrics-text", "1.0.0"),
)
"""By preference for equal qualities; the first is also the default if none is acceptable."""

MAX_CHARACTERS = 4096
"""Longer headers are ignored; Prometheus sends about two hundred characters."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One element of an `Accept` or `Accept-Encoding` header."""

    value: str
    parameters: Mapping[str, str]
    quality: float


def negotiate(accept: str, accept_encoding: str) -> Variant:
    """Return the variant with the highest quality; an invalid header counts as absent."""
    choices = tuple(_choices(accept))
    qualities = [(_quality(choices, *media), format_) for format_, *media in OFFERED]
    best = max(qualities, key=lambda pair: pair[0])
    return Variant(best[1], _accepts_gzip(accept_encoding))


def _quality(choices: tuple[Choice, ...], kind: str, subtype: str, version: str) -> float:
    """Return the quality of the most specific matching range."""
    for pattern in (f"{kind}/{subtype}", f"{kind}/*", "*/*"):
        matches = [
            choice.quality
            for choice in choices
            if choice.value == pattern and choice.parameters.get("version", version) == version
        ]
        if matches:
            return max(matches)
    return 0.0


def _accepts_gzip(header: str) -> bool:
    qualities = {choice.value: choice.quality for choice in _choices(header)}
    return qualities.get("gzip", qualities.get("*", 0.0)) > 0


def _choices(header: str) -> Iterator[Choice]:
    elements = header.lower().split(",") if len(header) <= MAX_CHARACTERS else []
    for element in elements:
        value, *rest = (part.strip() for part in element.split(";"))
        pairs = (part.split("=", 1) for part in rest if "=" in part)
        parameters = {name.strip(): text.strip(' "') for name, text in pairs}
        yield Choice(value, parameters, _number(parameters.get("q", "1")))


def _number(text: str) -> float:
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0
