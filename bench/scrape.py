"""Scrapes as by Prometheus, and the content of their bodies."""

from __future__ import annotations

import hashlib
import http
import time
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import MappingProxyType

import urllib3
from prometheus_client.parser import text_string_to_metric_families
from urllib3.exceptions import HTTPError

TIMEOUT = 60.0
GZIP_WBITS = 31
LAST_UPDATE = b"\ngatewayz_provider_metrics_last_update "
DATA = (b"gatewayz_provider_", b"gatewayz_providers_")
"""Prefixes of lines with data of the gateway, except for NOT_DATA."""
NOT_DATA = (b"gatewayz_provider_metrics_last_update", b"gatewayz_provider_scrape_errors")
OWN = ("gatewayz_exporter_", "process_", "python_", "target_info")
"""Prefixes of metrics about the contestant itself."""

Series = Mapping[str, float]


@dataclass(frozen=True)
class Format:
    """A format of the exposition."""

    accept: str
    file: str


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "text": Format("text/plain;version=0.0.4", "text"),
        # As sent by Prometheus 3.
        "OpenMetrics": Format(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
            "application/openmetrics-text;version=0.0.1;q=0.4,"
            "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            "openmetrics",
        ),
    }
)


@dataclass(frozen=True, order=True)
class Ask:
    """Format and encoding of a scrape."""

    format: str
    gzip: bool

    @property
    def headers(self) -> Mapping[str, str]:
        """The request headers."""
        return {
            "Accept": FORMATS[self.format].accept,
            "Accept-Encoding": "gzip" if self.gzip else "identity",
        }

    def __str__(self) -> str:
        """Return the name in the report."""
        return f"{self.format}, gzip" if self.gzip else self.format


ASKS = tuple(Ask(format_, gzip) for format_ in FORMATS for gzip in (False, True))
TEXT, TEXT_GZIP, OPENMETRICS, AS_PROMETHEUS = ASKS


@dataclass(frozen=True)
class Scrape:
    """A scrape and its response."""

    ask: Ask
    body: bytes
    begun: float
    """Unix time."""
    seconds: float

    @property
    def text(self) -> bytes:
        """The decompressed exposition."""
        return zlib.decompress(self.body, GZIP_WBITS) if self.ask.gzip else self.body


class Scraper:
    """Scrapes over one persistent connection."""

    def __init__(self, url: str, ask: Ask = AS_PROMETHEUS) -> None:
        """Create a scraper; it connects at the first scrape."""
        self._pool = urllib3.connection_from_url(url, maxsize=1, timeout=TIMEOUT, retries=False)
        self._ask = ask

    def scrape(self) -> Scrape:
        """Scrape once, and read the complete response.

        Raises:
            urllib3.exceptions.HTTPError: Without a response with status 200.
        """
        begun, started = time.time(), time.perf_counter()
        response = self._pool.request("GET", "/metrics", headers=self._ask.headers, decode_content=False)
        seconds = time.perf_counter() - started
        if response.status != http.HTTPStatus.OK:
            raise HTTPError(f"status {response.status}")
        return Scrape(self._ask, response.data, begun, seconds)

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()


def scrape(url: str, ask: Ask = AS_PROMETHEUS) -> Scrape:
    """Scrape once over a new connection."""
    scraper = Scraper(url, ask)
    try:
        return scraper.scrape()
    finally:
        scraper.close()


def crowd(url: str, scrapers: int, count: int, seconds: float) -> Sequence[Scrape]:
    """Scrape `count` times by concurrent scrapers, evenly over `seconds`, each at least once.

    A late scraper stops at the end of that time. Equal bodies are one object, to save memory.

    Raises:
        urllib3.exceptions.HTTPError: When a scrape fails.
    """
    answers: list[Scrape] = []
    known: dict[bytes, bytes] = {}
    begun = time.monotonic()
    times = [begun + number * seconds * scrapers / count for number in range(count // scrapers + 1)]

    def run() -> None:
        scraper = Scraper(url)
        for number, planned in enumerate(times):
            time.sleep(max(0, planned - time.monotonic()))
            if number and time.monotonic() > begun + seconds:
                break
            answer = scraper.scrape()
            body = known.setdefault(hashlib.blake2b(answer.body).digest(), answer.body)
            answers.append(replace(answer, body=body))
        scraper.close()

    with ThreadPoolExecutor(scrapers) as pool:
        for running in [pool.submit(run) for _ in range(scrapers)]:
            running.result()
    return answers


def last_update(text: bytes) -> float:
    """Return the Unix time of the last successful poll in an exposition, 0 before the first."""
    _, _, rest = text.partition(LAST_UPDATE)
    return float(rest[: rest.index(b"\n")]) if rest else 0.0


def fingerprint(text: bytes) -> bytes:
    """Return a digest of all data of the gateway, comparable within one contestant and format."""
    lines = sorted(
        line for line in text.splitlines() if line.startswith(DATA) and not line.startswith(NOT_DATA)
    )
    return hashlib.blake2b(b"\n".join(lines)).digest()


def series(text: bytes) -> Series:
    """Return all series of an exposition in the text format, except for OWN."""
    return {
        sample.name + str(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if not sample.name.startswith(OWN)
    }
