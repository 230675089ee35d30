"""Property: any `Accept` headers select an existing body, at a cost proportional to their length."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from exporter.metrics.exposition import Format, Variant
from exporter.metrics.negotiation import negotiate

LONG = 500
"""Parts; enough to detect quadratic cost."""
CALLS_BY_PART = 30
"""Limit of function calls, including built-in functions, for one part of a header."""

RANGES = ("text/plain", "application/openmetrics-text", "text/*", "*/*", "*", "gzip", "identity")
NAMES = ("q", "version", "charset")
VALUES = ("1.0.0", "0.0.4", "0", "0.5", "1", "1e999", "-0", "nan", "0x1", "1_0", "\N{ARABIC-INDIC DIGIT ONE}")
SEPARATORS = (",", ";", "=", '"', " ", "\t")

words = st.sampled_from(RANGES + NAMES + VALUES + SEPARATORS)
headers = st.lists(words | st.text(max_size=3), max_size=40).map("".join)
"""Texts made of the parts of headers."""


def calls_of(function: Callable[[], Any]) -> int:
    """Return the number of function calls during a call."""
    calls = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    before = sys.getprofile()
    # Hypothesis has a callback on garbage collections, which would count.
    gc.disable()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
        gc.enable()
    return calls


@given(accept=headers | st.text(), accept_encoding=headers | st.text())
@example("," * LONG, "")
@example("", ";" * LONG)
@example("text/plain;q=" * LONG, "gzip;" + "q=1;" * LONG)
@example("*/*," * LONG, "gzip," * LONG)
@example("text/plain;q=" + "9" * LONG, "")
def test_negotiate(accept: str, accept_encoding: str) -> None:
    """Returns a variant; the cost is at most proportional to the length of the headers."""
    parts = sum(1 + header.count(",") + header.count(";") for header in (accept, accept_encoding))

    variant = negotiate(accept, accept_encoding)

    assert variant in {Variant(format_, gzip) for format_ in Format for gzip in (False, True)}
    assert calls_of(lambda: negotiate(accept, accept_encoding)) <= CALLS_BY_PART * (1 + parts)
