"""Hypothesis strategies: JSON, valid fleets, and answers of the gateway that are nearly valid."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from exporter.model import converters
from exporter.model.converters import MAX_TEXT
from exporter.model.fields import FIELDS
from exporter.model.provider import HealthStatus
from tests.samples import SAMPLES, row

Values = Mapping[str, Any]
"""Values of a row by path."""

COUNTS = ("total", "active", "inactive", "healthy", "degraded", "down", "unknown")
AWKWARD = (
    *('"', "\\", "\n", "\\n", '\\"', "\r\n", "{", "}", ",", "=", "#", " ", "\0"),
    *("\u2028", "\ufeff", "\u202e"),
)
"""Characters with a meaning in an exposition, a log or a page."""

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.lists(st.sampled_from(AWKWARD)).map("".join)
"""Any text that UTF-8 can encode."""
slugs = (
    texts.filter(bool)
    | st.sampled_from(["openai", "OpenAI", "a" * MAX_TEXT, "\N{GRINNING FACE}" * MAX_TEXT])
    | st.text(st.characters(codec="utf-8"), min_size=1, max_size=MAX_TEXT)
)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**400, -(2**63) - 1, 2**53 + 1])
    # NaN and Infinity, which Python writes and JSON does not have, and lone surrogates.
    | st.floats()
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
"""Anything that `json.dumps` can encode."""

milliseconds = st.floats(min_value=0, allow_infinity=False) | st.integers(0, 10**18)
offsets = st.sampled_from(["Z", "", "+00:00", "+05:30", "-23:59", "+23:59"])
dates = st.builds(
    lambda moment, offset: moment.isoformat() + offset,
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    offsets,
)

VALID: Mapping[Callable[[object], object], st.SearchStrategy[Any]] = {
    converters.slug: slugs,
    converters.text: texts,
    converters.link: texts | st.just("https://example.com/?q=1#x"),
    converters.identifier: st.integers(-(2**63) + 1, 2**63 - 1) | texts,
    converters.health: st.sampled_from([status.label for status in HealthStatus]),
    converters.boolean: st.booleans(),
    converters.non_negative: milliseconds,
    converters.timestamp: dates,
}
"""Valid values by converter."""

valid_values: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"slug": slugs},
    optional={field.path: st.none() | VALID[field.convert] for field in FIELDS if field.path != "slug"},
)
"""Values of a valid row."""
fleets = st.lists(valid_values, max_size=6, unique_by=lambda values: values["slug"])
"""Values of a valid list."""
stats = st.fixed_dictionaries({count: st.integers(0, 2**53) for count in COUNTS})

BOUNDARIES: Mapping[Callable[[object], object], tuple[object, ...]] = {
    converters.non_negative: (-0.0, math.inf, -math.inf, math.nan),
    converters.timestamp: ("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "2026-02-30T00:00:00Z"),
}
NEAR: Mapping[str, tuple[object, ...]] = {
    **{field.path: (*SAMPLES[field.convert].invalid, *BOUNDARIES.get(field.convert, ())) for field in FIELDS},
    **dict.fromkeys(COUNTS, (-1, 1.0, True, "1", 2**53 + 1, 10**400, math.inf)),
}
"""Values that are nearly valid, by path of a field or name of a count."""


def spoilt(names: Iterable[str], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Return invalid or nearly valid values for some of the fields."""
    fields = {name: st.sampled_from(NEAR[name]) | st.sampled_from(NEAR[name]) | json_values for name in names}
    chosen = st.lists(st.sampled_from(sorted(fields)), max_size=most, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))


near_rows = st.builds(
    lambda values, errors, missing: row(
        {path: value for path, value in {**values, **errors}.items() if path not in missing}
    ),
    valid_values | st.builds(dict, slug=st.sampled_from("ab")),
    spoilt([field.path for field in FIELDS], 3),
    st.sets(st.sampled_from([field.path for field in FIELDS if field.path != "slug"]), max_size=1),
)
"""A row with some invalid or missing fields; some rows have the same slug."""
near_lists = st.lists(near_rows, min_size=1, max_size=4) | st.lists(near_rows | json_values, max_size=4)
near_stats = st.builds(lambda counts, errors: {**counts, **errors}, stats, spoilt(COUNTS, 1))


@st.composite
def damaged(draw: st.DrawFn, documents: st.SearchStrategy[bytes]) -> bytes:
    """A document with some bytes replaced, removed or added."""
    body = draw(documents)
    start, length = draw(st.integers(0, len(body))), draw(st.integers(0, 8))
    return body[:start] + draw(st.binary(max_size=4)) + body[start + length :]


def written(document: object, *, strictly: bool) -> bytes:
    """Encode JSON; a number that is not finite as Python does, or strictly as one beyond a double."""
    text = json.dumps(document)
    return (text.replace("Infinity", "1e999").replace("NaN", "-1e999") if strictly else text).encode()


nested = st.builds(
    lambda depth, brackets: brackets[0] * depth + brackets[1] * depth,
    st.sampled_from([100, 10_000, 100_000]),
    st.sampled_from([(b"[", b"]"), (b"[", b""), (b'{"a":', b"}")]),
)
lists = fleets.map(lambda fleet: [row(values) for values in fleet])
documents = st.builds(written, near_lists | near_stats | lists | stats | json_values, strictly=st.booleans())
bodies = documents | damaged(documents) | nested | st.binary(max_size=64)
"""Any bytes that a gateway, or a server in its place, may return."""
