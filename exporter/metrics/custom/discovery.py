"""The fields of the gateway's records as JMESPath expressions, for those who define custom metrics."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from exporter.model.custom import CustomKind, CustomMetric
from exporter.model.endpoints import Endpoint

MAX_DEPTH = 6
"""Of objects in objects; deeper ones are shown as they are."""
MAX_EXAMPLE = 60
"""Characters."""
MASK = "********"
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""A key that JMESPath does not need in quotes."""
SECRET_NAME = re.compile(r"(?:key|token|secret|password|passwd|credentials?|authorization)$", re.IGNORECASE)
SECRET_TEXT = re.compile(
    r"(?:sk-|pk-|bearer |basic |eyJ|gh[pousr]_|xox|AKIA).*|[A-Za-z0-9+/_=-]{32,}|[a-z+]+://[^/@]*:[^/@]*@.*",
    re.IGNORECASE,
)


@dataclass(slots=True)
class FoundField:
    """A field with its number of values that are not null, and the first of them as JSON."""

    known: int = 0
    example: str = ""


@dataclass
class Records:
    """Collects the records of an endpoint: the expression of a custom metric that never has a value."""

    endpoint: Endpoint
    count: int = 0
    fields: dict[str, FoundField] = field(default_factory=dict)
    """By JMESPath expression, in the order of the records."""

    def metric(self) -> CustomMetric:
        """Return a metric whose evaluation collects the records."""
        return CustomMetric(self.endpoint.value, "", CustomKind.GAUGE, self.endpoint, self, (), ())

    def evaluate(self, record: object) -> None:
        """Collect the fields of a record."""
        self.count += 1
        for path, name, value in _leaves(record, "", "", MAX_DEPTH):
            found = self.fields.setdefault(path, FoundField())
            if value is not None:
                found.known += 1
                found.example = found.example or example(name, value)

    def known_fields(self) -> Mapping[str, FoundField]:
        """Return the fields, without an object that is null in some records."""
        return {
            path: found
            for path, found in self.fields.items()
            if found.known or not any(other.startswith(f"{path}.") for other in self.fields)
        }

    def __hash__(self) -> int:
        """Return a hash: metrics are keys."""
        return hash(self.endpoint)


def example(name: str, value: object) -> str:
    """Return a value as short JSON; one that looks like a secret, by its name or by itself, is masked."""
    text = json.dumps(_masked(name, value))
    return text if len(text) <= MAX_EXAMPLE else f"{text[: MAX_EXAMPLE - 3]}..."


def _masked(name: str, value: object) -> object:
    """Return a JSON value without the texts that look like secrets."""
    if isinstance(value, Mapping):
        return {key: _masked(key, each) for key, each in value.items()}
    if isinstance(value, list):
        return [_masked(name, each) for each in value]
    if isinstance(value, str) and (SECRET_NAME.search(name) or SECRET_TEXT.fullmatch(value)):
        return MASK
    return value


def _leaves(value: object, path: str, name: str, depth: int) -> Iterator[tuple[str, str, object]]:
    """Yield expression, key and value of everything in a record that is not an object."""
    if not isinstance(value, Mapping) or not value or not depth:
        yield path, name, value
        return
    for key, each in value.items():
        quoted = key if IDENTIFIER.fullmatch(key) else json.dumps(key)
        yield from _leaves(each, f"{path}.{quoted}" if path else quoted, key, depth - 1)
