"""Whatever a client says that it accepts, it gets one of the bodies that there are, for little work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.metrics.exposition import Format, Variant
from exporter.metrics.negotiation import negotiate

LONG = 500
"""Enough to tell a cost that grows with the square of the parts."""
CALLS_BY_PART = 30
"""Calls of Python functions, built-in ones included, that one part of a header may cost."""

RANGES = ("text/plain", "application/openmetrics-text", "text/*", "*/*", "*", "gzip", "identity")
NAMES = ("q", "version", "charset")
VALUES = ("1.0.0", "0.0.4", "0", "0.5", "1", "1e999", "-0", "nan", "0x1", "1_0", "\N{ARABIC-INDIC DIGIT ONE}")
SIGNS = (",", ";", "=", '"', " ", "\t")

words = st.sampled_from(RANGES + NAMES + VALUES + SIGNS)
headers = st.lists(words | st.text(max_size=3), max_size=40).map("".join)
"""Texts that are made of what headers are made of."""


def calls_of(function: Callable[[], Any]) -> int:
    """Return how many functions are called while one runs."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


@given(accept=headers | st.text(), accept_encoding=headers | st.text())
@example("," * LONG, "")
@example("", ";" * LONG)
@example("text/plain;q=" * LONG, "gzip;" + "q=1;" * LONG)
@example("*/*," * LONG, "gzip," * LONG)
@example("text/plain;q=" + "9" * LONG, "")
def test_negotiate(accept: str, accept_encoding: str) -> None:
    """There is always a variant; what it costs to find it grows with the length of the header, no faster."""
    parts = sum(1 + header.count(",") + header.count(";") for header in (accept, accept_encoding))

    variant = negotiate(accept, accept_encoding)

    assert variant in {Variant(format_, gzip) for format_ in Format for gzip in (False, True)}
    assert calls_of(lambda: negotiate(accept, accept_encoding)) <= CALLS_BY_PART * (1 + parts)
