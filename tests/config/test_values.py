"""Converters of settings: values of valid text, and errors of other text."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import Any

import pytest

from exporter.config import values


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.1, "100ms"), (1.0, "1s"), (90.0, "90s"), (120.0, "2m"), (259_200.0, "3d"), (1.5, "1500ms")],
)
def test_format_duration(seconds: float, text: str) -> None:
    """Returns a duration that `parse_duration` accepts."""
    assert (text, seconds) == (values.format_duration(seconds), values.parse_duration(text))


Converter = Callable[[str], Any]
ANY_DURATION, SHORT = values.duration(0.0, 1e9), values.duration(0.1, 120.0)
CHOICE = values.choice({"a": "a", "aa": "a", "b": "b", "c": "c"})
VALID: list[tuple[Converter, dict[str, Any]]] = [
    (ANY_DURATION, {"60": 60.0, "0.5": 0.5, ".5": 0.5, "1e2": 100.0, "60s": 60.0, "5m": 300.0, "0s": 0.0}),
    (ANY_DURATION, {"1h30m": 5400.0, "500ms": 0.5, "1d": 86_400.0, "1w2d": 777_600.0, "1y": 31_536_000.0}),
    (ANY_DURATION, {"1h0m5s": 3605.0}),
    (values.duration(60.0, 120.0, or_zero=True), {"1m": 60.0, "0": 0.0, "0s": 0.0}),
    (SHORT, {"100ms": 0.1, "0.1": 0.1, "2m": 120.0, "120": 120.0}),
    (values.port, {"8001": 8001, ":8001": 8001, "0": 0, "65535": 65_535}),
    (values.host, {text: text for text in ("::", "fe80::1%lo", "127.0.0.1", "127.1", "localhost")}),
    (values.host, {text: text for text in ("my_host.example.", "g\u00e4teway.example")}),
    (values.host, {"[::1]": "::1"}),
    (values.listen_addresses, {":8001": (("::", 8001),), "[::1]:8001": (("::1", 8001),)}),
    (values.listen_addresses, {"localhost:0": (("localhost", 0),)}),
    (values.listen_addresses, {"0.0.0.0:8001, :9001": (("0.0.0.0", 8001), ("::", 9001))}),
    (values.url_path, {"/": "", "exporter": "/exporter", "/a/b-c_d.e~f/": "/a/b-c_d.e~f"}),
    (values.boolean, {"TRUE": True, "0": False}),
    (CHOICE, {"AA": "a"}),
    (values.utf8, {"\u00e4": "\u00e4"}),
]


@pytest.mark.parametrize(
    ("read", "text", "value"), [(read, text, value) for read, texts in VALID for text, value in texts.items()]
)
def test_valid_text(read: Converter, text: str, value: object) -> None:
    """Valid text is converted."""
    assert value == read(text)


NO_TEXT = os.fsdecode(b"\xff")
A_DURATION = "must be a duration such as 60, 60s or 5m"
A_PORT = "must be a port from 0 to 65535"
A_HOST = "must be an IP address or a host name without a port, such as 127.0.0.1 or ::"
AN_ADDRESS = "must be host:port or :port, such as :8001, 127.0.0.1:8001 or [::1]:8001"
A_PATH = "must be a path of letters, digits and -._~, such as /exporter"
INVALID: list[tuple[Converter, list[str], str]] = [
    (ANY_DURATION, ["", "soon", NO_TEXT, "60 s", "\u0661s", "1s\n", "s", "1.5h", "30m1h"], A_DURATION),
    (ANY_DURATION, ["1h1h", "60S", "5min", "-5m", "nan", "inf", "1_0", "0x10"], A_DURATION),
    (SHORT, ["9" * 5000, "0", "-1", "99ms", "121", "1d"], "must be between 100ms and 2m"),
    (values.duration(60.0, 120.0, or_zero=True), ["59", "-1"], "must be between 1m and 2m, or 0"),
    (values.port, ["9" * 5000, "\u0661", NO_TEXT, "x", "65536", "::1", "-1", "80.5", "8001/tcp"], A_PORT),
    (values.host, ["[::1", "::1]", "[localhost]", "host:8001", "[::1]:8001", "http://host", "*"], A_HOST),
    (values.host, ["999.1.1.1", "a..b", "a b", "x" * 64, "a." * 127 + "a", "-a", "xn--\xff"], A_HOST),
    (values.host, [NO_TEXT], A_HOST),
    (values.listen_addresses, ["", "8001", "host:", "::1:8001", ":99999", "http://host:1"], AN_ADDRESS),
    (values.listen_addresses, [":1,", "[::1]"], AN_ADDRESS),
    (values.url_path, ["/a b", "//host", "/../x", "/a?b", "/{x}", "/a//b", NO_TEXT], A_PATH),
    (values.boolean, ["yes", "", "tru"], "must be true or false"),
    (CHOICE, ["d"], "must be a, b or c"),
    (values.utf8, [NO_TEXT], "must be UTF-8 text"),
]


@pytest.mark.parametrize(
    ("read", "text", "rule"), [(read, text, rule) for read, texts, rule in INVALID for text in texts]
)
def test_invalid_text(read: Converter, text: str, rule: str) -> None:
    """Other text raises an error with the expected form."""
    with pytest.raises(ValueError, match=f"^{re.escape(rule)}$"):
        read(text)
