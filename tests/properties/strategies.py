"""Inputs of every kind: JSON, answers of the gateway that are nearly right, fleets that are right."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st

from exporter.decode import MAX_TEXT
from exporter.snapshot import HealthStatus

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
dates = st.datetimes().map(lambda moment: moment.isoformat() + "Z")

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

near_values = (
    st.sampled_from(
        [True, "true", "HEALTHY", "", -1, 1.5, "1", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59-01:00"]
    )
    | st.text(min_size=MAX_TEXT + 1, max_size=MAX_TEXT + 1)
    | json_values
)
"""What might stand in the place of a good value."""


@st.composite
def near_rows(draw: st.DrawFn) -> object:
    """A good row of which some fields are spoilt, missing or foreign."""
    row = draw(rows)
    names = st.sampled_from([*row, *FLAGS, "id", "name", "health_status", "metadata"])
    row |= draw(st.dictionaries(names, near_values, max_size=3))
    for name in draw(st.lists(st.sampled_from(sorted(row)), max_size=1)):
        del row[name]
    return row


near_lists = st.lists(near_rows() | json_values, max_size=4)
near_stats = st.builds(
    lambda counts, spoilt: {**counts, **spoilt},
    stats,
    st.dictionaries(st.sampled_from(COUNTS), near_values, max_size=2),
)


@st.composite
def damaged(draw: st.DrawFn, documents: st.SearchStrategy[bytes]) -> bytes:
    """A document with some of its bytes replaced, taken out or added."""
    body = draw(documents)
    start, length = draw(st.integers(0, len(body))), draw(st.integers(0, 8))
    return body[:start] + draw(st.binary(max_size=4)) + body[start + length :]


documents = (json_values | near_lists | near_stats | fleets | stats).map(json.dumps).map(str.encode)
bodies = documents | damaged(documents) | st.binary(max_size=64)
"""Whatever bytes a gateway, or what stands in its place, may answer with."""
