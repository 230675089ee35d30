"""Inputs of every kind: JSON, answers of the gateway that are nearly right, fleets that are right."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from exporter.gateway.decode import MAX_TEXT
from exporter.model.provider import HealthStatus

Row = Mapping[str, Any]

FLAGS = (
    "is_active",
    "supports_streaming",
    "supports_function_calling",
    "supports_vision",
    "supports_image_generation",
)
COUNTS = ("total", "active", "inactive", "healthy", "degraded", "down", "unknown")
AWKWARD = (
    '"',
    "\\",
    "\n",
    "\\n",
    '\\"',
    "\r\n",
    "{",
    "}",
    ",",
    "=",
    "#",
    " ",
    "\0",
    "\u2028",
    "\ufeff",
    "\u202e",
)
"""What has a meaning in an exposition, a log or a page."""

texts = st.text(st.characters(codec="utf-8"), max_size=12) | st.lists(st.sampled_from(AWKWARD)).map("".join)
"""Any text that UTF-8 can hold."""
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
"""All that `json.dumps` makes something of."""

milliseconds = st.floats(min_value=0, allow_infinity=False) | st.integers(0, 10**18)
offsets = st.sampled_from(["Z", "", "+00:00", "+05:30", "-23:59", "+23:59"])
dates = st.builds(
    lambda moment, offset: moment.isoformat() + offset,
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    offsets,
)

rows: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"slug": slugs},
    optional={
        "name": st.none() | texts,
        "id": st.none() | st.integers(-(2**63) + 1, 2**63 - 1) | texts,
        "health_status": st.none() | st.sampled_from([status.label for status in HealthStatus]),
        "average_response_time_ms": st.none() | milliseconds,
        "last_health_check_at": st.none() | dates,
        **{flag: st.none() | st.booleans() for flag in FLAGS},
    },
)
"""A row as the contract has it."""
fleets = st.lists(rows, max_size=6, unique_by=lambda row: row["slug"])
stats = st.fixed_dictionaries({count: st.integers(0, 2**53) for count in COUNTS})

NEAR: Mapping[str, tuple[object, ...]] = {
    "slug": ("", None, "a" * (MAX_TEXT + 1), 1),
    "name": ("a" * (MAX_TEXT + 1), 1),
    "id": (True, 1.0, 2**63, 10**400),
    "health_status": ("HEALTHY", "", 1, []),
    "average_response_time_ms": (-1, -0.0, 10**400, math.inf, -math.inf, math.nan, "1", True),
    "last_health_check_at": (
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "2026-02-30T00:00:00Z",
        1,
    ),
    **dict.fromkeys(FLAGS, (0, 1, "true")),
    **dict.fromkeys(COUNTS, (-1, 1.0, True, "1", 2**53 + 1, 10**400, math.inf)),
}
"""What is almost right, by field."""


def spoilt(names: Iterable[str], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Return some of the fields with values that are wrong, or nearly so."""
    fields = {name: st.sampled_from(NEAR[name]) | st.sampled_from(NEAR[name]) | json_values for name in names}
    chosen = st.lists(st.sampled_from(sorted(fields)), max_size=most, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: fields[name] for name in names}))


near_rows = st.builds(
    lambda row, errors, missing: {
        name: value for name, value in {**row, **errors}.items() if name not in missing
    },
    rows | st.builds(dict, slug=st.sampled_from("ab")),
    spoilt(
        ("slug", "name", "id", "health_status", "average_response_time_ms", "last_health_check_at", *FLAGS), 3
    ),
    st.sets(st.sampled_from(["name", "health_status", "metadata", *FLAGS]), max_size=1),
)
"""A row of which some fields are spoilt or missing; some have the same slug."""
near_lists = st.lists(near_rows, min_size=1, max_size=4) | st.lists(near_rows | json_values, max_size=4)
near_stats = st.builds(lambda counts, errors: {**counts, **errors}, stats, spoilt(COUNTS, 1))


@st.composite
def damaged(draw: st.DrawFn, documents: st.SearchStrategy[bytes]) -> bytes:
    """A document with some of its bytes replaced, taken out or added."""
    body = draw(documents)
    start, length = draw(st.integers(0, len(body))), draw(st.integers(0, 8))
    return body[:start] + draw(st.binary(max_size=4)) + body[start + length :]


def written(document: object, *, strictly: bool) -> bytes:
    """Write JSON; where it has no word for a number, as Python does or with a number that no double holds."""
    text = json.dumps(document)
    return (text.replace("Infinity", "1e999").replace("NaN", "-1e999") if strictly else text).encode()


nested = st.builds(
    lambda depth, brackets: brackets[0] * depth + brackets[1] * depth,
    st.sampled_from([100, 10_000, 100_000]),
    st.sampled_from([(b"[", b"]"), (b"[", b""), (b'{"a":', b"}")]),
)
documents = st.builds(written, near_lists | near_stats | fleets | stats | json_values, strictly=st.booleans())
bodies = documents | damaged(documents) | nested | st.binary(max_size=64)
"""Whatever bytes a gateway, or what stands in its place, may answer with."""
