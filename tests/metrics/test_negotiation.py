"""Tests of `exporter.metrics.negotiation`."""

from __future__ import annotations

import pytest

from exporter.metrics.exposition import Format, Variant
from exporter.metrics.negotiation import MAX_CHARACTERS, negotiate

PROMETHEUS_ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 sends."""
OPENMETRICS = "application/openmetrics-text"


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param("", id="no header"),
        pytest.param("*/*", id="anything"),
        pytest.param("text/plain", id="text"),
        pytest.param("TEXT/Plain", id="text in another case"),
        pytest.param("text/*", id="any text"),
        pytest.param("text/plain;version=0.0.4", id="text 0.0.4"),
        pytest.param("text/plain; version=0.0.4; charset=utf-8", id="text 0.0.4 with whitespace"),
        pytest.param('text/plain;version="0.0.4"', id="text 0.0.4 quoted"),
        pytest.param(
            f"{OPENMETRICS};version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.4", id="text by quality"
        ),
        pytest.param(f"{OPENMETRICS};q=0.5,text/plain;q=0.5", id="equal qualities"),
        pytest.param(f"{OPENMETRICS},*/*", id="equal quality by range"),
        pytest.param(f"{OPENMETRICS};q=0", id="OpenMetrics refused"),
        pytest.param(f"{OPENMETRICS};q=0.0,*/*;q=0.1", id="OpenMetrics refused, anything else"),
        pytest.param("application/*;q=0,*/*;q=0.1", id="any application refused"),
        pytest.param("text/plain;q=0", id="text refused, nothing offered"),
        pytest.param("*/*;q=0", id="all refused"),
        pytest.param(f"{OPENMETRICS};version=0.0.1", id="old OpenMetrics"),
        pytest.param(f"{OPENMETRICS};version=2.0.0", id="unknown OpenMetrics"),
        pytest.param(f"{OPENMETRICS};version=2.0.0,text/plain;q=0.1", id="unknown OpenMetrics or text"),
        pytest.param("text/plain;version=1.0.0", id="unknown text"),
        pytest.param("application/json", id="JSON"),
        pytest.param(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
            "text/plain;version=0.0.4;q=0.3",
            id="protobuf or text",
        ),
        pytest.param(
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
            id="browser",
        ),
        pytest.param(";;;,==,q,;q=1", id="garbage"),
        pytest.param("\x00\xff/,;=", id="binary garbage"),
        pytest.param("application/openmetrics-textual", id="longer name"),
        pytest.param(f"{OPENMETRICS};q=x", id="quality no number"),
        pytest.param(f"{OPENMETRICS};q=", id="quality empty"),
        pytest.param(f"{OPENMETRICS};q=nan", id="quality not a number"),
        pytest.param(f"{OPENMETRICS};q=inf", id="quality infinite"),
        pytest.param(f"{OPENMETRICS};q=1.5", id="quality above 1"),
        pytest.param(f"{OPENMETRICS};q=-0.5", id="quality below 0"),
        pytest.param(f"{OPENMETRICS}," + "a," * MAX_CHARACTERS, id="far too long"),
    ],
)
def test_text(accept: str) -> None:
    """The text format is the default, unless OpenMetrics 1.0.0 has a higher quality."""
    assert Format.TEXT is negotiate(accept, "").format


@pytest.mark.parametrize(
    "accept",
    [
        pytest.param(PROMETHEUS_ACCEPT, id="Prometheus 3"),
        pytest.param(f"{OPENMETRICS};version=1.0.0", id="1.0.0"),
        pytest.param(f"{OPENMETRICS};version=1.0.0;q=0.5", id="1.0.0 with a quality"),
        pytest.param(f"{OPENMETRICS}; version=1.0.0; charset=utf-8", id="1.0.0 with whitespace"),
        pytest.param(OPENMETRICS, id="any version"),
        pytest.param("Application/OpenMetrics-Text;Version=1.0.0;Q=1", id="another case"),
        pytest.param(f"text/plain;version=0.0.4;q=0.3,{OPENMETRICS};version=1.0.0;q=0.4", id="by quality"),
        pytest.param(f"{OPENMETRICS};version=0.0.1;q=0.9,{OPENMETRICS};version=1.0.0;q=0.5", id="one of two"),
        pytest.param(f"text/plain;version=1.0.0,{OPENMETRICS};q=0.1", id="unknown text"),
        pytest.param("application/*", id="any application"),
        pytest.param("application/*;q=0.3,text/*;q=0.2", id="ranges by quality"),
        pytest.param("text/plain;q=0,*/*;q=0.1", id="anything but text"),
        pytest.param("*/*,text/plain;q=0.1", id="anything rather than text"),
        pytest.param(f"{OPENMETRICS};q=0.2,{OPENMETRICS};q=0.9,text/plain;q=0.5", id="named twice"),
        pytest.param(f"{OPENMETRICS};q=0.001", id="lowest quality"),
        pytest.param(f'{OPENMETRICS};version="1.0.0"', id="quoted version"),
        pytest.param(
            f'{OPENMETRICS};version="1.0.0";q=0.5,text/plain;version=0.0.4;q=0.3', id="quoted, by q"
        ),
        pytest.param(f'{OPENMETRICS};version=1.0.0;note="a,b;c",text/plain;q=0.1', id="quoted comma"),
    ],
)
def test_openmetrics(accept: str) -> None:
    """OpenMetrics 1.0.0 is selected if its quality is higher than that of the text format."""
    assert Format.OPENMETRICS is negotiate(accept, "").format


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        pytest.param("", False, id="no header"),
        pytest.param("gzip", True, id="gzip"),
        pytest.param("GZip", True, id="another case"),
        pytest.param(" gzip ; q=0.5 ", True, id="whitespace"),
        pytest.param("gzip, deflate, br", True, id="browser"),
        pytest.param("br;q=1.0, gzip;q=0.8, *;q=0.1", True, id="by quality"),
        pytest.param("*", True, id="anything"),
        pytest.param("*;q=0.1", True, id="anything, somewhat"),
        pytest.param("identity;q=0.5, *;q=0, gzip;q=0.001", True, id="nothing else"),
        pytest.param("gzip;q=0", False, id="refused"),
        pytest.param("gzip;q=0.000", False, id="refused with decimals"),
        pytest.param("gzip; q=0, *", False, id="refused, anything else"),
        pytest.param("*;q=0", False, id="all refused"),
        pytest.param("identity", False, id="identity"),
        pytest.param("identity, *;q=0", False, id="identity only"),
        pytest.param("deflate, br", False, id="others"),
        pytest.param("gzipped", False, id="longer name"),
        pytest.param("gzip;q=x", False, id="quality no number"),
        pytest.param(",;=,", False, id="garbage"),
        pytest.param("gzip," + "a," * MAX_CHARACTERS, False, id="far too long"),
    ],
)
@pytest.mark.parametrize(
    ("accept", "format_"),
    [("", Format.TEXT), (PROMETHEUS_ACCEPT, Format.OPENMETRICS)],
    ids=["text", "OpenMetrics"],
)
def test_encoding(accept: str, format_: Format, accept_encoding: str, gzip: bool) -> None:
    """The body is compressed if the client accepts gzip, in each format."""
    assert Variant(format_, gzip) == negotiate(accept, accept_encoding)
