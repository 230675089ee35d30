"""Tests of `exporter.metrics.negotiation`."""

from __future__ import annotations

import pytest

from exporter.metrics.exposition import Format, Variant
from exporter.metrics.negotiation import MAX_CHARACTERS, negotiate

OPENMETRICS = "application/openmetrics-text"
PROMETHEUS_3 = (
    f"{OPENMETRICS};version=1.0.0;escaping=allow-utf-8;q=0.6,{OPENMETRICS};version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROTOBUF = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
TOO_LONG = "a," * MAX_CHARACTERS


def named(text: object) -> str:
    """Return the id of a case: the beginning of the header."""
    return str(text).replace(OPENMETRICS, "OM")[:50]


TEXT = (
    *("", "*/*", "text/plain", "TEXT/Plain", "text/*", "text/plain;version=0.0.4"),
    *("text/plain; version=0.0.4; charset=utf-8", 'text/plain;version="0.0.4"'),
    # By quality.
    *(f"{OPENMETRICS};version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.4", f"{OPENMETRICS},*/*"),
    *(f"{OPENMETRICS};q=0.5,text/plain;q=0.5", f"{OPENMETRICS};q=0", f"{OPENMETRICS};q=0.0,*/*;q=0.1"),
    *("application/*;q=0,*/*;q=0.1", "text/plain;q=0", "*/*;q=0"),
    # Other versions and types.
    *(f"{OPENMETRICS};version=0.0.1", f"{OPENMETRICS};version=2.0.0", "text/plain;version=1.0.0"),
    *(f"{OPENMETRICS};version=2.0.0,text/plain;q=0.1", f"{OPENMETRICS}ual", "application/json"),
    *(f"{PROTOBUF},text/plain;version=0.0.4;q=0.3", BROWSER),
    # Invalid headers.
    *(";;;,==,q,;q=1", "\x00\xff/,;=", f"{OPENMETRICS};q=x", f"{OPENMETRICS};q=", f"{OPENMETRICS};q=nan"),
    *(
        f"{OPENMETRICS};q=inf",
        f"{OPENMETRICS};q=1.5",
        f"{OPENMETRICS};q=-0.5",
        f"{OPENMETRICS},{TOO_LONG}",
    ),
)
PREFERRED = (
    *(PROMETHEUS_3, f"{OPENMETRICS};version=1.0.0", f"{OPENMETRICS};version=1.0.0;q=0.5", OPENMETRICS),
    *(f"{OPENMETRICS}; version=1.0.0; charset=utf-8", "Application/OpenMetrics-Text;Version=1.0.0;Q=1"),
    # By quality.
    *(f"text/plain;version=0.0.4;q=0.3,{OPENMETRICS};version=1.0.0;q=0.4", f"{OPENMETRICS};q=0.001"),
    *("application/*", "application/*;q=0.3,text/*;q=0.2", "text/plain;q=0,*/*;q=0.1"),
    *("*/*,text/plain;q=0.1", f"text/plain;version=1.0.0,{OPENMETRICS};q=0.1"),
    # Named twice.
    f"{OPENMETRICS};version=0.0.1;q=0.9,{OPENMETRICS};version=1.0.0;q=0.5",
    f"{OPENMETRICS};q=0.2,{OPENMETRICS};q=0.9,text/plain;q=0.5",
    # Quoted.
    f'{OPENMETRICS};version="1.0.0"',
    f'{OPENMETRICS};version="1.0.0";q=0.5,text/plain;version=0.0.4;q=0.3',
    f'{OPENMETRICS};version=1.0.0;note="a,b;c",text/plain;q=0.1',
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [*((text, Format.TEXT) for text in TEXT), *((text, Format.OPENMETRICS) for text in PREFERRED)],
    ids=named,
)
def test_format(accept: str, expected: Format) -> None:
    """The text format is the default, unless OpenMetrics 1.0.0 has a higher quality."""
    assert expected is negotiate(accept, "").format


GZIP = (
    *("gzip", "GZip", " gzip ; q=0.5 ", "gzip, deflate, br", "br;q=1.0, gzip;q=0.8, *;q=0.1", "*", "*;q=0.1"),
    "identity;q=0.5, *;q=0, gzip;q=0.001",
)
NO_GZIP = (
    *("", "gzip;q=0", "gzip;q=0.000", "gzip; q=0, *", "*;q=0", "identity", "identity, *;q=0", "deflate, br"),
    *("gzipped", "gzip;q=x", ",;=,", f"gzip,{TOO_LONG}"),
)


@pytest.mark.parametrize(
    ("header", "gzip"), [*((text, True) for text in GZIP), *((text, False) for text in NO_GZIP)], ids=named
)
@pytest.mark.parametrize(("accept", "format_"), [("", Format.TEXT), (PROMETHEUS_3, Format.OPENMETRICS)])
def test_encoding(accept: str, format_: Format, header: str, gzip: bool) -> None:
    """The body is compressed if the client accepts gzip, in each format."""
    assert Variant(format_, gzip) == negotiate(accept, header)
