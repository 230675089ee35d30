"""Badges as SVG: a label and a coloured value, for pages of others."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from xml.sax.saxutils import escape

from exporter.status.state import State
from exporter.status.texts import percent

COLOURS: Mapping[str, str] = MappingProxyType(
    {"healthy": "#17713a", "degraded": "#8a5300", "down": "#b3201a", "unknown": "#4d5866"}
)
"""Dark enough for white text (WCAG AA)."""
GOOD_UPTIME, FAIR_UPTIME = 0.99, 0.95
HEIGHT, PADDING, CHARACTER = 20, 6, 6.6
MAX_LABEL = 40
_INVALID = re.compile("[^\t\n\r\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML does not allow."""


def health(slug: str, state: State) -> bytes | None:
    """Return the badge of a provider's health; None if it is not listed."""
    provider = state.provider(slug)
    if provider is None:
        return None
    value = provider.health.label
    return _badge(provider.name or slug, value, COLOURS[value])


def uptime(slug: str, window: str, state: State) -> bytes | None:
    """Return the badge of a provider's uptime; None if it is not listed.

    Args:
        slug: Of the provider.
        window: One that Prometheus may have, such as `30d`; empty: the exporter's own history.
        state: What is known.
    """
    provider = state.provider(slug)
    if provider is None:
        return None
    share = state.long_uptimes(slug).get(window) if window else state.history.uptime(slug)
    value = "unknown" if share is None else percent(share)
    return _badge(f"{provider.name or slug} uptime {window}".rstrip(), value, _colour(share))


def xml_text(text: str) -> str:
    """Return any text for XML: escaped, and without the characters that XML does not allow."""
    return escape(_INVALID.sub("\N{REPLACEMENT CHARACTER}", text), {'"': "&quot;"})


def _colour(share: float | None) -> str:
    if share is None:
        return COLOURS["unknown"]
    return COLOURS["healthy" if share >= GOOD_UPTIME else "degraded" if share >= FAIR_UPTIME else "down"]


def _badge(label: str, value: str, colour: str) -> bytes:
    label = label if len(label) <= MAX_LABEL else f"{label[: MAX_LABEL - 1]}…"
    left, right = (round(len(text) * CHARACTER) + 2 * PADDING for text in (label, value))
    label, value = xml_text(label), xml_text(value)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="{HEIGHT}" role="img" '
        f'aria-label="{label}: {value}"><title>{label}: {value}</title>'
        f'<rect width="{left + right}" height="{HEIGHT}" rx="3" fill="#3a424c"/>'
        f'<path d="M{left} 0h{right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{right - 3}z" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14" textLength="{left - 2 * PADDING}">{label}</text>'
        f'<text x="{left + right / 2}" y="14" textLength="{right - 2 * PADDING}">{value}</text></g></svg>'
    ).encode()
