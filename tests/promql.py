"""Which names a query in PromQL may use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from exporter.metrics.instruments import INSTRUMENTS, Kind

ROOT = Path(__file__).parent.parent
RULE_FILES = sorted((ROOT / "prometheus/rules").glob("*.yml"))
LOCAL_EXAMPLE = ROOT / "prometheus/local.example.yml"

NAME = re.compile(
    r"(?<![\w:$\"])(?:up|ALERTS(?:_FOR_STATE)?|(?:gatewayz|otelcol|alertmanager|prometheus|target|scrape|process)_\w+|[a-z_]+:\w+:\w+)"
    r"(?![\w:\"])"
)
"""A name of a metric or recorded series in PromQL."""
MATCHER = re.compile(r"[{,]\s*(\w+)\s*(?:=~|!=|!~|=)")
GROUPING = re.compile(r"\b(?:by|on|without|ignoring)\s*\(([^()]*)\)")


def rules(files: Sequence[Path] = RULE_FILES) -> Iterator[Mapping[str, Any]]:
    """Yield every rule of every file."""
    for file in files:
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


RECORDED = {rule["record"] for rule in rules() if "record" in rule}
LOCAL = {rule["record"] for rule in rules([LOCAL_EXAMPLE])}
"""Series that an operator's rules record."""


def published() -> set[str]:
    """Return the names of the exporter's own series."""
    endings = {Kind.HISTOGRAM: ("_bucket", "_count", "_sum")}
    return {row.name + ending for row in INSTRUMENTS for ending in endings.get(row.kind, ("",))}


def labels(query: str) -> set[str]:
    """Return the names of labels that a query matches or groups by."""
    grouped = {name.strip() for names in GROUPING.findall(query) for name in names.split(",") if name}
    return grouped | set(MATCHER.findall(query))
