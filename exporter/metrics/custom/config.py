"""The configuration file of custom metrics, validated as a whole; all problems are reported at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from exporter.errors import SettingsError
from exporter.files.document import SAFE_KEY, Section, Tree, parse
from exporter.files.read import Stamp, stamp
from exporter.metrics.custom.expression import Expression, compile_expression
from exporter.metrics.instruments import INSTRUMENTS, Kind
from exporter.model.custom import CustomKind, CustomMetric, CustomMetrics, ExtractedLabel
from exporter.model.endpoints import Endpoint

T = TypeVar("T")

KEYS = ("name", "help", "kind", "from", "path", "constant_labels", "labels")
LABEL_KEYS = ("path", "max_values")
KINDS: Mapping[str, CustomKind] = MappingProxyType({kind.value: kind for kind in CustomKind})
SOURCES: Mapping[str, Endpoint] = MappingProxyType({"provider": Endpoint.PROVIDERS, "stats": Endpoint.STATS})
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
"""Of a metric or label; neither OpenTelemetry nor Prometheus changes such a name."""
NAME_RULE = "must be lower-case letters and digits, separated by single underscores, and begin with a letter"
SUFFIXES: Mapping[Kind, tuple[str, ...]] = MappingProxyType(
    {Kind.COUNTER: ("", "_total", "_created"), Kind.HISTOGRAM: ("", "_bucket", "_count", "_sum", "_created")}
)
"""Suffixes of the series of a family; gauges have none."""
TAKEN = frozenset(
    row.name.removesuffix("_total" if row.kind is Kind.COUNTER else "") + suffix
    for row in INSTRUMENTS
    for suffix in SUFFIXES.get(row.kind, ("",))
)
"""Names of all families and series of the exporter."""
RESERVED_NAMES = frozenset({"up", "target", "target_info"})
RESERVED_PREFIXES = ("gatewayz_exporter_", "process_", "otel_", "scrape_")
"""Of the metrics of the exporter, of its libraries, and of Prometheus about a target."""
RESERVED_LABELS = frozenset({"provider", "job", "instance", "le", "quantile"})
"""Labels set by the exporter or Prometheus."""
RESERVED_LABEL_PREFIXES = ("otel_", "exported_")
WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
MAX_METRICS = 50
MAX_LABELS = 10
MAX_VALUES = 1000
MAX_NAME = 128
MAX_TEXT = 256
"""Characters of a help text or the value of a constant label."""


@dataclass(frozen=True, slots=True)
class CustomMetricsVersion:
    """The result of reading the file once."""

    path: Path
    metrics: CustomMetrics
    """Incomplete if there are problems."""
    problems: tuple[str, ...]
    """One sentence per problem."""
    stamp: Stamp
    """Of the file before it was read."""

    @property
    def is_outdated(self) -> bool:
        """Whether the file has changed since."""
        return stamp(self.path) != self.stamp


def read(path: Path) -> CustomMetricsVersion:
    """Read the file."""
    before = stamp(path)
    try:
        tree = parse(path)
    except SettingsError as error:
        return CustomMetricsVersion(path, (), error.problems, before)
    metrics, problems = _metrics(tree)
    return CustomMetricsVersion(path, metrics, problems, before)


def _metrics(tree: Tree) -> tuple[CustomMetrics, tuple[str, ...]]:
    """Return the valid metrics of a document, and all its problems."""
    problems: list[str] = []
    metrics: list[CustomMetric | None] = []
    first: dict[str, int] = {}
    for number, item in enumerate(_items(Section("", tree, ("metrics",), problems)), 1):
        if not isinstance(item, dict):
            problems.append(f"metric {number} must be a mapping.")
            continue
        reader = _Reader(item)
        metrics.append(reader.metric())
        if first.setdefault(reader.name, number) != number and reader.name:
            reader.add_problem("name", f"is also the name of metric {first[reader.name]}.")
        label = f" ({reader.name})" if SAFE_KEY.fullmatch(reader.name) else ""
        problems += [f"metric {number}{label}: {problem}" for problem in reader.problems]
    return tuple(metric for metric in metrics if metric), tuple(problems)


def _items(top: Section) -> Sequence[object]:
    """Return the list of metrics. It is required, since an empty file may be one that is being written."""
    items = top.values.get("metrics")
    if not isinstance(items, list):
        top.add_problem("metrics", "must be a list of metrics; use [] for none.")
        return ()
    if len(items) > MAX_METRICS:
        top.add_problem("metrics", f"has more than {MAX_METRICS} metrics.")
        return ()
    return items


class _Reader:
    """Reads one metric, and collects its problems."""

    def __init__(self, item: Tree) -> None:
        self.problems: list[str] = []
        self._section = Section("", item, KEYS, self.problems)
        self.add_problem = self._section.add_problem
        self.name = _required(self._section, "name")

    def metric(self) -> CustomMetric | None:
        """Return the metric, None if there are problems."""
        self._check_name()
        text = self._help()
        kind = _choice(self._section, "kind", KINDS)
        source = _choice(self._section, "from", SOURCES)
        path = self._path(kind)
        constant = tuple(self._constant_labels())
        labels = tuple(self._labels([name for name, _ in constant]))
        if kind is CustomKind.INFO and not self._section.values.get("labels"):
            self.add_problem("labels", "is missing: an info metric has its values in labels.")
        if len(constant) + len(labels) > MAX_LABELS:
            self.add_problem("labels", f"and constant_labels have more than {MAX_LABELS} labels together.")
        if self.problems or kind is None or source is None:
            return None
        return CustomMetric(self.name, text, kind, source, path, constant, labels)

    def _check_name(self) -> None:
        name = self.name
        if name and (not NAME.fullmatch(name) or len(name) > MAX_NAME):
            self.add_problem("name", f"{NAME_RULE}; at most {MAX_NAME} characters.")
        if name in TAKEN:
            self.add_problem("name", "is already in use by a metric of the exporter.")
        elif name in RESERVED_NAMES or name.startswith(RESERVED_PREFIXES):
            self.add_problem(
                "name", f"is reserved, as are names that begin with {', '.join(RESERVED_PREFIXES)}."
            )

    def _help(self) -> str:
        text = _required(self._section, "help")
        if not text.isprintable() or len(text) > MAX_TEXT:
            self.add_problem("help", f"must be one line of at most {MAX_TEXT} characters.")
        return text

    def _path(self, kind: CustomKind | None) -> Expression | None:
        if kind is not CustomKind.INFO:
            return _expression(self._section)
        if "path" in self._section.values:
            self.add_problem("path", "is not allowed: the value of an info metric is always 1.")
        return None

    def _constant_labels(self) -> Iterator[tuple[str, str]]:
        section = Section("constant_labels", self._section.values.get("constant_labels"), None, self.problems)
        for name in section.values:
            _check_label(section, name)
            text = _required(section, name)
            if len(text) > MAX_TEXT:
                section.add_problem(name, f"must have at most {MAX_TEXT} characters.")
            yield name, text

    def _labels(self, constant: Collection[str]) -> Iterator[ExtractedLabel]:
        section = Section("labels", self._section.values.get("labels"), None, self.problems)
        for name, content in section.values.items():
            _check_label(section, name)
            if name in constant:
                section.add_problem(name, "is also in constant_labels.")
            if not isinstance(content, dict):
                section.add_problem(name, "must be a mapping of path and max_values.")
                continue
            label = Section(section.path(name), content, LABEL_KEYS, self.problems)
            path, bound = _expression(label), _max_values(label)
            if path is not None:
                yield ExtractedLabel(name, path, bound)


def _required(section: Section, key: str) -> str:
    """Return a required string; an empty one is a problem."""
    if section.values.get(key, "") == "":
        section.add_problem(key, "is missing.")
    return section.text(key)


def _choice(section: Section, key: str, table: Mapping[str, T]) -> T | None:
    name = _required(section, key)
    return section.choices(key, table, [name], table[next(iter(table))])[0] if name else None


def _expression(section: Section) -> Expression | None:
    text = _required(section, "path")
    if not text:
        return None
    try:
        return compile_expression(text)
    except ValueError as error:
        section.add_problem("path", str(error))
        return None


def _max_values(section: Section) -> int:
    """Return the limit of values of a label."""
    if "max_values" not in section.values:
        section.add_problem("max_values", "is missing: set how many different values the label may have.")
        return 0
    text = section.text("max_values")
    if not WHOLE_NUMBER.fullmatch(text) or int(text) > MAX_VALUES:
        section.add_problem("max_values", f"must be a whole number from 1 to {MAX_VALUES:,}.")
        return 0
    return int(text)


def _check_label(section: Section, name: str) -> None:
    if not NAME.fullmatch(name) or len(name) > MAX_NAME:
        section.add_problem(name, f"{NAME_RULE}; at most {MAX_NAME} characters.")
    elif name in RESERVED_LABELS or name.startswith(RESERVED_LABEL_PREFIXES):
        section.add_problem(name, "is reserved: the exporter or Prometheus sets it.")
